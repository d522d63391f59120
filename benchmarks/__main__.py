"""All benchmarks, one after the other."""

from __future__ import annotations

from benchmarks import (
    cluster,
    coresets,
    dedup,
    longtail,
    memory,
    scale,
    seeding,
    select,
    startup,
    time_to_cost,
    variance,
)

for module in (
    startup,
    select,
    cluster,
    time_to_cost,
    memory,
    variance,
    coresets,
    longtail,
    seeding,
    dedup,
    scale,
):
    module.main()

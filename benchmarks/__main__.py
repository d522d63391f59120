"""All benchmarks, one after the other."""

from __future__ import annotations

from benchmarks import (
    cluster,
    dedup,
    kernel_thinning,
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
    longtail,
    seeding,
    dedup,
    kernel_thinning,
    scale,
):
    module.main()

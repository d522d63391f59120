"""All benchmarks, one after the other."""

from __future__ import annotations

from benchmarks import (
    bandit,
    cluster,
    coresets,
    dedup,
    facility_location,
    influence,
    k_center,
    kernel_thinning,
    longtail,
    max_min,
    memory,
    mislabelled,
    ray_engine,
    report,
    scale,
    seeding,
    select,
    startup,
    time_to_cost,
    variance,
    weak_scaling,
    weights,
)

for module in (
    startup,
    select,
    cluster,
    time_to_cost,
    memory,
    variance,
    coresets,
    mislabelled,
    longtail,
    seeding,
    dedup,
    weights,
    facility_location,
    max_min,
    kernel_thinning,
    scale,
    k_center,
    report,
    influence,
    ray_engine,
    weak_scaling,
    bandit,
):
    module.main()

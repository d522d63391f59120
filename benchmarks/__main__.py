"""All benchmarks, one after the other."""

from __future__ import annotations

from benchmarks import cluster, dedup, longtail, memory, seeding, select, startup, variance

for module in (startup, select, cluster, memory, variance, longtail, seeding, dedup):
    module.main()

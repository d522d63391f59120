"""All benchmarks, one after the other."""

from __future__ import annotations

from benchmarks import cluster, longtail, memory, select, startup, variance

for module in (startup, select, cluster, memory, variance, longtail):
    module.main()

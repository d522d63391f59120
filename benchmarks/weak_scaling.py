"""An iteration of k-means on 10^9 x 768 with the Ray engine, from parts measured here.

Not a measurement of a cluster: a worker's search, the driver's sums and the packing of a task
are timed on this machine, and put together with a network and GPUs that are assumed.
"""

from __future__ import annotations

import pickle
import time

import numpy as np

from benchmarks.harness import options, table
from coresift.clustering.centers import Centers
from coresift.clustering.lloyd import _Pass
from coresift.clustering.nearest import nearest
from coresift.clustering.sums import ClusterSums, moved_rows
from coresift.core.exact import Quantum

ROWS, DIM, WORKERS = 10**9, 768, 64
# sums that come from a worker in a pass of more than a few seconds
REPORTS = 5.0
NETWORK = 10e9 / 8
GPUS, GPU_FLOPS = 8, 20e12
SAMPLE = 8192


def timed(action: object, times: int = 3) -> float:
    """Least seconds that a call takes."""
    assert callable(action)
    found = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        found.append(time.perf_counter() - start)
    return min(found)


def one(k: int, random: np.random.Generator) -> list[str]:
    """Seconds of the parts of an iteration with k centroids."""
    rows = random.normal(size=(SAMPLE, DIM)).astype(np.float32)
    centroids = random.normal(size=(k, DIM)).astype(np.float32)
    centers = Centers.prepare(centroids)
    search = timed(lambda: nearest(rows, centers), 1) / SAMPLE
    quantum = Quantum.covering(40.0, ROWS)
    none = np.full(SAMPLE, -1, np.int32)
    labels = random.integers(0, k, SAMPLE).astype(np.int32)
    add = timed(lambda: moved_rows(rows, none, labels, quantum)) / SAMPLE
    sums = ClusterSums(np.arange(k), random.normal(size=(k, DIM)), np.ones(k, np.int64))
    done = _Pass(SAMPLE, sums, 1, 0.0)
    total, counts = np.zeros((k, DIM)), np.zeros(k, np.int64)
    merge = timed(lambda: pickle.loads(pickle.dumps(done, 5)).sums.add_to(total, counts))
    size = 8 * k * DIM
    share = ROWS / WORKERS
    cpu = share * (search + add)
    gpu = ROWS * 2.0 * k * DIM / (GPUS * GPU_FLOPS) + share * add
    incoming = REPORTS * WORKERS * size
    driver = incoming / NETWORK + REPORTS * WORKERS * merge
    broadcast = 3 * size / NETWORK
    return [
        f"{k:,}",
        f"{cpu:,.0f}",
        f"{gpu:,.0f}",
        f"{incoming / 1e9:,.1f}",
        f"{driver:,.1f}",
        f"{broadcast:,.2f}",
        f"{driver / (cpu + driver):.0%}",
        f"{driver / (gpu + driver):.0%}",
    ]


def main() -> None:
    asked = options(__doc__, 1).parse_args()
    random = np.random.default_rng(0)
    rows = [one(k, random) for k in ((100,) if asked.quick else (1_000, 10_000, 50_000))]
    head = [
        *("k", "workers' s, one core each", f"workers' s, {GPUS} GPUs", "to the driver, GB"),
        *("driver's s", "broadcast s", "driver's share", "driver's share with GPUs"),
    ]
    table("Weak scaling of the Ray engine", head, rows, keep=not asked.quick)


if __name__ == "__main__":
    main()

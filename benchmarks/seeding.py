"""Seeding 1,000 centers: coresift's beside scikit-learn's greedy kmeans_plusplus.

All in one process on the same array, with all threads; the potential is the sum of squared
distances to the seeds, and again after 5 iterations of Lloyd's algorithm from them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.cluster import kmeans_plusplus

from benchmarks import data
from benchmarks.harness import options, spread, table
from coresift.clustering.centers import Centers
from coresift.clustering.distances import squared_distances
from coresift.clustering.nearest import nearest
from coresift.clustering.points import Held, sample_rows
from coresift.clustering.projection import Projection
from coresift.clustering.rejection import seed_by_rejection
from coresift.clustering.seeding import default_seeding_rows, seed_by_sample
from coresift.core.memory import Budget
from coresift.core.progress import Silent
from coresift.engine.local import LocalEngine
from coresift.io.store import Scratch

Seed = Callable[[int], NDArray[np.float32]]
_STEP = 8192
_LLOYD = 5


def _potential(
    vectors: NDArray[np.float32], centers: NDArray[np.float32], iterations: int
) -> float:
    """Cost after some iterations from these centers."""
    for left in reversed(range(iterations + 1)):
        prepared = Centers.prepare(centers)
        labels = np.concatenate(
            [nearest(vectors[at : at + _STEP], prepared) for at in range(0, len(vectors), _STEP)]
        )
        if not left:
            break
        order = np.argsort(labels, kind="stable")
        count = np.bincount(labels, minlength=len(centers))
        held = np.flatnonzero(count)
        sums = np.add.reduceat(vectors[order], (np.cumsum(count) - count)[held], axis=0)
        centers = centers.copy()
        centers[held] = sums / count[held, None]
    return float(squared_distances(vectors, centers, labels).sum())


def _sides(vectors: NDArray[np.float32], k: int, scratch: Scratch) -> dict[str, Seed]:
    points, engine = Held(vectors), LocalEngine(2)
    budget, silent = Budget.default(), Silent()
    sample = points.take(sample_rows(points, 2048, 0, "projection"))
    projection = Projection.fit(sample).suited(k)

    def by_sample(seed: int, rows: int | None = None, greedy: bool = False) -> NDArray[np.float32]:
        rows = rows or default_seeding_rows(k)
        return seed_by_sample(
            points, k, rows, seed, projection, engine, budget, silent, greedy=greedy
        )

    def by_greedy(seed: int) -> NDArray[np.float32]:
        return by_sample(seed, greedy=True)

    def by_greedy_on_more(seed: int) -> NDArray[np.float32]:
        return by_sample(seed, 20 * k, greedy=True)

    def by_rejection(seed: int) -> NDArray[np.float32]:
        return seed_by_rejection(points, k, seed, projection, engine, scratch, budget, silent)[0]

    def theirs(seed: int) -> NDArray[np.float32]:
        return np.asarray(kmeans_plusplus(vectors, k, random_state=seed)[0], np.float32)

    return {
        "k-means++": by_sample,
        "greedy-k-means++": by_greedy,
        f"greedy-k-means++, {20 * k:,} rows": by_greedy_on_more,
        "rs-k-means++": by_rejection,
        "scikit-learn": theirs,
    }


def main() -> None:
    asked = options(__doc__, 3).parse_args()
    dump, k = (data.little(), 50) if asked.quick else (data.mixture(), 1000)
    embedding = pq.read_table(dump, columns=["embedding"]).column("embedding").combine_chunks()
    vectors = embedding.flatten().to_numpy().reshape(len(embedding), -1)
    found: dict[str, list[tuple[float, float, float]]] = {}
    with Scratch() as scratch:
        for name, seed_with in _sides(vectors, k, scratch).items():
            for seed in range(1 if name == "scikit-learn" else asked.repeats):
                start = time.perf_counter()
                centers = seed_with(seed)
                seconds = time.perf_counter() - start
                first = _potential(vectors, centers, 0)
                last = _potential(vectors, centers, _LLOYD)
                found.setdefault(name, []).append((seconds, first, last))
    other = found["scikit-learn"][0]
    rows = []
    for name, runs in found.items():
        took, potential, cost = (list(column) for column in zip(*runs, strict=True))
        rows.append(
            [
                name,
                str(len(runs)),
                spread(took),
                f"{other[0] / float(np.median(took)):.0f}",
                f"{float(np.median(potential)) / other[1]:.3f}",
                f"{float(np.median(cost)) / other[2]:.4f}",
            ]
        )
    head = ["seeding", "runs", "s", "times as fast", "potential", "cost after 5 iterations"]
    table(f"Seeding {k:,} centers", head, rows, keep=not asked.quick)


if __name__ == "__main__":
    main()

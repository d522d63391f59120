"""Points in memory, and a short way to train on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.kmeans import KMeans, KMeansParams, fit
from coresift.clustering.points import Points
from coresift.core.memory import Budget
from coresift.core.progress import Silent
from coresift.engine.local import LocalEngine
from coresift.io.store import Scratch

KINDS = ("spread", "tight", "far", "repeated", "flat")


@dataclass
class Rows:
    """An array as :class:`Points`, read in runs of ``step`` rows."""

    array: NDArray[np.float32]
    step: int = 500

    def __post_init__(self) -> None:
        self.rows = self.count = len(self.array)
        self.bound = float(np.sqrt(np.square(self.array, dtype=np.float64).sum(axis=1).max()))

    @property
    def dim(self) -> int:
        return int(self.array.shape[1])

    def runs(self) -> list[tuple[int, int]]:
        return [(a, min(a + self.step, self.rows)) for a in range(0, self.rows, self.step)]

    def read(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        return np.arange(start, stop), self.array[start:stop]

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.array[rows]

    def kept_rows(self) -> NDArray[np.int64]:
        return np.arange(self.rows)


def train(
    points: Points,
    params: KMeansParams,
    *,
    trainer: Callable[..., KMeans] = fit,
    seed: int = 0,
    threads: int = 1,
    spherical: bool = False,
) -> KMeans:
    """Train with a large budget."""
    with Scratch() as opened:
        return trainer(
            points,
            params,
            spherical=spherical,
            device="auto",
            seed=seed,
            engine=LocalEngine(threads),
            budget=Budget(8 << 30),
            scratch=opened,
            progress=Silent(),
        )


def brute_force(
    rows: NDArray[np.float32], centroids: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Nearest centroids by all float64 distances: labels and squared distances."""
    squared = np.stack(
        [np.square(rows.astype(np.float64) - centroid).sum(axis=1) for centroid in centroids],
        axis=1,
    )
    return squared.argmin(axis=1), squared.min(axis=1)


def make(
    kind: str, rows: int, dim: int, k: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows and centroids that are hard in a certain way."""
    random = np.random.default_rng(seed)
    points = random.normal(size=(rows, dim)) * np.linspace(1.0, 0.05, dim)
    centroids = points[random.integers(0, rows, k)] + random.normal(size=(k, dim)) * 0.1
    if kind == "tight":
        points, centroids = points * 1e-3 + 5.0, centroids * 1e-3 + 5.0
    if kind == "far":
        points, centroids = points + 1e4, centroids + 1e4
    if kind == "repeated":
        points, centroids = np.round(points), np.round(centroids)
    if kind == "flat":
        points[:, dim // 2 :] = 0.0
        centroids[:, dim // 2 :] = 0.0
    return points.astype(np.float32), centroids.astype(np.float32)

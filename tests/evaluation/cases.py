"""Row sets over points in memory, and a run's resources for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from coresift.core.memory import Budget
from coresift.core.progress import Silent
from coresift.engine.local import LocalEngine
from coresift.evaluation.base import Resources, RowSet
from coresift.evaluation.grouping import Grouping
from coresift.io.store import Scratch
from tests.clustering.rows import brute_force


@contextmanager
def resources(*, seed: int = 0, threads: int = 1, memory: int = 8 << 30) -> Iterator[Resources]:
    with Scratch() as scratch:
        yield Resources(LocalEngine(threads), Budget(memory), scratch, Silent(), seed)


def everything(rows: int) -> RowSet:
    """All rows, each standing for itself."""
    return RowSet(np.arange(rows), np.ones(rows))


def weighted(total: int, size: int, seed: int = 0) -> RowSet:
    """Random rows with random weights."""
    generator = np.random.default_rng(seed)
    rows = np.sort(generator.choice(total, size, replace=False)).astype(np.int64)
    return RowSet(rows, generator.uniform(0.1, 3.0 * total / size, size))


def grouped(array: NDArray[np.float32], centroids: NDArray[np.float32], sets: int = 1) -> Grouping:
    """Rows by their nearest centroids."""
    labels, squared = brute_force(array, centroids)
    size = np.bincount(labels, minlength=len(centroids)).astype(np.int64)
    cost = np.bincount(labels, squared, minlength=len(centroids)).astype(np.float64)
    return Grouping(centroids, size, cost, np.zeros((sets, len(centroids)), np.bool_))

"""Mini-batch k-means: centroids follow batches of rows in the order of the dump.

Sculley, "Web-Scale K-Means Clustering", WWW 2010, algorithm 1. Each centroid is the mean of all
rows it was given, with the centroids as they were when the row's batch came; one pass serves for
data that is to be read once. Rows in sorted order (by class, say) are better served by k-means.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.distances import squared_distances
from coresift.clustering.kmeans import FitOptions, KMeans, KMeansParams, begin
from coresift.clustering.nearest import nearest
from coresift.clustering.points import Points
from coresift.clustering.projection import Projection
from coresift.clustering.sums import moved_rows
from coresift.core.errors import ParameterError
from coresift.core.exact import Quantum

_LEAST_ROWS = 4096
_ROWS_PER_CENTER = 4
_TASK = 1024


def default_minibatch_rows(k: int) -> int:
    """Rows of a batch by default: 4 for each center, at least 4,096."""
    return max(_LEAST_ROWS, _ROWS_PER_CENTER * k)


def fit_minibatch(
    points: Points,
    params: KMeansParams,
    minibatch_rows: int | None = None,
    **run: Unpack[FitOptions],
) -> KMeans:
    """Train by mini-batches; ``params.iterations`` is how many passes are made at most.

    Parameters
    ----------
    points : Points
        All rows.
    params : KMeansParams
        What to do; the kernel is always BLAS.
    minibatch_rows : int, optional
        Rows of a batch; by default 4 for each center, at least 4,096.
    **run
        See :func:`coresift.clustering.kmeans.fit`.

    Raises
    ------
    ParameterError
        When there are fewer rows than clusters, or values too large to be squared.
    ResourceError
        When the budget does not hold what has to be in memory.
    """
    size = default_minibatch_rows(params.k) if minibatch_rows is None else minibatch_rows
    if size < 1:
        raise ParameterError(f"--minibatch-rows {size} is not at least 1")
    start = begin(points, params, **run)
    training = start.training
    state = _State(start.centroids, training, start.projection, run)
    state.resume()
    costs = state.costs
    converged = False
    while len(costs) < params.iterations and not converged:
        name = f"pass {len(costs) + 1} of {params.iterations}"
        with run["progress"].stage(name, training.count) as stage:
            stage.advance(state.taken)
            for block in batches(training, size, state.taken):
                state.take(block)
                stage.advance(len(block))
                if run["scratch"].due:
                    state.save()
        costs.append(state.cost)
        state.taken, state.cost = 0, 0.0
        converged = len(costs) > 1 and costs[-2] - costs[-1] < params.tol * costs[-2]
    notes = (*start.notes, f"batches of {size:,} rows in the order of the dump")
    return KMeans(state.centroids, tuple(costs), converged, 0, None, "blas", notes)


def batches(points: Points, size: int, skip: int = 0) -> Iterator[NDArray[np.float32]]:
    """Rows in order but for the first ``skip``, ``size`` at a time whatever the runs."""
    held: list[NDArray[np.float32]] = []
    count = 0
    for run in points.runs():
        _, block = points.read(*run)
        passed = min(skip, len(block))
        skip -= passed
        block = block[passed:]
        while count + len(block) >= size:
            piece, block = block[: size - count], block[size - count :]
            yield np.concatenate([*held, piece])
            held, count = [], 0
        if len(block):
            # the next read may use the same memory
            held.append(block.copy())
            count += len(block)
    if count:
        yield np.concatenate(held)


@dataclass
class _State:
    centroids: NDArray[np.float32]
    points: Points
    projection: Projection
    run: FitOptions

    def __post_init__(self) -> None:
        self.costs: list[float] = []
        self.cost = 0.0
        self.taken = 0
        self._means = self.centroids.astype(np.float64)
        self._counts = np.zeros(len(self.centroids), np.int64)
        self._quantum = Quantum.covering(self.points.bound, self.points.count)
        self._squares = Quantum.covering(4.0 * self.points.bound**2, self.points.count)

    def save(self) -> None:
        """Remember where it is."""
        self.run["scratch"].save(
            "batches",
            centroids=self.centroids,
            means=self._means,
            counts=self._counts,
            costs=self.costs,
            cost=self.cost,
            taken=self.taken,
        )

    def resume(self) -> None:
        """Go on from where an interrupted run was, if there is one."""
        saved = self.run["scratch"].load("batches")
        if saved is not None:
            self.centroids, self._means = saved["centroids"], saved["means"]
            self._counts, self.costs = saved["counts"], saved["costs"].tolist()
            self.cost, self.taken = float(saved["cost"]), int(saved["taken"])

    def take(self, block: NDArray[np.float32]) -> None:
        """Move the centroids by a batch, and add its cost before that."""
        engine = self.run["engine"]
        centers = Centers.prepare(self.centroids, self.projection, engine)

        def task(start: int) -> tuple[NDArray[np.int32], float]:
            rows = block[start : start + _TASK]
            labels = nearest(rows, centers)
            return labels, self._squares.sum(squared_distances(rows, centers.points, labels))

        parts = list(engine.driver.map(task, range(0, len(block), _TASK)))
        labels = np.concatenate([part[0] for part in parts])
        added = moved_rows(block, np.full(len(block), -1, np.int32), labels, self._quantum)
        before = self._counts[added.clusters]
        after = before + added.counts
        sums = self._means[added.clusters] * before[:, None] + added.sums * self._quantum.unit
        self._means[added.clusters] = sums / after[:, None]
        self._counts[added.clusters] = after
        moved = self._means[added.clusters]
        if self.run["spherical"]:
            norms = np.sqrt(np.square(moved).sum(axis=1, keepdims=True))
            moved = moved / np.where(norms > 0.0, norms, 1.0)
        self.centroids = self.centroids.copy()
        self.centroids[added.clusters] = moved
        self.cost += self._squares.value(sum(part[1] for part in parts))
        self.taken += len(block)

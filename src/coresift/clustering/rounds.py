"""k-means||: seeding by a few passes over all rows.

Bahmani, Moseley, Vattani, Kumar, Vassilvitskii, "Scalable K-Means++", VLDB 2012.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.nearest import closer
from coresift.clustering.plusplus import plusplus
from coresift.clustering.points import Points, sample_rows
from coresift.clustering.projection import Projection
from coresift.core import randomness
from coresift.core.exact import Quantum
from coresift.core.memory import Budget
from coresift.core.progress import Progress
from coresift.engine.base import Engine
from coresift.io.store import Scratch

_ROUNDS = 5
_OVERSAMPLING = 2


def seed_by_rounds(
    points: Points,
    k: int,
    seed: int,
    projection: Projection,
    engine: Engine,
    scratch: Scratch,
    budget: Budget,
    progress: Progress,
) -> NDArray[np.float32]:
    """Draw about 2 k candidates a round, five rounds, and reduce them to k by k-means++.

    A row becomes a candidate with probability min(1, 2 k D^2 / cost), by its own random
    number; candidates are weighted by the rows nearest to them.

    Parameters
    ----------
    points : Points
        All rows to train on.
    k : int
        Centers.
    seed : int
        The run's seed.
    projection : Projection
        Directions to compare rows in.
    engine, scratch, budget, progress
        The run's resources.

    Returns
    -------
    ndarray of float32, shape (k, dim)
    """
    rounds = _Rounds(points, projection, engine, scratch, budget)
    added = points.take(sample_rows(points, 1, seed, "seeding"))
    candidates = added
    for index in range(_ROUNDS + 1):
        with progress.stage(f"seeding round {index} of {_ROUNDS}", points.rows) as stage:
            cost = rounds.lower(added, offset=len(candidates) - len(added))
            stage.advance(points.rows)
        if index == _ROUNDS or cost == 0.0:
            break
        drawn = rounds.draw(_OVERSAMPLING * k / cost, seed, f"k-means||/{index}")
        added = points.take(drawn)
        candidates = np.concatenate([candidates, added])
    if len(candidates) < k:
        candidates = np.concatenate(
            [candidates, points.take(sample_rows(points, k, seed, "seeding/spare"))]
        )
    weights = rounds.weights(len(candidates))
    return candidates[plusplus(candidates, weights, k, seed, projection, engine, progress)]


class _Rounds:
    """D^2 and the nearest candidate of each row."""

    def __init__(
        self,
        points: Points,
        projection: Projection,
        engine: Engine,
        scratch: Scratch,
        budget: Budget,
    ) -> None:
        # 8 bytes a row for D^2 and 4 for the nearest candidate
        held = points.rows * 12 < budget.left() // 4
        self._points = points
        self._projection = projection
        self._engine = engine
        self._distance = scratch.rows(None, points.rows, 1, np.dtype(np.float64), held=held)
        self._owner = scratch.rows(None, points.rows, 1, np.dtype(np.int32), held=held)
        self._quantum = Quantum.covering(4.0 * points.bound**2, points.count)
        self._fresh = True

    def lower(self, added: NDArray[np.float32], offset: int) -> float:
        """Take candidates into account, numbered from ``offset``; returns the cost."""
        centers = Centers.prepare(added, self._projection) if len(added) else None
        fresh, self._fresh = self._fresh, False

        def task(run: tuple[int, int]) -> float:
            _, block = self._points.read(*run)
            stop = run[0] + len(block)
            squared = self._distance.read(run[0], stop)[:, 0].astype(np.float64)
            owner = self._owner.read(run[0], stop)[:, 0].astype(np.int32)
            if fresh:
                squared[:] = np.inf
            if centers is not None:
                near, labels, found = closer(block, centers, squared)
                squared[near] = found
                owner[near] = labels + offset
                self._distance.write(run[0], squared[:, None])
                self._owner.write(run[0], owner[:, None])
            return self._quantum.sum(squared)

        return self._quantum.value(sum(self._engine.map(task, self._points.runs())))

    def draw(self, scale: float, seed: int, purpose: str) -> NDArray[np.int64]:
        """Rows whose random number is below ``scale`` D^2."""

        def task(run: tuple[int, int]) -> NDArray[np.int64]:
            rows, _ = self._points.read(*run)
            squared = self._distance.read(run[0], run[0] + len(rows))[:, 0]
            return rows[randomness.uniform(seed, purpose, rows) < scale * squared]

        return np.concatenate(list(self._engine.map(task, self._points.runs())))

    def weights(self, count: int) -> NDArray[np.float64]:
        """How many rows are nearest to each candidate; at least one, which a spare has."""
        weights = np.zeros(count)
        for run in self._points.runs():
            rows, _ = self._points.read(*run)
            owner = self._owner.read(run[0], run[0] + len(rows))[:, 0].astype(np.int64)
            weights += np.bincount(owner, minlength=count)
        return np.maximum(weights, 1.0)

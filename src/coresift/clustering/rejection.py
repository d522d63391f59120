"""RS-k-means++: seeding from all rows by rejection sampling, with few looks at a row.

Shah, Agrawal and Jaiswal, "A New Rejection Sampling Approach to k-means++ With Improved
Trade-Offs", 2025. With rows shifted to mean zero, |x - c|^2 <= 2 (|x|^2 + |c|^2) for the first
center c. So a row proposed with probability proportional to |x|^2 + |c|^2, which is known once
and for all, and accepted with probability D^2 / (2 (|x|^2 + |c|^2)), is drawn by D^2, as
k-means++ draws: only proposals are ever compared with the centers. They are taken in batches;
what a batch accepts is thinned as in :mod:`coresift.clustering.plusplus`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.distances import squared_distances
from coresift.clustering.nearest import nearest
from coresift.clustering.plusplus import thin
from coresift.clustering.points import Points, sample_rows
from coresift.clustering.projection import Projection
from coresift.core import randomness
from coresift.core.exact import Quantum
from coresift.core.memory import Budget
from coresift.core.progress import Progress
from coresift.engine.base import Engine
from coresift.io.store import RowStore, Scratch

_LEAST_BATCH = 512
_BATCH_BYTES = 32 << 20
_TASK = 2048
# proposals for one center before it is drawn uniformly: the paper's second form
_PATIENCE = 8192


def seed_by_rejection(
    points: Points,
    k: int,
    seed: int,
    projection: Projection,
    engine: Engine,
    scratch: Scratch,
    budget: Budget,
    progress: Progress,
) -> tuple[NDArray[np.float32], int]:
    """Draw ``k`` centers among all rows by D^2.

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
    centers : ndarray of float32, shape (k, dim)
        In the order drawn.
    uniform : int
        How many were drawn uniformly, no proposal having been accepted.
    """
    generator = randomness.generator(seed, "rs-k-means++")
    first = points.take(sample_rows(points, 1, seed, "seeding"))
    proposals = _Proposals.of(points, first[0], engine, scratch, budget, progress)
    centers = np.empty((k, points.dim), np.float32)
    centers[0] = first[0]
    count, waited, uniform = 1, 0, 0
    largest = max(_LEAST_BATCH, _BATCH_BYTES // (4 * points.dim))
    with progress.stage("seed", k) as stage:
        stage.advance(1)
        while count < k:
            size = min(largest, max(_LEAST_BATCH, 4 * count), max(1, _PATIENCE - waited))
            rows, bound = proposals.draw(generator.random(size))
            block = _vectors(points, rows)
            distance = _distances(block, centers[:count], projection, engine)
            maybe = np.flatnonzero(generator.random(size) * bound < distance)
            kept = thin(block, distance, maybe, generator.random(len(maybe)), k - count)
            waited = 0 if len(kept) else waited + size
            if waited >= _PATIENCE:
                block = points.take(proposals.kept[generator.integers(points.count, size=1)])
                kept = np.zeros(1, np.int64)
                uniform, waited = uniform + 1, 0
            centers[count : count + len(kept)] = block[kept]
            count += len(kept)
            stage.advance(len(kept))
    return centers, uniform


def _vectors(points: Points, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Vectors of rows in any order, with repeats."""
    found, place = np.unique(rows, return_inverse=True)
    return points.take(found)[place]


def _distances(
    block: NDArray[np.float32],
    centers: NDArray[np.float32],
    projection: Projection,
    engine: Engine,
) -> NDArray[np.float64]:
    """D^2 of each row of a block."""
    prepared = Centers.prepare(centers, projection, engine)

    def task(start: int) -> NDArray[np.float64]:
        rows = block[start : start + _TASK]
        return squared_distances(rows, centers, nearest(rows, prepared))

    return np.concatenate(list(engine.map(task, range(0, len(block), _TASK))))


@dataclass(frozen=True)
class _Proposals:
    """Rows with their masses |x|^2 + |c|^2, x shifted by the mean.

    Attributes
    ----------
    kept : ndarray of int64, shape (count,)
        Row ids, ascending.
    norms : RowStore of float64, width 1
        |x|^2 of each row, in units that add up exactly.
    runs : list of tuple of int
        Position, and place among the kept, of the first row of each run.
    totals : ndarray of float64, shape (runs + 1,)
        Units before each run, and of all.
    unit : float
        What a unit is.
    floor : float
        |c|^2.
    """

    kept: NDArray[np.int64]
    norms: RowStore
    runs: list[tuple[int, int, int]]
    totals: NDArray[np.float64]
    unit: float
    floor: float

    @classmethod
    def of(
        cls,
        points: Points,
        first: NDArray[np.float32],
        engine: Engine,
        scratch: Scratch,
        budget: Budget,
        progress: Progress,
    ) -> _Proposals:
        """Measure all rows, in two passes."""
        mean = _mean(points, engine, progress)
        place = None if points.rows * 8 < budget.left() // 4 else scratch
        norms = RowStore(points.rows, 1, np.dtype(np.float64), place)
        quantum = Quantum.covering(4.0 * points.bound**2, points.count)

        def task(run: tuple[int, int]) -> tuple[int, float]:
            rows, block = points.read(*run)
            squared = squared_distances(block, mean[None], np.zeros(len(rows), np.int32))
            units = quantum.round(squared)
            norms.write(run[0], units[:, None])
            return len(rows), float(units.sum())

        found = []
        with progress.stage("norms", points.rows) as stage:
            for run, result in zip(points.runs(), engine.map(task, points.runs()), strict=True):
                found.append(result)
                stage.advance(run[1] - run[0])
        counts = np.array([count for count, _ in found])
        befores = np.cumsum(counts) - counts
        runs = [
            (run[0], int(before), int(count))
            for run, before, count in zip(points.runs(), befores, counts, strict=True)
        ]
        totals = np.concatenate([[0.0], np.cumsum([units for _, units in found])])
        own = squared_distances(first[None], mean[None], np.zeros(1, np.int32))
        return cls(points.kept_rows(), norms, runs, totals, quantum.unit, float(own[0]))

    def draw(self, at: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Rows drawn by their mass, and twice the mass: an upper bound of D^2.

        Parameters
        ----------
        at : ndarray of float64, shape (m,)
            Uniform numbers.
        """
        by_norm = self.totals[-1] * self.unit
        total = by_norm + self.floor * len(self.kept)
        where = at * total
        place = np.empty(len(at), np.int64)
        even = where >= by_norm
        if even.any():
            of_each = (where[even] - by_norm) / self.floor
            place[even] = np.minimum(of_each.astype(np.int64), len(self.kept) - 1)
        units = where / self.unit
        inside = np.flatnonzero(~even)
        run_of = np.searchsorted(self.totals[1:], units[inside], side="right")
        norms = np.empty(len(at))
        for run in np.unique(run_of):
            some = inside[run_of == run]
            start, before, count = self.runs[run]
            masses = self.norms.read(start, start + count)[:, 0]
            ends = self.totals[run] + np.cumsum(masses)
            place[some] = before + np.searchsorted(ends, units[some], side="right")
        befores = np.array([before for _, before, _ in self.runs])
        run_of = np.searchsorted(befores, place, side="right") - 1
        for run in np.unique(run_of):
            some = np.flatnonzero(run_of == run)
            start, before, count = self.runs[run]
            norms[some] = self.norms.read(start, start + count)[place[some] - before, 0]
        return self.kept[place], 2.0 * (norms * self.unit + self.floor)


def _mean(points: Points, engine: Engine, progress: Progress) -> NDArray[np.float32]:
    quantum = Quantum.covering(points.bound, points.count)

    def task(run: tuple[int, int]) -> NDArray[np.float64]:
        _, block = points.read(*run)
        total = np.zeros(points.dim)
        for start in range(0, len(block), _TASK):
            total += quantum.round(block[start : start + _TASK]).sum(axis=0)
        return total

    total = np.zeros(points.dim)
    with progress.stage("mean", points.rows) as stage:
        for run, part in zip(points.runs(), engine.map(task, points.runs()), strict=True):
            total += part
            stage.advance(run[1] - run[0])
    mean: NDArray[np.float32] = (total * (quantum.unit / points.count)).astype(np.float32)
    return mean

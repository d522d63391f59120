"""Rows drawn by their squared distance from one point and a uniform share, all at once.

What rejection sampling and Markov chains propose as centers: it does not change while centers
are added, so any number can be drawn ahead and compared with the centers by one product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.distances import squared_distances
from coresift.clustering.nearest import nearest
from coresift.clustering.points import Points
from coresift.clustering.projection import Projection
from coresift.core.exact import Quantum
from coresift.core.memory import Budget
from coresift.core.progress import Progress
from coresift.engine.base import Engine
from coresift.io.store import RowStore, Scratch

_TASK = 2048


def vectors_of(points: Points, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Vectors of rows in any order, with repeats."""
    found, place = np.unique(rows, return_inverse=True)
    return points.take(found)[place]


def distances(
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

    return np.concatenate(list(engine.driver.map(task, range(0, len(block), _TASK))))


@dataclass(frozen=True)
class Proposals:
    """Rows with their masses |x - o|^2 + f, for an origin o and a floor f.

    Attributes
    ----------
    kept : ndarray of int64, shape (count,)
        Row ids, ascending.
    norms : RowStore of float64, width 1
        |x - o|^2 of each row, in units that add up exactly.
    runs : list of tuple of int
        Position, and place among the kept, of the first row of each run.
    totals : ndarray of float64, shape (runs + 1,)
        Units before each run, and of all.
    unit : float
        What a unit is.
    floor : float
        f.
    """

    kept: NDArray[np.int64]
    norms: RowStore
    runs: list[tuple[int, int, int]]
    totals: NDArray[np.float64]
    unit: float
    floor: float

    @classmethod
    def around(
        cls,
        points: Points,
        origin: NDArray[np.float32],
        floor: float | None,
        engine: Engine,
        scratch: Scratch,
        budget: Budget,
        progress: Progress,
    ) -> Proposals:
        """Measure all rows from ``origin`` in a pass; the floor may be the mean of |x - o|^2."""
        held = points.rows * 8 < budget.left() // 4
        norms = scratch.rows(None, points.rows, 1, np.dtype(np.float64), held=held)
        quantum = Quantum.covering(4.0 * points.bound**2, points.count)

        def task(run: tuple[int, int]) -> tuple[int, float]:
            rows, block = points.read(*run)
            squared = squared_distances(block, origin[None], np.zeros(len(rows), np.int32))
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
        if floor is None:
            floor = float(totals[-1]) * quantum.unit / points.count
        return cls(points.kept_rows(), norms, runs, totals, quantum.unit, floor)

    def draw(self, at: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Rows drawn by their mass, and the mass of each.

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
        return self.kept[place], norms * self.unit + self.floor

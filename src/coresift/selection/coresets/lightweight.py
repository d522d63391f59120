"""Lightweight coresets, which need no clustering.

Bachem, Lucic and Krause, "Scalable k-Means Clustering via Lightweight Coresets", KDD 2018,
algorithm 1: q(x) = 1 / (2 n) + d^2 / (2 sum d^2), d the distance to the mean of all rows. The
error is bounded beside the cost of the mean, not beside that of good centers: it may be large
where rows lie in tight clusters. For k-median, d^1 in place of d^2 bounds the sensitivity by the
same argument.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.distances import squared_distances
from coresift.clustering.mean import mean_of
from coresift.core.exact import Quantum
from coresift.io.vectors import Vectors
from coresift.selection.base import Context
from coresift.selection.draws.drawing import MassBlock
from coresift.selection.draws.levels import quarters
from coresift.selection.reading.numbers import RowNumbers

_RINGS = 64


class Lightweight:
    """The masses of all rows; their costs are 8 bytes a row, in memory or in scratch.

    On the line rows lie by their mass, so that weights add up to the rows there are but for
    little.

    Parameters
    ----------
    points : Vectors
        The rows.
    power : int
        z.
    weights : RowNumbers or None
        How many rows each row stands for.
    context : Context
        The run's resources.

    Attributes
    ----------
    strata : int
        How many there are.
    """

    def __init__(
        self, points: Vectors, power: int, weights: RowNumbers | None, context: Context
    ) -> None:
        self.strata = _RINGS
        self._points = points
        self._weights = weights
        heaviest = 1.0 if weights is None else weights.largest
        held = 8 * points.rows < context.budget.left() // 2
        kind = np.dtype(np.float64)
        self._cost = context.scratch.rows(None, points.rows, 1, kind, held=held)
        mean = mean_of(points, context.engine, context.progress, self._weigh, heaviest)[None]
        farthest = (2.0 * points.bound) ** power
        quanta = [Quantum.covering(b, points.count) for b in (heaviest, heaviest * farthest)]

        def task(run: tuple[int, int]) -> tuple[float, float]:
            rows, block = points.read(*run)
            cost = squared_distances(block, mean, np.zeros(len(block), np.int32))
            if power == 1:
                np.sqrt(cost, out=cost)
            self._cost.scatter(rows, cost[:, None])
            weight = self._weigh(rows)
            return quanta[0].sum(weight), quanta[1].sum(weight * cost)

        sums = [0.0, 0.0]
        with context.progress.stage("weigh", points.rows) as stage:
            runs = points.runs()
            for run, found in zip(runs, context.engine.map(task, runs), strict=True):
                sums = [a + b for a, b in zip(sums, found, strict=True)]
                stage.advance(run[1] - run[0])
        weight, cost = (q.value(units) for q, units in zip(quanta, sums, strict=True))
        # a row of weight 1 has mass 1 + slope cost, twice n q
        self._slope = weight / cost if cost else 0.0

    def _weigh(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.ones(len(rows)) if self._weights is None else self._weights.take(rows)

    def resolved(self) -> dict[str, int]:
        """Nothing was settled."""
        return {}

    def masses(self) -> Iterator[MassBlock]:
        """Masses of all rows, in order."""
        kept = self._points.kept
        for start, stop in self._points.runs():
            rows = np.arange(start, stop, dtype=np.int64)
            cost = self._cost.read(start, stop)[:, 0]
            if kept is not None:
                rows, cost = rows[kept[start:stop]], cost[kept[start:stop]]
            mass = 1.0 + self._slope * cost
            stratum = np.minimum(quarters(mass), _RINGS - 1)
            nowhere = np.zeros(len(rows), np.int32)
            yield MassBlock(rows, self._weigh(rows) * mass, nowhere, stratum)

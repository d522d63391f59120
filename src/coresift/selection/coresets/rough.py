"""What the rows of a rough solution cost: all that coresets from one need to know.

Of a row only the cluster and the distance to its centroid are needed, so the assignments are
streamed and no vector is read. With d the distance and z = 2 for k-means, 1 for k-median, a
row costs d^z; where rows stand for several, all sums count them so often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.saved import Assignments, SavedClustering
from coresift.core.exact import Quantum
from coresift.core.progress import Progress
from coresift.selection.reading.numbers import RowNumbers


@dataclass(frozen=True)
class Costs:
    """Costs of some consecutive rows.

    Attributes
    ----------
    row : ndarray of int64, shape (m,)
        Row ids.
    cluster : ndarray of int32, shape (m,)
        Cluster of each.
    cost : ndarray of float64, shape (m,)
        d^z.
    weight : ndarray of float64, shape (m,)
        How many rows each stands for.
    """

    row: NDArray[np.int64]
    cluster: NDArray[np.int32]
    cost: NDArray[np.float64]
    weight: NDArray[np.float64]


class RoughSolution:
    """The costs of all rows, and of the clusters.

    Parameters
    ----------
    clustering : SavedClustering
        The rough solution: any whose cost is within a constant factor of the best.
    power : int
        z.
    weights : RowNumbers or None
        How many rows each row stands for.
    progress : Progress
        Where to report.
    """

    def __init__(
        self,
        clustering: SavedClustering,
        power: int,
        weights: RowNumbers | None,
        progress: Progress,
    ) -> None:
        self.k = clustering.k
        self._clustering = clustering
        self._power = power
        self._weights = weights
        self._progress = progress
        largest = 0.0
        for part in self.costs("weigh"):
            largest = max(largest, float((part.cost * part.weight).max(initial=0.0)))
        heaviest = 1.0 if weights is None else weights.largest
        self._quanta = [Quantum.covering(x, clustering.rows) for x in (heaviest, largest)]

    def costs(self, stage: str) -> Iterator[Costs]:
        """One pass over the rows."""
        with self._progress.stage(stage, self._clustering.rows) as progress:
            for part in self._clustering.assignments():
                if len(part.row):
                    yield self._of(part)
                    progress.advance(len(part.row))

    def _of(self, part: Assignments) -> Costs:
        distance = part.distance.astype(np.float64)
        cost = distance * distance if self._power == 2 else distance
        weight = np.ones(len(cost)) if self._weights is None else self._weights.take(part.row)
        return Costs(part.row, part.cluster, cost, weight)

    def sums(
        self, cells: int, cell_of: Callable[[Costs], NDArray[np.int64]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight and cost of the rows of each cell, exact."""
        found = np.zeros((2, cells))
        for part in self.costs("weigh"):
            places = cell_of(part)
            for index, terms in enumerate((part.weight, part.weight * part.cost)):
                rounded = self._quanta[index].round(terms)
                found[index] += np.bincount(places, rounded, minlength=cells)
        weight, cost = (q.unit * total for q, total in zip(self._quanta, found, strict=True))
        return weight, cost

    @cached_property
    def clusters(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight and cost of each cluster."""
        return self.sums(self.k, lambda part: part.cluster.astype(np.int64))

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """Mean cost of the rows of each cluster; 0 where there are none."""
        weight, cost = self.clusters
        return cost / np.where(weight > 0.0, weight, 1.0)

    def relative(self, part: Costs) -> NDArray[np.float64]:
        """Cost of each row over the mean of its cluster; 0 where that is 0."""
        mean = self.mean[part.cluster]
        return np.divide(part.cost, mean, out=np.zeros(len(mean)), where=mean > 0.0)

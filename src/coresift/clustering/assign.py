"""The last pass: every row's cluster and distance, and what is known of each cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.distances import squared_distances
from coresift.clustering.nearest import nearest
from coresift.clustering.points import Points
from coresift.clustering.saved import Assignments
from coresift.core.exact import Quantum
from coresift.core.progress import Progress
from coresift.engine.base import Engine
from coresift.io.store import RowStore, Scratch


@dataclass(frozen=True)
class _Run:
    positions: int
    rows: NDArray[np.int64]
    labels: NDArray[np.int32]
    distance: NDArray[np.float32]
    cost: tuple[NDArray[np.float64], NDArray[np.float64]]
    medoid: tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]]


class Assigning:
    """Assign all rows to fixed centroids; totals are complete once the rows have been drawn.

    Parameters
    ----------
    points : Points
        All rows.
    centroids : ndarray of float32, shape (k, dim)
        Centroids.
    labels : RowStore or None
        Labels under these centroids, where training left them.
    engine, progress : Engine, Progress
        Where to run and to report.
    scratch : Scratch, optional
        Where to remember how far it is.

    Attributes
    ----------
    size : ndarray of int64, shape (k,)
        Rows of each cluster.
    medoid : ndarray of int64, shape (k,)
        Row nearest the centroid, the lowest id of equals; -1 for an empty cluster.
    """

    def __init__(
        self,
        points: Points,
        centroids: NDArray[np.float32],
        labels: RowStore | None,
        engine: Engine,
        progress: Progress,
        scratch: Scratch | None = None,
    ) -> None:
        self._points = points
        self._centroids = centroids
        self._labels = labels
        self._engine = engine
        self._progress = progress
        self._scratch = scratch or Scratch()
        reach = float(np.sqrt(np.square(centroids, dtype=np.float64).sum(axis=1).max()))
        # two units: far from the origin one alone would round distances away
        self._quantum = Quantum.covering((points.bound + reach) ** 2, points.count)
        self._fine = Quantum.covering(self._quantum.unit, points.count)
        k = len(centroids)
        self.size = np.zeros(k, np.int64)
        self.medoid = np.full(k, -1, np.int64)
        self._units = np.zeros(k)
        self._fine_units = np.zeros(k)
        self._nearest = np.full(k, np.inf)

    @property
    def cost(self) -> NDArray[np.float64]:
        """Sum of squared distances of each cluster, shape (k,)."""
        return self._units * self._quantum.unit + self._fine_units * self._fine.unit

    @property
    def total_cost(self) -> float:
        """Sum of squared distances of all rows; exact sums, so free of any order."""
        coarse, fine = float(self._units.sum()), float(self._fine_units.sum())
        return self._quantum.value(coarse) + self._fine.value(fine)

    def __iter__(self) -> Iterator[Assignments]:
        store, reached = self._labels, self._points.rows
        if store is None and self._scratch.keeps_rows:
            kind = np.dtype(np.int32)
            store = self._scratch.rows("assigned", self._points.rows, 1, kind, held=False)
        if self._labels is None:
            saved = self._scratch.load("assigned")
            reached = 0 if saved is None else int(saved["stop"])
        whole = reached == self._points.rows
        centers = None if whole else Centers.prepare(self._centroids)

        def task(run: tuple[int, int]) -> _Run:
            rows, block = self._points.read(*run)
            if centers is None or run[1] <= reached:
                assert store is not None
                labels = store.read(run[0], run[0] + len(rows))[:, 0].astype(np.int32)
            else:
                labels = nearest(block, centers)
                if store is not None:
                    store.write(run[0], labels[:, None])
            squared = squared_distances(block, self._centroids, labels)
            units = self._quantum.round(squared)
            rest = self._fine.round(squared - units * self._quantum.unit)
            cost = (self._by_cluster(labels, units), self._by_cluster(labels, rest))
            order = np.lexsort((rows, squared, labels))
            first = order[np.r_[True, np.diff(labels[order]) != 0]] if len(order) else order
            medoid = (labels[first], rows[first], squared[first])
            distance = np.sqrt(squared).astype(np.float32)
            return _Run(run[1] - run[0], rows, labels, distance, cost, medoid)

        with self._progress.stage("assign", self._points.rows) as stage:
            stop = 0
            for result in self._engine.map(task, self._points.runs()):
                self._add(result)
                stage.advance(result.positions)
                stop += result.positions
                finished = stop == self._points.rows
                if store is not None and stop > reached and (finished or self._scratch.due):
                    self._scratch.save("assigned", [store], stop=stop)
                yield Assignments(result.rows, result.labels, result.distance)

    def _by_cluster(
        self, labels: NDArray[np.int32], units: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        sums = np.bincount(labels, weights=units, minlength=len(self.size))
        return sums.astype(np.float64, copy=False)

    def _add(self, run: _Run) -> None:
        self.size += np.bincount(run.labels, minlength=len(self.size))
        self._units += run.cost[0]
        self._fine_units += run.cost[1]
        clusters, rows, squared = run.medoid
        nearer = squared < self._nearest[clusters]
        self._nearest[clusters[nearer]] = squared[nearer]
        self.medoid[clusters[nearer]] = rows[nearer]

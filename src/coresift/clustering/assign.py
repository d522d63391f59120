"""The last pass: every row's cluster and distance, and what is known of each cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

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
class _Totals:
    """What is known of each cluster from some rows; arrays of shape (k,).

    Attributes
    ----------
    spans : tuple of tuple of int
        First position of each run of rows, and how many rows it holds.
    positions : int
        Positions that were passed.
    size : ndarray of int64
        Rows.
    units, fine_units : ndarray of float64
        Squared distances, in units that add up exactly.
    medoid : ndarray of int64
        Row nearest the centroid; -1 where there is none.
    nearest : ndarray of float64
        Its squared distance.
    """

    spans: tuple[tuple[int, int], ...]
    positions: int
    size: NDArray[np.int64]
    units: NDArray[np.float64]
    fine_units: NDArray[np.float64]
    medoid: NDArray[np.int64]
    nearest: NDArray[np.float64]

    @classmethod
    def none(cls, k: int) -> _Totals:
        """No rows."""
        sums = np.zeros(k), np.zeros(k)
        return cls(
            (), 0, np.zeros(k, np.int64), *sums, np.full(k, -1, np.int64), np.full(k, np.inf)
        )

    def merged(self, after: _Totals) -> _Totals:
        """Take in the rows that follow; changes this."""
        self.size[:] += after.size
        self.units[:] += after.units
        self.fine_units[:] += after.fine_units
        nearer = after.nearest < self.nearest
        self.nearest[nearer] = after.nearest[nearer]
        self.medoid[nearer] = after.medoid[nearer]
        return replace(
            self, spans=self.spans + after.spans, positions=self.positions + after.positions
        )


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
        self._totals = _Totals.none(len(centroids))

    @property
    def count(self) -> int:
        """Rows there are."""
        return self._points.count

    @property
    def rows(self) -> int:
        """Positions that they lie at."""
        return self._points.rows

    @property
    def size(self) -> NDArray[np.int64]:
        """Rows of each cluster, shape (k,)."""
        return self._totals.size

    @property
    def medoid(self) -> NDArray[np.int64]:
        """Row nearest each centroid, the lowest id of equals; -1 for an empty cluster."""
        return self._totals.medoid

    @property
    def cost(self) -> NDArray[np.float64]:
        """Sum of squared distances of each cluster, shape (k,)."""
        found = self._totals
        return found.units * self._quantum.unit + found.fine_units * self._fine.unit

    @property
    def total_cost(self) -> float:
        """Sum of squared distances of all rows; exact sums, so free of any order."""
        coarse, fine = (
            float(self._totals.units.sum()),
            float(self._totals.fine_units.sum()),
        )
        return self._quantum.value(coarse) + self._fine.value(fine)

    def __iter__(self) -> Iterator[Assignments]:
        store, reached = self._labels, self._points.rows
        if store is None and self._scratch.keeps_rows:
            kind = np.dtype(np.int32)
            store = self._scratch.rows("assigned", self._points.rows, 1, kind, held=False)
        if self._labels is None:
            saved = self._scratch.load("assigned")
            reached = 0 if saved is None else int(saved["stop"])
        task = self._task(store, reached)
        with self._progress.stage("assign", self._points.rows) as stage:
            stop = 0
            for totals, part in self._engine.map(task, self._points.runs()):
                self._totals = self._totals.merged(totals)
                stage.advance(totals.positions)
                stop += totals.positions
                finished = stop == self._points.rows
                if store is not None and stop > reached and (finished or self._scratch.due):
                    self._scratch.save("assigned", [store], stop=stop)
                yield part

    def lay_out(self, store: RowStore) -> tuple[tuple[int, int], ...]:
        """Assign all rows, and leave what is known of each in a store.

        Parameters
        ----------
        store : RowStore of uint32, width 4
            Room for :func:`packed` assignments by position.

        Returns
        -------
        tuple of tuple of int
            First position of each run of rows, and how many rows it holds.
        """
        inner = self._task(self._labels, self._points.rows if self._labels is not None else 0)

        def task(run: tuple[int, int]) -> _Totals:
            totals, part = inner(run)
            store.write(run[0], packed(part))
            return totals

        with self._progress.stage("assign", self._points.rows) as stage:
            for totals in self._engine.map(task, self._points.runs(), _Totals.merged):
                self._totals = self._totals.merged(totals)
                stage.advance(totals.positions)
        return self._totals.spans

    def _task(
        self, store: RowStore | None, reached: int
    ) -> Callable[[tuple[int, int]], tuple[_Totals, Assignments]]:
        """Assign a run of rows; positions up to ``reached`` have their labels in the store."""
        points, centroids = self._points, self._centroids
        quantum, fine, k = self._quantum, self._fine, len(self._centroids)
        centers = None if reached == points.rows else Centers.prepare(centroids)

        def by_cluster(
            labels: NDArray[np.int32], units: NDArray[np.float64]
        ) -> NDArray[np.float64]:
            sums = np.bincount(labels, weights=units, minlength=k)
            return sums.astype(np.float64, copy=False)

        def task(run: tuple[int, int]) -> tuple[_Totals, Assignments]:
            rows, block = points.read(*run)
            if centers is None or run[1] <= reached:
                assert store is not None
                labels = store.read(run[0], run[0] + len(rows))[:, 0].astype(np.int32)
            else:
                labels = nearest(block, centers)
                if store is not None:
                    store.write(run[0], labels[:, None])
            squared = squared_distances(block, centroids, labels)
            units = quantum.round(squared)
            rest = fine.round(squared - units * quantum.unit)
            order = np.lexsort((rows, squared, labels))
            first = order[np.r_[True, np.diff(labels[order]) != 0]] if len(order) else order
            totals = replace(
                _Totals.none(k),
                spans=((run[0], len(rows)),),
                positions=run[1] - run[0],
                size=np.bincount(labels, minlength=k),
                units=by_cluster(labels, units),
                fine_units=by_cluster(labels, rest),
            )
            totals.medoid[labels[first]] = rows[first]
            totals.nearest[labels[first]] = squared[first]
            return totals, Assignments(rows, labels, np.sqrt(squared).astype(np.float32))

        return task


def packed(part: Assignments) -> NDArray[np.uint32]:
    """Assignments as four words each: the row's two, cluster and distance."""
    words = np.empty((len(part.row), 4), np.uint32)
    words[:, :2] = part.row.view(np.uint32).reshape(-1, 2)
    words[:, 2] = part.cluster.view(np.uint32)
    words[:, 3] = part.distance.view(np.uint32)
    return words


def unpacked(words: NDArray[np.uint32]) -> Assignments:
    """Assignments again."""
    row = np.ascontiguousarray(words[:, :2]).view(np.int64)[:, 0]
    cluster = np.ascontiguousarray(words[:, 2]).view(np.int32)
    return Assignments(row, cluster, np.ascontiguousarray(words[:, 3]).view(np.float32))

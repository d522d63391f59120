"""Rows in the order of their distance from those that were chosen, the farthest first.

Choosing one row changes the distances of all, but only downwards. So the farthest of all can be
found among a pool of the farthest at some time, as long as one of it is still farther than any
row outside was then; the others are only brought up to date, with all rows chosen meanwhile at
once, when the pool is used up. The result is that of comparing all rows with every chosen one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.nearest import closer
from coresift.clustering.points import Points, sample_rows
from coresift.clustering.projection import Projection
from coresift.core.smallest import Smallest
from coresift.engine.base import Engine
from coresift.io.store import RowStore, Scratch
from coresift.selection.base import Context

_SAMPLE = 2048
_CHOSEN = -1.0
_POOL_BYTES = 4 << 20
_LEAST_POOL = 1024
# chosen rows that all others are compared with at a time
_TOGETHER = 4096


@dataclass
class _Pool:
    """The farthest rows, in the order of their ids, and the last of them by distance."""

    rows: NDArray[np.int64]
    squared: NDArray[np.float64]
    vectors: NDArray[np.float32]
    heads: NDArray[np.float32]
    bar: tuple[float, int]


class Farthest:
    """Squared distances of all rows from those that were chosen.

    Distances are float64 and computed row by row; ties go to the first row.

    Parameters
    ----------
    points : Points
        The rows to choose from.
    engine : Engine
        Where to run.
    least_pool : int
        Rows that must be told apart at a time.
    scratch : Scratch, optional
        Where to keep the distances of all rows; in memory without.
    """

    def __init__(
        self,
        points: Points,
        engine: Engine,
        least_pool: int = 1,
        scratch: Scratch | None = None,
    ) -> None:
        self._points = points
        self._engine = engine
        self._squared = RowStore(points.rows, 1, np.dtype(np.float64), scratch)
        for start, stop in points.runs():
            self._squared.write(start, np.full((stop - start, 1), np.inf))
        sample = points.take(sample_rows(points, _SAMPLE, 0, "projection"))
        self._projection = Projection(sample.mean(axis=0, dtype=np.float64).astype(np.float32))
        self._size = _pool_rows(points, least_pool)
        self._pool: _Pool | None = None
        self._added: list[NDArray[np.float32]] = []
        self._chosen: list[int] = []

    @classmethod
    def within(cls, points: Points, context: Context, least_pool: int = 1) -> Self:
        """Within the memory budget of a run; see the class for what the others are.

        Raises
        ------
        ResourceError
            When a pool does not fit.
        """
        size = _pool_rows(points, least_pool)
        context.budget.require(8 * size * points.dim, f"a pool of {size:,} rows")
        held = 8 * points.rows < context.budget.left() // 4
        return cls(points, context.engine, least_pool, None if held else context.scratch)

    def add(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Hold some rows, ascending, from here on."""
        self._added.append(vectors)
        self._chosen.extend(rows.tolist())
        if self._pool is None:
            return
        pool = self._pool
        centers = Centers.prepare(vectors, self._projection)
        _bring_closer(pool.squared, pool.vectors, centers, pool.heads)
        place = np.searchsorted(pool.rows, rows)
        there = place[(place < len(pool.rows))]
        there = there[np.isin(pool.rows[there], rows)]
        pool.squared[there] = _CHOSEN

    def farthest(self, count: int = 1) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The farthest rows that were not chosen: ids, ascending, and squared distances."""
        for _ in range(2):
            if self._pool is not None:
                found = self._among(self._pool, count)
                if found is not None:
                    return self._pool.rows[found], self._pool.squared[found]
            self._pool = self._refilled()
        raise AssertionError("a new pool holds the farthest rows")

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Vectors of rows of the pool."""
        assert self._pool is not None
        return self._pool.vectors[np.searchsorted(self._pool.rows, rows)]

    @staticmethod
    def _among(pool: _Pool, count: int) -> NDArray[np.int64] | None:
        """Places of the farthest rows of the pool; None when others may be farther."""
        if count == 1:
            # of equals, the first
            order = np.array([int(pool.squared.argmax())])
        else:
            bound = np.partition(pool.squared, len(pool.squared) - count)[-count]
            some = np.flatnonzero(pool.squared >= bound)
            order = some[np.lexsort((pool.rows[some], -pool.squared[some]))][:count]
        last = int(order[-1])
        squared, row = float(pool.squared[last]), int(pool.rows[last])
        if squared < 0.0 or (-squared, row) > (-pool.bar[0], pool.bar[1]):
            return None
        return np.sort(order)

    def _refilled(self) -> _Pool:
        """Bring all rows up to date, and take the farthest."""
        added = np.concatenate(self._added) if self._added else np.empty((0, 0), np.float32)
        chosen = np.sort(np.array(self._chosen, np.int64))
        self._added = []
        parts = [added[i : i + _TOGETHER] for i in range(0, len(added), _TOGETHER)]
        centers = [Centers.prepare(part, self._projection) for part in parts]

        def task(run: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
            rows, block = self._points.read(*run)
            stop = run[0] + len(rows)
            squared = self._squared.read(run[0], stop)[:, 0].copy()
            for part in centers:
                _bring_closer(squared, block, part)
            squared[np.isin(rows, chosen, assume_unique=True)] = _CHOSEN
            self._squared.write(run[0], squared[:, None])
            smallest = Smallest(self._size)
            smallest.add(-squared, rows)
            return smallest.result()  # type: ignore[return-value]

        best = Smallest(self._size)
        for found, rows in self._engine.map(task, self._points.runs()):
            best.add(found, rows)
        keys, rows = best.result()
        bar = -float(keys[-1]), int(rows[-1])
        order = np.argsort(rows)
        rows, squared = rows[order], -keys[order].astype(np.float64)
        vectors = self._points.take(rows)
        return _Pool(rows, squared, vectors, self._projection.rows(vectors), bar)


def _bring_closer(
    squared: NDArray[np.float64],
    rows: NDArray[np.float32],
    centers: Centers,
    heads: NDArray[np.float32] | None = None,
) -> None:
    """Lower squared distances to those from some centers."""
    # rows equal to a chosen one cannot come closer, and would be measured against all their equals
    apart = squared > 0.0
    if apart.all():
        near, _, found = closer(rows, centers, squared, heads)
        squared[near] = found
    elif apart.any():
        left = np.flatnonzero(apart)
        some = None if heads is None else heads[left]
        near, _, found = closer(rows[left], centers, squared[left], some)
        squared[left[near]] = found


def _pool_rows(points: Points, least: int) -> int:
    return min(points.count, max(_LEAST_POOL, _POOL_BYTES // (4 * points.dim), 2 * least))

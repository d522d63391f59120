"""Rows in the order of their distance from those that were chosen, the farthest first.

Choosing one row changes the distances of all, but only downwards. So a distance that is out of
date is a bound, and only rows whose bound is large need be looked at:

- The farthest of all is found among a pool of the farthest at some time, as long as one of it is
  still farther than any row outside was then.
- When the pool is used up, rows are brought up to date with all that was chosen since they last
  were, from the largest bound down to one that enough rows still reach. Rows near to a chosen one
  wait until the end, when :meth:`Farthest.assigned` compares them with the rest.

Every row is so compared with every chosen one at most once, and the result is that of comparing
all with each as it is chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.nearest import closer
from coresift.clustering.points import Points, sample_rows
from coresift.clustering.projection import Projection
from coresift.core.progress import Progress
from coresift.core.smallest import Smallest
from coresift.engine.base import Engine
from coresift.io.store import RowStore, Scratch
from coresift.selection.base import Context
from coresift.selection.duplicates.growing import Growing

# of a row: its squared distance, whose it is, and how many it was compared with
ROW_BYTES = 16
_SAMPLE = 2048
_CHOSEN = -1.0
_POOL_BYTES = 4 << 20
_LEAST_POOL = 1024
# chosen rows that all others are compared with at a time
_TOGETHER = 4096
# rows that are brought up to date, of each in a pool, and how many more if few of them stay far
_DEPTH = 4
_NO_ROW = -1
# how many rows each of some rows counts for
Weigh = Callable[[NDArray[np.int64]], NDArray[np.float64]]
_ANY_ROW = np.iinfo(np.int64).max


@dataclass
class _Pool:
    """The farthest rows, in the order of their ids, and what rows outside do not exceed."""

    rows: NDArray[np.int64]
    squared: NDArray[np.float64]
    vectors: NDArray[np.float32]
    heads: NDArray[np.float32]
    bar: tuple[float, int]


@dataclass(frozen=True)
class Assigned:
    """All rows, each with its nearest chosen one.

    Attributes
    ----------
    weight : ndarray of float64, shape (n,)
        Rows that each chosen one is nearest to, in the order they were added; of two that are as
        near the first counts, but each that was chosen stands for itself.
    radius : float
        Largest distance of a row from its nearest chosen one, some outliers left out.
    """

    weight: NDArray[np.float64]
    radius: float


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
        Where to keep what is known of all rows; in the memory of this process without.
    held : bool
        Whether that fits into memory.
    """

    def __init__(
        self,
        points: Points,
        engine: Engine,
        least_pool: int = 1,
        scratch: Scratch | None = None,
        *,
        held: bool = True,
    ) -> None:
        self._points = points
        self._engine = engine
        self._squared = self._store(1, np.dtype(np.float64), scratch, held=held)
        # the chosen one that is nearest, and how many it was compared with
        self._state = self._store(2, np.dtype(np.int32), scratch, held=held)
        self._clear()
        sample = points.take(sample_rows(points, _SAMPLE, 0, "projection"))
        self._projection = Projection(sample.mean(axis=0, dtype=np.float64).astype(np.float32))
        self._size = _pool_rows(points.count, points.dim, least_pool)
        self._least = least_pool
        self._pool: _Pool | None = None
        self._added: list[NDArray[np.float32]] = []
        self._rows: list[NDArray[np.int64]] = []
        self._prepared = Growing(self._projection)
        self._begun = False

    @classmethod
    def within(cls, points: Points, context: Context, least_pool: int = 1) -> Self:
        """Within the memory budget of a run; see the class for what the others are.

        Raises
        ------
        ResourceError
            When a pool does not fit.
        """
        size = _pool_rows(points.count, points.dim, least_pool)
        context.budget.require(
            pool_bytes(points.count, points.dim, least_pool), f"a pool of {size:,} rows"
        )
        held = ROW_BYTES * points.rows < context.budget.left() // 4
        return cls(points, context.engine, least_pool, context.scratch, held=held)

    def _store(
        self, width: int, kind: np.dtype[Any], scratch: Scratch | None, *, held: bool
    ) -> RowStore:
        if scratch is None:
            return RowStore(self._points.rows, width, kind, None)
        return scratch.rows(None, self._points.rows, width, kind, held=held)

    def _clear(self) -> None:
        """Nothing is chosen."""

        def task(run: tuple[int, int]) -> None:
            rows = run[1] - run[0]
            self._squared.write(run[0], np.full((rows, 1), np.inf))
            self._state.write(run[0], np.zeros((rows, 2), np.int32))

        for _ in self._engine.map(task, self._points.runs()):
            pass

    def add(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Hold some vectors from here on, which are of these rows, or of none where none are."""
        self._added.append(vectors)
        self._rows.append(rows if len(rows) else np.full(len(vectors), _NO_ROW))
        if self._pool is None:
            return
        pool = self._pool
        some = np.arange(len(pool.rows))
        if (pool.squared == 0.0).any():
            some = np.flatnonzero(pool.squared > 0.0)
        centers = Centers.prepare(vectors, self._projection)
        _bring_closer(pool.squared, pool.vectors, centers, some, pool.heads)
        pool.squared[np.isin(pool.rows, rows)] = _CHOSEN

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

    def assigned(
        self, progress: Progress, outliers: int = 0, weigh: Weigh | None = None
    ) -> Assigned:
        """Compare all rows with all that were chosen.

        Parameters
        ----------
        progress : Progress
            Where to report.
        outliers : int
            How many of the farthest rows are not looked at for the radius.
        weigh : callable, optional
            How many rows each of some rows counts for; 1 by default.
        """
        self._pool = None
        chosen = self._settle()
        count = self._prepared.count
        farthest = Smallest(outliers + 1)

        def task(
            run: tuple[int, int],
        ) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.int64]]:
            rows, squared, nearest = self._up_to_date(run, chosen, 0.0)
            others = squared >= 0.0
            mass = None if weigh is None else weigh(rows[others])
            counts = np.bincount(nearest[others], mass, minlength=count)
            return counts, np.maximum(squared, 0.0), rows

        every = np.concatenate(self._rows)
        weight = (every != _NO_ROW).astype(np.float64)
        if weigh is not None:
            place = np.argsort(every)
            place = place[every[place] != _NO_ROW]
            weight[place] = weigh(every[place])
        with progress.stage("assign", self._points.rows) as stage:
            for run, (counts, squared, ids) in zip(
                self._points.runs(), self._engine.map(task, self._points.runs()), strict=True
            ):
                weight += counts
                farthest.add(-squared, ids)
                stage.advance(run[1] - run[0])
        keys, _ = farthest.result()
        return Assigned(weight, float(np.sqrt(-float(keys[-1]))))

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

    def _settle(self) -> NDArray[np.int64]:
        """Prepare what was added, to compare others with it: the rows left out, ascending."""
        if self._added:
            self._prepared.add(np.concatenate(self._added))
            self._added = []
        rows = np.concatenate(self._rows) if self._rows else np.empty(0, np.int64)
        return np.sort(rows[rows != _NO_ROW])

    def _refilled(self) -> _Pool:
        """Bring the rows that may be among the farthest up to date, and take these."""
        chosen = self._settle()
        left = self._points.count - len(chosen)
        wanted = min(left, max(self._least, self._size // _DEPTH))
        depth = self._size * _DEPTH
        while True:
            least = self._bound(depth) if self._begun and depth < left else 0.0
            best = self._farther(chosen, least)
            self._begun = True
            if len(best[1]) >= wanted:
                break
            depth *= _DEPTH
        keys, rows = best
        full = len(rows) == self._size
        bar = (-float(keys[-1]), int(rows[-1])) if full else (least, _ANY_ROW)
        order = np.argsort(rows)
        rows, squared = rows[order], -keys[order]
        vectors = self._points.take(rows)
        return _Pool(rows, squared, vectors, self._projection.rows(vectors), bar)

    def _bound(self, count: int) -> float:
        """What at least so many rows have as squared distance, brought up to date or not."""

        def task(run: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
            some = Smallest(count)
            some.add(-self._squared.read(*run)[:, 0], np.arange(*run))
            return some.result()  # type: ignore[return-value]

        largest = Smallest(count)
        for keys, rows in self._engine.map(task, self._points.runs()):
            largest.add(keys, rows)
        return max(0.0, -float(largest.result()[0][-1]))

    def _farther(
        self, chosen: NDArray[np.int64], least: float
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The farthest rows, at most a pool of them: minus their squared distances, and ids."""

        def task(run: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
            if not (self._squared.read(*run) >= least).any():
                return np.empty(0), np.empty(0, np.int64)
            rows, squared, _ = self._up_to_date(run, chosen, least)
            far = squared >= least
            smallest = Smallest(self._size)
            smallest.add(-squared[far], rows[far])
            return smallest.result()  # type: ignore[return-value]

        best = Smallest(self._size)
        for found, rows in self._engine.map(task, self._points.runs()):
            best.add(found, rows)
        return best.result()  # type: ignore[return-value]

    def _up_to_date(
        self, run: tuple[int, int], chosen: NDArray[np.int64], least: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int32]]:
        """Ids, squared distances and nearest chosen ones of a run.

        Where a squared distance is below ``least``, that is all that is certain of it. Rows that
        were chosen have a negative one.
        """
        rows, block = self._points.read(*run)
        squared = self._squared.read(*run)[:, 0].copy()
        nearest, compared = self._state.read(*run).T.copy()
        squared[len(rows) :] = _CHOSEN
        low, high = np.searchsorted(chosen, [rows[0], rows[-1] + 1] if len(rows) else [0, 0])
        squared[np.searchsorted(rows, chosen[low:high])] = _CHOSEN
        # rows equal to a chosen one cannot come closer, and would be measured with all of them
        late = (squared >= least) & (squared > 0.0)
        for number in np.unique(compared[late]).tolist():
            some = np.flatnonzero(late & (compared == number))
            for first in range(number, self._prepared.count, _TOGETHER):
                centers = self._prepared.since(first, _TOGETHER)
                found, labels = _bring_closer(squared, block, centers, some)
                nearest[found] = first + labels
            compared[some] = self._prepared.count
        self._squared.write(run[0], squared[:, None])
        self._state.write(run[0], np.stack([nearest, compared], axis=1))
        return rows, squared[: len(rows)], nearest[: len(rows)]


def _bring_closer(
    squared: NDArray[np.float64],
    rows: NDArray[np.float32],
    centers: Centers,
    some: NDArray[np.int64],
    heads: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Lower the squared distances of some rows to those from centers: whose, and which."""
    if len(some) == len(rows):
        found, labels, less = closer(rows, centers, squared[: len(rows)], heads)
    else:
        part = None if heads is None else heads[some]
        found, labels, less = closer(rows[some], centers, squared[some], part)
        found = some[found]
    squared[found] = less
    return found, labels


def pool_bytes(rows: int, dim: int, least: int = 1) -> int:
    """What a pool of the farthest of some rows takes."""
    return 8 * _pool_rows(rows, dim, least) * dim


def _pool_rows(rows: int, dim: int, least: int) -> int:
    return min(rows, max(_LEAST_POOL, _POOL_BYTES // (4 * dim), 2 * least))

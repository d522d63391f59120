"""Coverage by all similarities, in memory or made when they are asked for."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.distances import workspace
from coresift.core import randomness
from coresift.engine.base import Engine
from coresift.selection.pools.above import LISTED_BYTES, Above, Higher
from coresift.selection.pools.coverage import SPAN, TILE, Coverage, spans
from coresift.selection.pools.similarity import Rows, Similarity

# similarities of a task, and those of it that are added up at a time: threads wait for each other
# between the steps, so that these must not be short
_TASK, _BLOCK = 1 << 22, 1 << 20
# similarities of a task that makes them to list some: all of a row may have to be listed
_MADE = 1 << 22
# rows whose similarities are turned at a time: as many as a cache line holds
_STRIP = 16
# similarities that still add are listed once they are at most this share of all; whether they are
# is seen from so many rows, about so often while the chosen rows double
_FEW, _SAMPLE, _LOOKS = 1.0 / 64.0, 64, 4
# and that may be wrong by so much
_WRONG = 1.25
# what a similarity in memory takes, with those that are listed beside
PAIR_BYTES = 4 + _WRONG * _FEW * LISTED_BYTES


class Dense(Coverage):
    """All similarities; those that still add are listed once they are few.

    Parameters
    ----------
    similarity, rows, weight, engine
        As of :func:`~coresift.selection.pools.covering.coverage_by`.
    room : int
        Bytes that similarities may take.
    """

    def __init__(
        self,
        similarity: Similarity,
        rows: Rows,
        weight: NDArray[np.float64],
        engine: Engine,
        room: int,
    ) -> None:
        super().__init__(weight)
        self._similarity, self._rows, self._engine = similarity, rows, engine
        self._most = int(min(_WRONG * _FEW * len(rows) ** 2, room / LISTED_BYTES))
        self._above: Above | None = None
        self._added, self._next_look = 0, 1

    def expect(self, column: NDArray[np.float32]) -> None:
        """Be told of a row that is about to be chosen, by its similarity to all."""
        if self._above is not None:
            self._above.choose(column, self.best)
        self._added += 1

    def known(self) -> NDArray[np.float64] | None:
        """What each row would add now, in units, once few similarities add anything."""
        if self._added >= self._next_look:
            self._look()
        return None if self._above is None else self._above.gains

    def gains(self, some: NDArray[np.int64], least: float = -np.inf) -> NDArray[np.float64]:
        """What each of some rows would add now, in units, or less than ``least``."""
        return self._measured(some, least) if self._above is None else self._above.gains[some]

    def _look(self) -> None:
        """List the similarities that still add, if they are few."""
        self._next_look = 2 * self._added
        if self._above is not None:
            self._above.narrow(self.best)
        else:
            # what nothing is lost by leaving uncovered adds nothing
            best = np.where(self.weight > 0.0, self.best, np.inf).astype(np.float32)
            if self._adding(best) <= self._most / _WRONG:
                self._above = Above.of(self._higher(best), self.best, self.weight, self._most)
            if self._above is None:
                self._next_look = self._added + max(1, self._added // _LOOKS)

    def _adding(self, best: NDArray[np.float32]) -> float:
        """Estimate, from some rows, of how many similarities still add."""
        order = randomness.bits(0, f"adding/{self._added}", np.arange(len(self)))
        some = np.sort(np.argsort(order)[:_SAMPLE])

        def task(span: slice) -> int:
            return int(np.count_nonzero(self._units(some, span) > best[some, None]))

        adding = sum(self._engine.map(task, spans(len(self), SPAN)))
        return adding * len(self) / len(some)

    @abstractmethod
    def _units(self, some: NDArray[np.int64], span: slice) -> NDArray[np.float32]:
        """Similarities of some rows to consecutive ones, valid until a thread asks again."""

    @abstractmethod
    def _measured(self, some: NDArray[np.int64], least: float) -> NDArray[np.float64]:
        """As :meth:`gains`, from their similarities to all."""

    @abstractmethod
    def _higher(self, best: NDArray[np.float32]) -> Iterator[Higher]:
        """The similarities above ``best``, of all rows in their order."""


class Kept(Dense):
    """All similarities in memory."""

    def __init__(
        self,
        similarity: Similarity,
        rows: Rows,
        weight: NDArray[np.float64],
        engine: Engine,
        room: int,
    ) -> None:
        super().__init__(similarity, rows, weight, engine, room)
        self._matrix = np.empty((len(rows), len(rows)), np.float32)

        def task(tile: tuple[slice, slice]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            left, right = tile
            units = similarity.units(rows[left], rows[right])
            # no two tasks write the same ones
            self._matrix[left, right] = units
            turned = self._matrix[right, left]
            for start in range(0, len(units), _STRIP):
                turned[:, start : start + _STRIP] = units[start : start + _STRIP].T
            wide = workspace.take("wide units", units.shape, np.float64)
            np.copyto(wide, units)
            return wide @ self.weight[right], self.weight[left] @ wide

        # what each would add to nothing
        self._first = _by_tiles(len(rows), task, engine)
        self._rough_weight = self.weight.astype(np.float32)
        # what is left of a sum of products at worst, in float32 and in any order (Higham, Accuracy
        # and Stability of Numerical Algorithms, 2nd ed., section 3.1); a weight is rounded, too
        self._rounded = 1.0 - (len(rows) + 2) * 2.0**-24

    def column(self, place: int) -> NDArray[np.float32]:
        """Similarity of a row to all, in units."""
        found: NDArray[np.float32] = self._matrix[place]
        return found

    def all_gains(self) -> NDArray[np.float64]:
        """What each row would add now, in units."""
        if self.best.any():
            return self.gains(np.arange(len(self)))
        return self._first.copy()

    def _units(self, some: NDArray[np.int64], span: slice) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._matrix[some, span]
        return found

    def _measured(self, some: NDArray[np.int64], least: float) -> NDArray[np.float64]:
        covered = float(self.best @ self.weight)

        def exactly(units: NDArray[np.float32]) -> NDArray[np.float64]:
            return _covered(units, self.best, self.weight) - covered

        def roughly(units: NDArray[np.float32]) -> NDArray[np.float64]:
            np.maximum(units, self.best, out=units)
            # of integers up to 2^24, so exact: only the sum is rounded
            np.subtract(units, self.best, out=units)
            return (units @ self._rough_weight).astype(np.float64) / self._rounded

        if least <= 0.0 or self._rounded <= 0.0:
            return self._by_rows(some, exactly)
        found = self._by_rows(some, roughly)
        high = np.flatnonzero(found >= least)
        found[high] = self._by_rows(some[high], exactly)
        return found

    def _by_rows(
        self,
        some: NDArray[np.int64],
        measure: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    ) -> NDArray[np.float64]:
        """What is measured of rows by a copy of their similarities to all."""
        block = max(1, _BLOCK // len(self))

        def task(part: NDArray[np.int64]) -> NDArray[np.float64]:
            found = np.empty(len(part))
            for start in range(0, len(part), block):
                places = part[start : start + block]
                units = workspace.take("rows of units", (len(places), len(self)))
                np.take(self._matrix, places, axis=0, out=units, mode="clip")
                found[start : start + block] = measure(units)
            return found

        if len(some) * len(self) <= _BLOCK:
            return task(some)
        # as many for each worker
        workers = self._engine.workers
        parts = np.array_split(some, workers * math.ceil(len(some) * len(self) / workers / _TASK))
        return np.concatenate(list(self._engine.map(task, parts)))

    def _higher(self, best: NDArray[np.float32]) -> Iterator[Higher]:
        def task(span: slice) -> Higher:
            return Higher.of(self._matrix[span], best[span])

        return self._engine.map(task, spans(len(self), max(1, _BLOCK // len(self))))


class Remade(Dense):
    """Similarities that are made when they are asked for, and not kept."""

    def column(self, place: int) -> NDArray[np.float32]:
        """Similarity of a row to all, in units."""
        some = np.array([place])

        def task(span: slice) -> NDArray[np.float32]:
            found: NDArray[np.float32] = self._units(some, span)[0].copy()
            return found

        return np.concatenate(list(self._engine.map(task, spans(len(self), SPAN))))

    def all_gains(self) -> NDArray[np.float64]:
        """What each row would add now, in units."""

        def task(tile: tuple[slice, slice]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            left, right = tile
            units = self._similarity.units(self._rows[left], self._rows[right])
            over = workspace.take("over", units.shape, np.float64)
            np.subtract(units, self.best[right], out=over)
            mine = np.maximum(over, 0.0, out=over) @ self.weight[right]
            np.subtract(units, self.best[left, None], out=over)
            theirs = self.weight[left] @ np.maximum(over, 0.0, out=over)
            return mine, theirs

        return _by_tiles(len(self), task, self._engine)

    def _units(self, some: NDArray[np.int64], span: slice) -> NDArray[np.float32]:
        return self._similarity.units(self._rows[some], self._rows[span])

    def _measured(self, some: NDArray[np.int64], least: float) -> NDArray[np.float64]:  # noqa: ARG002
        def task(span: slice) -> NDArray[np.float64]:
            best, weight = self.best[span], self.weight[span]
            return _covered(self._units(some, span), best, weight) - best @ weight

        found = np.zeros(len(some))
        for part in self._engine.map(task, spans(len(self), SPAN)):
            found += part
        return found

    def _higher(self, best: NDArray[np.float32]) -> Iterator[Higher]:
        def task(span: slice) -> Higher:
            parts = []
            for other in spans(len(self), SPAN):
                units = self._similarity.units(self._rows[span], self._rows[other])
                parts.append(Higher.of(units, best[span], other.start))
            return Higher.beside(parts)

        return self._engine.map(task, spans(len(self), min(TILE, max(1, _MADE // len(self)))))


def _covered(
    units: NDArray[np.float32], best: NDArray[np.float32], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Coverage if each of some rows were chosen too; changes ``units``, their similarities."""
    np.maximum(units, best, out=units)
    wide = workspace.take("wide units", units.shape, np.float64)
    np.copyto(wide, units)
    found: NDArray[np.float64] = wide @ weight
    return found


def _by_tiles(
    rows: int,
    task: Callable[[tuple[slice, slice]], tuple[NDArray[np.float64], NDArray[np.float64]]],
    engine: Engine,
) -> NDArray[np.float64]:
    """Sum, for each row, of what a task makes of tiles: for rows of either side."""
    found = np.zeros(rows)
    tiles = list(_tiles(rows))
    for (left, right), (mine, theirs) in zip(tiles, engine.map(task, tiles), strict=True):
        found[left] += mine
        if left != right:
            found[right] += theirs
    return found


def _tiles(rows: int) -> Iterator[tuple[slice, slice]]:
    """Pairs of spans, the first not after the second."""
    every = spans(rows, TILE)
    for index, left in enumerate(every):
        for right in every[index:]:
            yield left, right

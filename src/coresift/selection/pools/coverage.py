"""Coverage: the sum over rows of their similarity to the most similar chosen row.

F(S) = sum_x weight(x) max_{s in S} sim(x, s), the facility-location function: monotone and
submodular for sim >= 0. What a row would add is a sum of integers below 2^53 (similarities are
in units of 2^-24, weights in units that total about 2^28 at most), so it is exact whatever the
order, and the same whether similarities are kept or made again.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.distances import workspace
from coresift.engine.base import Engine
from coresift.selection.pools.neighbours import most_similar
from coresift.selection.pools.similarity import UNITS, Rows, Similarity

# of methods that choose by coverage: most rows of a pool, and candidates of each as a multiple of
# the rows wanted; with as many as are wanted, twice as much is lost
POOL_ROWS = 50_000
CANDIDATES = 4
_TILE = 512
_SPAN = 4096
# similarities that are added up at a time
_BLOCK = 1 << 18
# bits that weights may total, so that with similarities they stay below 2^53, rounded up too
_WEIGHT_BITS = 28
# a matrix of similarities larger than this is made again rather than kept
_MATRIX_BYTES = 2 << 30
# up to so many rows, all cover all
_ALL_ROWS = 20_000
# beyond, so many times as many rows as a chosen one stands for; all, where these are too many
_SPREAD = 8
_LEAST_NEIGHBORS, _MOST_NEIGHBORS = 64, 1024
# a similarity to a neighbour, and where it is, twice while they are turned around
EDGE_BYTES = 20


class Coverage(ABC):
    """How well chosen rows cover all rows.

    Parameters
    ----------
    weight : ndarray of float64, shape (n,)
        How much each row counts, not negative.

    Attributes
    ----------
    best : ndarray of float32, shape (n,)
        Similarity of each row to the most similar one chosen so far, in units.
    scale : float
        What a unit of a gain is worth.
    """

    def __init__(self, weight: NDArray[np.float64]) -> None:
        total = float(weight.sum())
        unit = math.ldexp(1.0, max(math.frexp(total)[1] - _WEIGHT_BITS, -900))
        self.weight = np.rint(weight / unit)
        self.scale = unit / UNITS
        self.best = np.zeros(len(weight), np.float32)

    def __len__(self) -> int:
        """Rows."""
        return len(self.weight)

    def cover(self, similarity: Similarity, rows: Rows, others: Rows, engine: Engine) -> None:
        """Hold other rows from the start."""

        def task(span: slice) -> NDArray[np.float32]:
            best = np.zeros(span.stop - span.start, np.float32)
            for start in range(0, len(others), _SPAN):
                units = similarity.units(rows[span], others[start : start + _SPAN])
                np.maximum(best, units.max(axis=1), out=best, casting="same_kind")
            return best

        if len(others):
            self.best = np.concatenate(list(engine.map(task, _spans(len(rows), _TILE))))

    def add(self, place: int) -> NDArray[np.float32]:
        """Choose a row, and return its similarity to all."""
        column = self.column(place)
        np.maximum(self.best, column, out=self.best)
        return column

    @abstractmethod
    def column(self, place: int) -> NDArray[np.float32]:
        """Similarity of a row to all, in units."""

    @abstractmethod
    def gains(self, some: NDArray[np.int64]) -> NDArray[np.float64]:
        """What each of some rows would add now, in units."""

    @abstractmethod
    def all_gains(self) -> NDArray[np.float64]:
        """What each row would add now, in units."""


class Kept(Coverage):
    """All similarities in memory."""

    def __init__(
        self, similarity: Similarity, rows: Rows, weight: NDArray[np.float64], engine: Engine
    ) -> None:
        super().__init__(weight)
        self._engine = engine
        self._matrix = np.empty((len(rows), len(rows)), np.float32)

        def task(tile: tuple[slice, slice]) -> NDArray[np.float32]:
            return similarity.units(rows[tile[0]], rows[tile[1]]).astype(np.float32)

        tiles = list(_tiles(len(rows)))
        for (left, right), units in zip(tiles, engine.map(task, tiles), strict=True):
            self._matrix[left, right] = units
            self._matrix[right, left] = units.T

    def column(self, place: int) -> NDArray[np.float32]:
        """Similarity of a row to all, in units."""
        found: NDArray[np.float32] = self._matrix[place]
        return found

    def gains(self, some: NDArray[np.int64]) -> NDArray[np.float64]:
        """What each of some rows would add now, in units."""
        step = max(1, _BLOCK // len(self))
        parts = [some[start : start + step] for start in range(0, len(some), step)]
        if len(parts) <= 1:
            return self._gains(some)
        return np.concatenate(list(self._engine.map(self._gains, parts)))

    def all_gains(self) -> NDArray[np.float64]:
        """What each row would add now, in units."""
        return self.gains(np.arange(len(self)))

    def _gains(self, some: NDArray[np.int64]) -> NDArray[np.float64]:
        return _gains(self._matrix[some], self.best, self.weight)


class Remade(Coverage):
    """Similarities that are made when they are asked for, and not kept."""

    def __init__(
        self, similarity: Similarity, rows: Rows, weight: NDArray[np.float64], engine: Engine
    ) -> None:
        super().__init__(weight)
        self._similarity = similarity
        self._rows = rows
        self._engine = engine
        # the best of the rows asked for lately, which is likely to be chosen
        self._likely: tuple[int, float, NDArray[np.float32]] | None = None

    def add(self, place: int) -> NDArray[np.float32]:
        """Choose a row, and return its similarity to all."""
        column = super().add(place)
        self._likely = None
        return column

    def column(self, place: int) -> NDArray[np.float32]:
        """Similarity of a row to all, in units."""
        if self._likely is not None and self._likely[0] == place:
            return self._likely[2]
        return np.concatenate([units[0] for units, _ in self._asked(np.array([place]))])

    def gains(self, some: NDArray[np.int64]) -> NDArray[np.float64]:
        """What each of some rows would add now, in units."""
        parts = list(self._asked(some))
        found = np.zeros(len(some))
        for _, gains in parts:
            found += gains
        top = int(found.argmax())
        if self._likely is None or found[top] > self._likely[1]:
            column = np.concatenate([units[top] for units, _ in parts])
            self._likely = int(some[top]), float(found[top]), column
        return found

    def _asked(
        self, some: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float64]]]:
        """Similarities of some rows to all, and what they add, by spans of all rows."""
        asked = self._rows[some]

        def task(span: slice) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
            units = self._similarity.units(asked, self._rows[span]).astype(np.float32)
            return units, _gains(units.copy(), self.best[span], self.weight[span])

        return self._engine.map(task, _spans(len(self), _SPAN))

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

        found = np.zeros(len(self))
        tiles = list(_tiles(len(self)))
        for (left, right), (mine, theirs) in zip(tiles, self._engine.map(task, tiles), strict=True):
            found[left] += mine
            if left != right:
                found[right] += theirs
        return found


class Sparse(Coverage):
    """The similarity of each row to the most similar ones; the others count as 0.

    Lindgren, Wu and Dimakis, "Leveraging Sparsity for Efficient Submodular Data Summarization",
    NIPS 2016: with some multiple of rows / chosen rows neighbours little is lost.
    """

    def __init__(
        self,
        similarity: Similarity,
        rows: Rows,
        weight: NDArray[np.float64],
        engine: Engine,
        neighbours: int,
    ) -> None:
        super().__init__(weight)
        from scipy.sparse import csr_array

        found, units = most_similar(similarity, rows, neighbours, engine)
        starts = np.arange(0, found.size + 1, max(1, found.shape[1]))
        by_row = csr_array((units.ravel(), found.ravel(), starts), (len(rows), len(rows)))
        # by the row that covers
        turned = by_row.tocsc()
        turned.eliminate_zeros()
        self._covered: NDArray[np.int32] = turned.indices
        self._units: NDArray[np.float32] = turned.data
        self._starts = turned.indptr.astype(np.int64)

    def column(self, place: int) -> NDArray[np.float32]:
        """Similarity of a row to all, in units."""
        found = np.zeros(len(self), np.float32)
        part = slice(*self._starts[place : place + 2])
        found[self._covered[part]] = self._units[part]
        return found

    def gains(self, some: NDArray[np.int64]) -> NDArray[np.float64]:
        """What each of some rows would add now, in units."""
        starts, lengths = self._starts[some], self._starts[some + 1] - self._starts[some]
        owner = np.repeat(np.arange(len(some)), lengths)
        place = np.arange(len(owner)) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
        covered = self._covered[place]
        over = np.maximum(self._units[place] - self.best[covered], 0.0)
        gained = over * self.weight[covered]
        found: NDArray[np.float64] = np.bincount(owner, gained, len(some)).astype(np.float64)
        return found

    def all_gains(self) -> NDArray[np.float64]:
        """What each row would add now, in units."""
        parts = [np.arange(span.start, span.stop) for span in _spans(len(self), _SPAN)]
        return np.concatenate([self.gains(part) for part in parts])


def coverage_by(
    similarity: Similarity,
    rows: Rows,
    weight: NDArray[np.float64],
    n: int,
    neighbors: float | str | None,
    engine: Engine,
    room: int,
) -> tuple[Coverage, tuple[str, ...]]:
    """A coverage to choose ``n`` rows by, and what is to be said of it.

    Parameters
    ----------
    similarity, rows, weight, engine
        As of :class:`Coverage`.
    n : int
        How many rows will be chosen.
    neighbors : float, "all" or None
        How many rows may cover a row. None: all, up to 20,000 rows; of more, 8 times as many as
        a chosen one stands for on average, or all where that is more than 1,024.
    room : int
        Bytes that similarities may take; changes time, not results.
    """
    wanted = -(-_SPREAD * len(rows) // n)
    if isinstance(neighbors, float):
        return Sparse(similarity, rows, weight, engine, int(neighbors)), ()
    if neighbors is None and len(rows) > _ALL_ROWS and wanted <= _MOST_NEIGHBORS:
        wanted = max(_LEAST_NEIGHBORS, wanted)
        said = f"of {len(rows):,} rows, each was covered by its {wanted:,} most similar ones only"
        return Sparse(similarity, rows, weight, engine, wanted), (said,)
    kept = 4 * len(rows) ** 2 <= min(room, _MATRIX_BYTES)
    return (Kept if kept else Remade)(similarity, rows, weight, engine), ()


def most_edges(neighbors: float | str | None, rows: int) -> int:
    """How many rows may cover a row, where this is kept, in pools of up to ``rows`` rows."""
    if isinstance(neighbors, float):
        return int(neighbors)
    return _MOST_NEIGHBORS if neighbors is None and rows > _ALL_ROWS else 0


def _gains(
    units: NDArray[np.float32], best: NDArray[np.float32], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What rows of these similarities would add; changes ``units``."""
    np.maximum(units, best, out=units)
    wide = workspace.take("wide units", units.shape, np.float64)
    np.copyto(wide, units)
    found: NDArray[np.float64] = wide @ weight - best @ weight
    return found


def _spans(rows: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def _tiles(rows: int) -> Iterator[tuple[slice, slice]]:
    """Pairs of spans, the first not after the second."""
    spans = _spans(rows, _TILE)
    for index, left in enumerate(spans):
        for right in spans[index:]:
            yield left, right

"""From pairs of duplicates to the rows that are kept, and those that they stand for.

Rows go by their rank: 0 is the best, and of two duplicates the better one stays. All three
linkages are functions of the set of pairs: their order, and repeats, do not matter.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from coresift.core.index import Index, index_type
from coresift.io.store import GrowingStore, Scratch

_UNDECIDED, _KEPT, _DROPPED = 0, 1, 2
_LEAST_MERGED = 1 << 20


class Linkage(Protocol):
    """What makes a group of duplicates."""

    def add(self, late: Index, early: Index) -> None:
        """Take in pairs: ranks of the worse and of the better row."""

    def kept(self) -> Index:
        """Rank of the kept row that each row stands behind: its own where it is kept."""


class SemDeDup:
    """A row is dropped for any better one, kept or not.

    Abbas et al., SemDeDup, 2023, algorithm 1. It stands behind the kept row at the end of the
    chain of best duplicates.

    Parameters
    ----------
    count : int
        Rows.
    """

    def __init__(self, count: int) -> None:
        self.best: Index = np.arange(count, dtype=index_type(count))

    def add(self, late: Index, early: Index) -> None:
        """Take in pairs: ranks of the worse and of the better row."""
        np.minimum.at(self.best, late, early.astype(self.best.dtype, copy=False))

    def kept(self) -> Index:
        """Rank of the kept row that each row stands behind: its own where it is kept."""
        found = self.best
        while True:
            further = found[found]
            if np.array_equal(further, found):
                return found
            found = further


class Components:
    """All rows that chains of duplicates connect; the best one is kept.

    Parameters
    ----------
    count : int
        Rows.
    """

    def __init__(self, count: int) -> None:
        self._best: Index = np.arange(count, dtype=index_type(count))
        self._held: list[tuple[Index, Index]] = []
        self._pairs = 0

    def add(self, late: Index, early: Index) -> None:
        """Take in pairs: ranks of the worse and of the better row."""
        self._held.append((late, early))
        self._pairs += len(late)
        # a merge costs as much as there are rows
        if self._pairs > max(_LEAST_MERGED, len(self._best)):
            self._merge()

    def kept(self) -> Index:
        """Rank of the kept row that each row stands behind: its own where it is kept."""
        self._merge()
        return self._best

    def _merge(self) -> None:
        if not self._held:
            return
        count = len(self._best)
        late, early = (self._best[np.concatenate(ends)] for ends in zip(*self._held, strict=True))
        self._held, self._pairs = [], 0
        graph = coo_array((np.ones(len(late), np.bool_), (late, early)), (count, count))
        groups, label = connected_components(graph, directed=False)
        best = np.full(groups, count, self._best.dtype)
        np.minimum.at(best, label, np.arange(count, dtype=best.dtype))
        self._best = best[label[self._best]]


class Greedy:
    """A row is dropped only for a better one that is itself kept: the best of those.

    Best row first, each is kept unless it duplicates one that was kept before: the kept rows
    are the greedy maximal independent set of the pairs.

    Parameters
    ----------
    count : int
        Rows.
    limit : int
        Bytes of pairs to hold in memory.
    scratch : Scratch
        Where further pairs are put.
    """

    def __init__(self, count: int, limit: int, scratch: Scratch) -> None:
        kind = index_type(count)
        self._best: Index = np.arange(count, dtype=kind)
        self._kind = np.dtype([("late", kind), ("early", kind)])
        self._limit = limit
        self._scratch = scratch
        self._pairs = GrowingStore(self._kind, limit, scratch)

    def add(self, late: Index, early: Index) -> None:
        """Take in pairs: ranks of the worse and of the better row."""
        np.minimum.at(self._best, late, early.astype(self._best.dtype, copy=False))
        packed = np.empty(len(late), self._kind)
        packed["late"], packed["early"] = late, early
        self._pairs.append(packed)

    def kept(self) -> Index:
        """Rank of the kept row that each row stands behind: its own where it is kept.

        Where the best duplicate of a row has none itself, the row is decided by it; few rows
        are left after that, and the pairs among them are walked best row first.
        """
        best = self._best
        state = np.zeros(len(best), np.int8)
        pairs = self._pairs
        while True:
            undecided = state == _UNDECIDED
            free = best == np.arange(len(best), dtype=best.dtype)
            state[undecided & free] = _KEPT
            state[undecided & ~free & (state[best] == _KEPT)] = _DROPPED
            left = GrowingStore(self._kind, self._limit, self._scratch)
            for block in pairs.blocks():
                late, early = state[block["late"]], state[block["early"]]
                left.append(block[(late == _UNDECIDED) & (early != _DROPPED)])
            pairs = left
            open_rows = np.flatnonzero(state == _UNDECIDED)
            best[open_rows] = open_rows
            if pairs.resident:
                break
            for block in pairs.blocks():
                np.minimum.at(best, block["late"], block["early"])
        self._walk(pairs, state, open_rows)
        return best

    def _walk(self, pairs: GrowingStore, state: NDArray[np.int8], open_rows: Index) -> None:
        held = np.concatenate([np.empty(0, self._kind), *pairs.blocks()])
        held = held[np.lexsort((held["early"], held["late"]))]
        bounds = np.searchsorted(held["late"], open_rows, side="left").tolist()
        early = held["early"].tolist()
        kept = dict.fromkeys(held["early"][state[held["early"]] == _KEPT].tolist())
        for index, row in enumerate(open_rows.tolist()):
            stop = bounds[index + 1] if index + 1 < len(bounds) else len(early)
            found = next((one for one in early[bounds[index] : stop] if one in kept), None)
            if found is None:
                kept[row] = None
            else:
                self._best[row] = found

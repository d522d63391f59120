"""The rows of smallest key, over all or per group: what merges across shards in any order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SLACK = 1 << 16

Keys = NDArray[np.uint64] | NDArray[np.float64]


class Smallest:
    """The rows of smallest key, ties by row, out of any number in any order.

    Parameters
    ----------
    size : int
        How many to keep.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._keys: list[NDArray[Any]] = []
        self._rows: list[NDArray[np.int64]] = []
        self._held = 0

    def add(self, keys: Keys, rows: NDArray[np.int64]) -> None:
        """Offer some rows; keys are not NaN."""
        self._keys.append(keys)
        self._rows.append(rows)
        self._held += len(rows)
        if self._held > 2 * self._size + _SLACK:
            self._compact()

    def _compact(self) -> tuple[Keys, NDArray[np.int64]]:
        if not self._rows:
            return np.empty(0, np.uint64), np.empty(0, np.int64)
        keys: Keys = np.concatenate(self._keys)
        rows = np.concatenate(self._rows)
        if len(rows) > self._size:
            bound = np.partition(keys, self._size - 1)[self._size - 1]
            below = np.flatnonzero(keys < bound)
            ties = np.flatnonzero(keys == bound)
            ties = ties[np.argsort(rows[ties])][: self._size - len(below)]
            chosen = np.concatenate([below, ties])
            keys, rows = keys[chosen], rows[chosen]
        self._keys, self._rows, self._held = [keys], [rows], len(rows)
        return keys, rows

    def result(self) -> tuple[Keys, NDArray[np.int64]]:
        """Keys and rows, smallest key first."""
        keys, rows = self._compact()
        order = np.lexsort((rows, keys))
        return keys[order], rows[order]


class SmallestPerGroup:
    """The rows of smallest key in each group, ties by row.

    Parameters
    ----------
    limits : ndarray of int64, shape (groups,)
        How many to keep of each group.
    """

    def __init__(self, limits: NDArray[np.int64]) -> None:
        self._limits = limits
        self._capacity = int(limits.sum())
        self._parts: list[tuple[NDArray[np.int64], Keys, NDArray[np.int64]]] = []
        self._held = 0

    def add(self, groups: NDArray[np.int64], keys: Keys, rows: NDArray[np.int64]) -> None:
        """Offer some rows; keys are not NaN."""
        self._parts.append((groups, keys, rows))
        self._held += len(rows)
        if self._held > 2 * self._capacity + _SLACK:
            self.result()

    def result(self) -> tuple[NDArray[np.int64], Keys, NDArray[np.int64]]:
        """Groups, keys and rows: by group, smallest key first."""
        if not self._parts:
            return np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64)
        groups, keys, rows = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        order = np.lexsort((rows, keys, groups))
        groups, keys, rows = groups[order], keys[order], rows[order]
        kept = ranks(groups) < self._limits[groups]
        self._parts = [(groups[kept], keys[kept], rows[kept])]
        self._held = int(np.count_nonzero(kept))
        return self._parts[0]


def ranks(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Position of each element within its run of equal elements."""
    starts = np.flatnonzero(np.concatenate([[True], groups[1:] != groups[:-1]]))
    lengths = np.diff(np.append(starts, len(groups)))
    return np.arange(len(groups), dtype=np.int64) - np.repeat(starts, lengths)

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
        self._parts: list[tuple[NDArray[Any], ...]] = []
        self._held = 0

    def add(self, keys: Keys, rows: NDArray[np.int64], *carried: NDArray[Any]) -> None:
        """Offer some rows; keys are not NaN. What is carried stays with its row."""
        self._parts.append((keys, rows, *carried))
        self._held += len(rows)
        if self._held > 2 * self._size + _SLACK:
            self._compact()

    def merge(self, other: Smallest) -> None:
        """Offer the rows of another."""
        if other._parts:
            self.add(*other._compact())

    def _compact(self) -> tuple[NDArray[Any], ...]:
        if not self._parts:
            return np.empty(0, np.uint64), np.empty(0, np.int64)
        parts = tuple(np.concatenate(part) for part in zip(*self._parts, strict=True))
        keys, rows = parts[:2]
        if len(rows) > self._size:
            bound = np.partition(keys, self._size - 1)[self._size - 1]
            below = np.flatnonzero(keys < bound)
            ties = np.flatnonzero(keys == bound)
            ties = ties[np.argsort(rows[ties])][: self._size - len(below)]
            chosen = np.concatenate([below, ties])
            parts = tuple(part[chosen] for part in parts)
        self._parts, self._held = [parts], len(parts[1])
        return parts

    def result(self) -> tuple[Keys, NDArray[np.int64]]:
        """Keys and rows, smallest key first."""
        parts = self._compact()
        order = np.lexsort((parts[1], parts[0]))
        parts = tuple(part[order] for part in parts)
        self._parts = [parts]
        return parts[0], parts[1]

    def carried(self) -> tuple[NDArray[Any], ...]:
        """What was carried, in the order of :meth:`result`, which must have been asked for."""
        return self._parts[0][2:]


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
        self._parts: list[tuple[NDArray[Any], ...]] = []
        self._held = 0

    def add(
        self,
        groups: NDArray[np.int64],
        keys: Keys,
        rows: NDArray[np.int64],
        *carried: NDArray[Any],
    ) -> None:
        """Offer some rows; keys are not NaN. What is carried stays with its row."""
        self._parts.append((groups, keys, rows, *carried))
        self._held += len(rows)
        if self._held > 2 * self._capacity + _SLACK:
            self.result()

    def merge(self, other: SmallestPerGroup) -> None:
        """Offer the rows of another."""
        if other._parts:
            self.add(*other.result(), *other._parts[0][3:])

    def result(self) -> tuple[NDArray[np.int64], Keys, NDArray[np.int64]]:
        """Groups, keys and rows: by group, smallest key first."""
        if not self._parts:
            return np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64)
        parts = [np.concatenate(part) for part in zip(*self._parts, strict=True)]
        order = np.lexsort((parts[2], parts[1], parts[0]))
        groups = parts[0][order]
        order = order[ranks(groups) < self._limits[groups]]
        self._parts = [tuple(part[order] for part in parts)]
        self._held = len(order)
        return self._parts[0][0], self._parts[0][1], self._parts[0][2]

    def carried(self) -> tuple[NDArray[Any], ...]:
        """What was carried, in the order of :meth:`result`, which must have been asked for."""
        return self._parts[0][3:] if self._parts else ()


def ranks(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Position of each element within its run of equal elements."""
    starts = np.flatnonzero(np.concatenate([[True], groups[1:] != groups[:-1]]))
    lengths = np.diff(np.append(starts, len(groups)))
    return np.arange(len(groups), dtype=np.int64) - np.repeat(starts, lengths)

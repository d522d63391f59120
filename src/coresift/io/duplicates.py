"""Rows whose vectors are exactly the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coresift.core.memory import Budget
from coresift.io.store import RowStore, Scratch

_DIGEST_BYTES = 16
# a row's digest, its id and their order while they are sorted
_SORTING_BYTES = 64
_STEP = 1 << 16


@dataclass(frozen=True)
class Duplicates:
    """What there is of repeated vectors.

    Attributes
    ----------
    rows : int
        Rows whose vector an earlier row has.
    examples : list of (int, int)
        A few of them in order, each with the first row that has its vector.
    """

    rows: int
    examples: list[tuple[int, int]]


class Digests:
    """A 128-bit BLAKE2 digest of each row's vector.

    Equal vectors have equal digests, zeros of either sign being the same; that two different
    vectors share a digest has probability below n^2 / 2^129.

    Parameters
    ----------
    rows : int
        Rows of the dump.
    budget : Budget
        What may be held.
    scratch : Scratch
        Where digests go that do not fit.
    """

    def __init__(self, rows: int, budget: Budget, scratch: Scratch) -> None:
        held = rows * (_DIGEST_BYTES + 1) < budget.left() // 4
        self._store = RowStore(rows, _DIGEST_BYTES, np.dtype(np.uint8), None if held else scratch)
        self._known = np.zeros(rows, np.bool_)

    def add(self, start: int, vectors: NDArray[Any], use: NDArray[np.bool_]) -> None:
        """Take in consecutive rows from ``start``, of which those in ``use`` count."""
        digests = np.zeros((len(vectors), _DIGEST_BYTES), np.uint8)
        unsigned = np.ascontiguousarray(vectors + vectors.dtype.type(0))
        for index in np.flatnonzero(use):
            digest = hashlib.blake2b(unsigned[index].data, digest_size=_DIGEST_BYTES).digest()
            digests[index] = np.frombuffer(digest, np.uint8)
        self._store.write(start, digests)
        self._known[start : start + len(vectors)] = use

    def duplicates(self, budget: Budget, examples: int) -> Duplicates:
        """Compare all rows, in as many parts as the budget asks for."""
        count = int(np.count_nonzero(self._known))
        parts = max(1, -(-count * _SORTING_BYTES // max(1 << 24, budget.left() // 2)))
        repeated = 0
        found: list[tuple[int, int]] = []
        for part in range(parts):
            rows, digests = self._part(part, parts)
            order = np.lexsort((rows, digests[:, 1], digests[:, 0]))
            rows, digests = rows[order], digests[order]
            same = np.zeros(len(rows), np.bool_)
            same[1:] = (digests[1:] == digests[:-1]).all(axis=1)
            repeated += int(np.count_nonzero(same))
            first = np.maximum.accumulate(np.where(same, 0, np.arange(len(rows))))
            again = np.flatnonzero(same)
            lowest = again[np.argsort(rows[again])[:examples]]
            found += zip(rows[lowest].tolist(), rows[first[lowest]].tolist(), strict=True)
        return Duplicates(repeated, sorted(found)[:examples])

    def _part(self, part: int, parts: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Rows and digests whose first byte pair falls to a part."""
        rows, digests = [], []
        for start in range(0, len(self._known), _STEP):
            stop = min(start + _STEP, len(self._known))
            values = np.ascontiguousarray(self._store.read(start, stop)).view(np.uint64)
            use = np.flatnonzero(self._known[start:stop])
            use = use[values[use, 0] % np.uint64(parts) == part]
            rows.append(use + start)
            digests.append(values[use])
        return np.concatenate(rows), np.concatenate(digests)

"""How many of all near pairs a search found, estimated from some rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from coresift.core import randomness
from coresift.core.index import Index
from coresift.core.smallest import Smallest
from coresift.engine.base import Engine
from coresift.selection.duplicates.closeness import Radius
from coresift.selection.duplicates.pairs import Pairs, near
from coresift.selection.duplicates.space import TILE, Space

SAMPLE = 1000
_CHUNK = 1 << 20


class Recall:
    """Pairs of a sample of rows: those that were found, beside all that there are.

    Parameters
    ----------
    rows : ndarray of int, shape (n,)
        Row id of each position.
    seed : int
        The run's seed.
    """

    def __init__(self, rows: Index, seed: int) -> None:
        self._count = len(rows)
        smallest = Smallest(SAMPLE)
        for start in range(0, self._count, _CHUNK):
            ids = rows[start : start + _CHUNK].astype(np.int64)
            positions = np.arange(start, start + len(ids))
            smallest.add(randomness.bits(seed, "recall", ids), positions)
        self.sample = np.sort(smallest.result()[1])
        self._sampled = np.zeros(self._count, np.bool_)
        self._sampled[self.sample] = True
        self._found: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []

    def watch(self, pairs: Iterator[Pairs]) -> Iterator[Pairs]:
        """Pass pairs on, and remember those of the sample."""
        for found in pairs:
            mine = self._sampled[found.one] | self._sampled[found.other]
            if mine.any():
                self._found.append((self._keys(found)[mine], found.closeness[mine]))
            yield found

    def of(self, radius: Radius, space: Space, engine: Engine) -> tuple[int, int]:
        """Return how many pairs of the sample are near, and how many of them were found."""
        one = space.some(self.sample)

        def task(start: int) -> NDArray[np.int64]:
            found = near(one, space.tile(start, min(start + TILE, self._count)), radius)
            others = np.flatnonzero(found.one != found.other)
            return self._keys(found)[others]

        every = np.unique(np.concatenate(list(engine.map(task, range(0, self._count, TILE)))))
        found = [keys[~(close < radius.least)] for keys, close in self._found]
        return len(every), len(np.unique(np.concatenate([every[:0], *found])))

    def _keys(self, pairs: Pairs) -> NDArray[np.int64]:
        """One number for a pair, either way around."""
        low, high = np.minimum(pairs.one, pairs.other), np.maximum(pairs.one, pairs.other)
        keys: NDArray[np.int64] = low * self._count + high
        return keys

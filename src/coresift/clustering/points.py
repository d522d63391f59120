"""The rows that a clustering is trained on: all of them, or a sample."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coresift.core import randomness
from coresift.core.errors import ParameterError
from coresift.core.memory import Budget
from coresift.engine.base import Shared
from coresift.io.store import Scratch, cut_runs

_RUN = 8192
_LARGEST_NORM = 1e17


class Points(Protocol):
    """Vectors that are read by runs; :class:`coresift.io.vectors.Vectors` is one."""

    @property
    def dim(self) -> int:
        """Dimensions."""

    rows: int
    count: int
    bound: float

    def runs(self) -> list[tuple[int, int]]:
        """Runs of positions ``(start, stop)`` that cover all rows."""

    def read(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Row ids and vectors of a run, valid until this thread reads again."""

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Vectors of some row ids, ascending; not to be written."""

    def kept_rows(self) -> NDArray[np.int64]:
        """Row ids, ascending."""


def require_squarable(norm: float) -> None:
    """Refuse vectors so long that their distances are not certain.

    Raises
    ------
    ParameterError
        Naming the longest norm.
    """
    if norm > _LARGEST_NORM:
        raise ParameterError(
            f"the longest vector has norm {norm:.3g}, too large to be squared in float32",
            hint="scale the vectors down, or use --metric cosine",
        )


def sample_rows(points: Points, size: int, seed: int, purpose: str) -> NDArray[np.int64]:
    """Uniform sample without replacement: the rows of the smallest keys.

    Returns
    -------
    ndarray of int64, shape (min(size, count),)
        Row ids, ascending; a function of the rows, the seed and the purpose.
    """
    rows = points.kept_rows()
    if size >= len(rows):
        return rows
    keys = randomness.bits(seed, purpose, rows)
    chosen = np.lexsort((rows, keys))[:size] if len(rows) < 4 * size else _smallest(keys, size)
    return np.sort(rows[chosen])


def _smallest(keys: NDArray[np.uint64], size: int) -> NDArray[np.int64]:
    bar = np.partition(keys, size - 1)[size - 1]
    below = np.flatnonzero(keys < bar)
    ties = np.flatnonzero(keys == bar)[: size - len(below)]
    return np.concatenate([below, ties])


class Sample(Shared):
    """Some rows, copied out of the points they come from.

    Parameters
    ----------
    points : Points
        Where they come from.
    rows : ndarray of int64, shape (n,)
        Row ids, ascending.
    budget : Budget
        What may be held; a sample that does not fit goes to a scratch file.
    scratch : Scratch
        Where that file is put.
    """

    def __init__(
        self, points: Points, rows: NDArray[np.int64], budget: Budget, scratch: Scratch
    ) -> None:
        self.ids = rows
        self.rows = self.count = len(rows)
        self.bound = points.bound
        self._dim = points.dim
        first, last = points.runs()[0]
        self._step = last - first
        size = len(rows) * points.dim * 4
        held = size < budget.left() // 2
        self._store = scratch.rows(None, len(rows), points.dim, np.dtype(np.float32), held=held)
        for start, stop in self.runs():
            self._store.write(start, points.take(rows[start:stop]))

    @property
    def dim(self) -> int:
        """Dimensions."""
        return self._dim

    def runs(self) -> list[tuple[int, int]]:
        """Runs of positions ``(start, stop)`` that cover all rows."""
        return cut_runs(self.rows, self._step, self._store.cuts)

    def read(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Row ids and vectors of a run, valid until this thread reads again."""
        return self.ids[start:stop], self._store.read(start, stop)

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Vectors of some row ids, ascending; not to be written."""
        return self._store.gather(np.searchsorted(self.ids, rows))

    def kept_rows(self) -> NDArray[np.int64]:
        """Row ids, ascending."""
        return self.ids


class Held(Shared):
    """An array as points; row ids are positions.

    Parameters
    ----------
    array : ndarray of float32, shape (n, dim)
        The points.
    """

    def __init__(self, array: NDArray[np.float32]) -> None:
        self._array = array
        self.rows = self.count = len(array)
        norms = np.square(array, dtype=np.float64).sum(axis=1)
        self.bound = float(np.sqrt(norms.max(initial=0.0)))

    @property
    def dim(self) -> int:
        """Dimensions."""
        return int(self._array.shape[1])

    def runs(self) -> list[tuple[int, int]]:
        """Runs of positions ``(start, stop)`` that cover all rows."""
        return [(start, min(start + _RUN, self.rows)) for start in range(0, self.rows, _RUN)]

    def read(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Row ids and vectors of a run."""
        return np.arange(start, stop), self._array[start:stop]

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Vectors of some row ids, ascending; not to be written."""
        return self._array[rows]

    def kept_rows(self) -> NDArray[np.int64]:
        """Row ids, ascending."""
        return np.arange(self.rows)

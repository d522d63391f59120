"""Arrays with a row per row, of which each worker has a part."""

from __future__ import annotations

import itertools
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from coresift.io.store import RowStore, Scratch


def cuts_of(rows: int, workers: int) -> list[int]:
    """Where the part of each worker starts, and the end."""
    return [rows * index // workers for index in range(workers + 1)]


class Keepers(Protocol):
    """Who reaches the workers' parts of a store."""

    def fetch(self, name: str, worker: int, rows: slice | NDArray[np.int64]) -> NDArray[Any]:
        """A copy of some rows of a worker's part, numbered through all rows."""

    def put(
        self, name: str, worker: int, rows: int | NDArray[np.int64], values: NDArray[Any]
    ) -> None:
        """Write to a worker's part, from a row on or to each of some rows."""

    def freed(self, name: str) -> None:
        """Nobody here can reach the store any more."""


class RemoteRows(RowStore):
    """An array on the workers, as the driver has it.

    Parameters
    ----------
    name : str
        The store's name.
    rows, width, dtype
        Shape and element type.
    workers : int
        How many have a part.
    keepers : Keepers
        Who reaches them.
    resident : bool
        Whether all parts are in memory.
    """

    def __init__(
        self,
        name: str,
        rows: int,
        width: int,
        dtype: np.dtype[Any],
        workers: int,
        keepers: Keepers,
        *,
        resident: bool,
    ) -> None:
        self.name = name
        self.rows = rows
        self.width = width
        self.dtype = np.dtype(dtype)
        self.cuts = cuts_of(rows, workers)
        self._keepers = keepers
        self._resident = resident

    @property
    def resident(self) -> bool:
        """Whether the array is in memory."""
        return self._resident

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Copy of the rows ``start`` to ``stop``."""
        parts = [
            self._keepers.fetch(self.name, worker, slice(low, high))
            for worker, low, high in self._parts(start, stop)
        ]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([np.empty((0, self.width), self.dtype), *parts])

    def write(self, start: int, values: NDArray[Any]) -> None:
        """Put ``values`` at row ``start``."""
        values = np.ascontiguousarray(values, self.dtype)
        for worker, low, high in self._parts(start, start + len(values)):
            self._keepers.put(self.name, worker, low, values[low - start : high - start])

    def flush(self) -> None:
        """Parts are not kept beyond the run."""

    def scatter(self, rows: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Put a line of ``values`` at each of ``rows``, ascending."""
        for worker, some in self._split(rows):
            self._keepers.put(self.name, worker, rows[some], values[some])

    def gather(self, rows: NDArray[np.int64], step: int = 8192) -> NDArray[Any]:  # noqa: ARG002
        """Copy of some rows, in ascending order of their ids."""
        result = np.empty((len(rows), self.width), self.dtype)
        for worker, some in self._split(rows):
            result[some] = self._keepers.fetch(self.name, worker, rows[some])
        return result

    def _parts(self, start: int, stop: int) -> list[tuple[int, int, int]]:
        """Workers that have rows from ``start`` to ``stop``, and which ones."""
        return [
            (worker, max(start, low), min(stop, high))
            for worker, (low, high) in enumerate(itertools.pairwise(self.cuts))
            if max(start, low) < min(stop, high)
        ]

    def _split(self, rows: NDArray[np.int64]) -> list[tuple[int, slice]]:
        places = np.searchsorted(rows, self.cuts).tolist()
        return [
            (worker, slice(low, high))
            for worker, (low, high) in enumerate(itertools.pairwise(places))
            if low < high
        ]

    def __del__(self) -> None:
        """Let the workers forget it."""
        self._keepers.freed(self.name)


class LocalRows(RemoteRows):
    """The same array as a worker has it: its own part is here, the others are fetched.

    Parameters
    ----------
    name, rows, width, dtype, workers, keepers
        As for :class:`RemoteRows`.
    worker : int
        Which part is here.
    scratch : Scratch or None
        Where to keep it on disk; None keeps it in memory.
    """

    def __init__(
        self,
        name: str,
        rows: int,
        width: int,
        dtype: np.dtype[Any],
        workers: int,
        keepers: Keepers,
        worker: int,
        scratch: Scratch | None,
    ) -> None:
        super().__init__(name, rows, width, dtype, workers, keepers, resident=scratch is None)
        self._first, self._end = self.cuts[worker : worker + 2]
        self._own = RowStore(self._end - self._first, width, self.dtype, scratch)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows ``start`` to ``stop``, valid until this thread reads again."""
        if self._holds(start, stop):
            return self._own.read(start - self._first, stop - self._first)
        return super().read(start, stop)

    def write(self, start: int, values: NDArray[Any]) -> None:
        """Put ``values`` at row ``start``; a view that :meth:`read` gave may be written back."""
        if self._holds(start, start + len(values)):
            self._keepers.put(self.name, -1, start, values)
            self._own.write(start - self._first, values)
        else:
            super().write(start, values)

    def own(self, rows: slice | NDArray[np.int64]) -> NDArray[Any]:
        """Copy of some rows of this part."""
        if isinstance(rows, slice):
            return self._own.read(rows.start - self._first, rows.stop - self._first).copy()
        return self._own.gather(rows - self._first)

    def set_own(self, rows: int | NDArray[np.int64], values: NDArray[Any]) -> None:
        """Write to this part."""
        if isinstance(rows, int):
            self._own.write(rows - self._first, values)
        else:
            self._own.scatter(rows - self._first, values)

    def _holds(self, start: int, stop: int) -> bool:
        return self._first <= start and stop <= self._end

    def __del__(self) -> None:
        """Memory goes with the object; a file is closed with the worker's scratch."""

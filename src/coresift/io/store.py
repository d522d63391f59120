"""Arrays with a row per row of the dump, in memory or in a scratch file."""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coresift.core.errors import ResourceError
from coresift.core.size import format_bytes
from coresift.engine.base import Engine

Item = TypeVar("Item")
Arrays = tuple[NDArray[Any], ...]

_Call = Callable[[int, list[memoryview], int], int]
# a row read by itself costs about as much as this many read in a run
_SPARSE = 16
_BLOCK = 1 << 24


class Scratch:
    """A folder for files that die with the process.

    Files are unlinked as soon as they are open, so that not even ``kill -9`` leaves one. It
    remembers nothing: :class:`coresift.io.journal.Journal` is one that does, and to whoever is
    lent it the two look the same.

    Parameters
    ----------
    folder : path, optional
        Where to put them; the system's temporary folder by default.
    opened : list of int, optional
        Descriptors that :meth:`close` closes, shared with another scratch.

    Attributes
    ----------
    keeps : bool
        Whether what is saved can be loaded by a later process.
    keeps_rows : bool
        Whether it finds the arrays with a row per row too.
    """

    keeps = False
    keeps_rows = False

    def __init__(
        self, folder: str | os.PathLike[str] | None = None, opened: list[int] | None = None
    ) -> None:
        self.folder = Path(folder) if folder is not None else Path(tempfile.gettempdir())
        self._open = [] if opened is None else opened

    def file(self, size: int, what: str, name: str | None = None) -> int:  # noqa: ARG002
        """Open a file of ``size`` bytes, kept under ``name``, and return its descriptor.

        Raises
        ------
        ResourceError
            When the folder cannot be used or has too little room.
        """
        with self._usable():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._require_room(size, what)
            descriptor, path = tempfile.mkstemp(prefix="coresift-", dir=self.folder)
            Path(path).unlink()
            os.truncate(descriptor, size)
        self._open.append(descriptor)
        return descriptor

    def aside(self) -> Scratch:
        """One that remembers nothing, for work that is done again from its start."""
        return Scratch(self.folder)

    @property
    def driver(self) -> Scratch:
        """Where arrays go that this process alone works on."""
        return self

    def rows(
        self,
        name: str | None,
        rows: int,
        width: int,
        dtype: np.dtype[Any],
        *,
        held: bool,
    ) -> RowStore:
        """Array with a row per row, in memory if ``held``; a journal keeps it under its name."""
        return RowStore(rows, width, dtype, None if held else self, name)

    def step(self, name: str) -> Scratch:  # noqa: ARG002
        """Where a part of the work keeps what is its own."""
        return self

    def load(self, name: str) -> dict[str, NDArray[Any]] | None:  # noqa: ARG002
        """What an earlier process saved under ``name``, if any."""
        return None

    def save(self, name: str, stores: Sequence[RowStore] = (), /, **values: ArrayLike) -> None:
        """Remember ``values`` once what was written to ``stores`` is on the disk."""

    @property
    def due(self) -> bool:
        """Whether it is time to save how far the work is."""
        return False

    def clear(self) -> None:
        """Forget what was saved in this step."""

    def map(
        self,
        name: str,  # noqa: ARG002
        engine: Engine,
        task: Callable[[Item], Arrays],
        items: Sequence[Item],
        stores: Sequence[RowStore] = (),  # noqa: ARG002
    ) -> Iterator[Arrays]:
        """``engine.map``; what an earlier process did of it is not done again.

        Parameters
        ----------
        name : str
            What results are kept under.
        engine : Engine
            Where to run.
        task : callable
            Gives some arrays for an item.
        items : sequence
            What to run it on.
        stores : sequence of RowStore
            What tasks write to.
        """
        return engine.map(task, items)

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ResourceError(
                f"scratch folder {self.folder} cannot be used: {error.strerror}",
                hint="give another one with --scratch",
            ) from error

    def _require_room(self, size: int, what: str) -> None:
        status = os.statvfs(self.folder)
        room = status.f_bavail * status.f_frsize
        if size > room:
            raise ResourceError(
                f"{what} need {format_bytes(size)} of scratch space and {self.folder} has "
                f"{format_bytes(room)}",
                hint="give --scratch a folder with more room, or raise --memory",
            )

    def close(self) -> None:
        """Give the space back."""
        while self._open:
            os.close(self._open.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class RowStore:
    """An array of shape (rows, width), addressed by runs of rows.

    Parameters
    ----------
    rows, width : int
        Shape.
    dtype : dtype
        Element type.
    scratch : Scratch or None
        Where to keep it on disk; None keeps it in memory.
    name : str, optional
        What a journal keeps it under.

    Attributes
    ----------
    cuts : sequence of int
        Rows at which another process holds it; runs that are written do not go across.
    """

    cuts: Sequence[int] = ()

    def __init__(
        self,
        rows: int,
        width: int,
        dtype: np.dtype[np.generic],
        scratch: Scratch | None,
        name: str | None = None,
    ) -> None:
        self.rows = rows
        self.width = width
        self.dtype = np.dtype(dtype)
        self._row_bytes = width * self.dtype.itemsize
        self._buffers = threading.local()
        self._array: NDArray[Any] | None = None
        if scratch is None:
            self._array = np.zeros((rows, width), self.dtype)
        else:
            self._file = scratch.file(rows * self._row_bytes, "vectors beyond --memory", name)

    def __reduce__(self) -> NoReturn:
        """Refuse to leave the process: what tasks of a cluster use, ``Scratch.rows`` makes."""
        raise TypeError("an array of this process was to be sent to another one")

    @property
    def resident(self) -> bool:
        """Whether the array is in memory."""
        return self._array is not None

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows ``start`` to ``stop``, valid until this thread reads again."""
        if self._array is not None:
            return self._array[start:stop]
        rows = stop - start
        held: NDArray[Any] | None = getattr(self._buffers, "array", None)
        if held is None or len(held) < rows:
            held = self._buffers.array = np.empty((rows, self.width), self.dtype)
        view = held[:rows]
        self._transfer(view, start, os.preadv)
        return view

    def write(self, start: int, values: NDArray[Any]) -> None:
        """Put ``values`` at row ``start``; a view that :meth:`read` gave may be written back."""
        if self._array is None:
            self._transfer(np.ascontiguousarray(values, self.dtype), start, os.pwritev)
            return
        target = self._array[start : start + len(values)]
        if not np.shares_memory(target, values):
            target[:] = values

    def flush(self) -> None:
        """Wait until what was written is on the disk, where it is kept there."""
        if self._array is not None:
            return
        try:
            os.fdatasync(self._file)
        except OSError as error:
            raise _failed(error) from error

    def scatter(self, rows: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Put a line of ``values`` at each of ``rows``, ascending."""
        if self._array is not None:
            self._array[rows] = values
            return
        values = np.ascontiguousarray(values, self.dtype)
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        for start, stop in itertools.pairwise([0, *breaks.tolist(), len(rows)]):
            if start < stop:
                self._transfer(values[start:stop], int(rows[start]), os.pwritev)

    def _transfer(self, values: NDArray[Any], start: int, call: _Call) -> None:
        _transfer(self._file, values, start * self._row_bytes, call)

    def gather(self, rows: NDArray[np.int64], step: int = 8192) -> NDArray[Any]:
        """Copy of some rows, in ascending order of their ids."""
        if self._array is not None:
            return self._array[rows]
        result = np.empty((len(rows), self.width), self.dtype)
        if len(rows) * _SPARSE < self.rows:
            for place, row in enumerate(rows.tolist()):
                self._transfer(result[place : place + 1], row, os.preadv)
            return result
        step = max(1, min(step, _BLOCK // self._row_bytes))
        for start in range(0, self.rows, step):
            low, high = np.searchsorted(rows, [start, start + step])
            if low < high:
                block = self.read(start, min(start + step, self.rows))
                result[low:high] = block[rows[low:high] - start]
        return result


def cut_runs(rows: int, step: int, cuts: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of at most ``step`` rows that cover all rows and go across none of the cuts."""
    ends = [*(cut for cut in cuts if 0 < cut < rows), rows]
    starts = [0, *ends[:-1]]
    return [
        (first, min(first + step, stop))
        for start, stop in zip(starts, ends, strict=True)
        for first in range(start, stop, step)
    ]


class GrowingStore:
    """A sequence that grows at its end, in memory up to a limit and then in a scratch file.

    Parameters
    ----------
    dtype : dtype
        Element type, a structured one too.
    limit : int
        Bytes to hold in memory.
    scratch : Scratch
        Where the file is put.
    """

    def __init__(self, dtype: np.dtype[Any], limit: int, scratch: Scratch) -> None:
        self.dtype = dtype
        self.count = 0
        self._limit = limit
        self._scratch = scratch
        self._held: list[NDArray[Any]] = []
        self._written = 0
        self._file: int | None = None

    @property
    def resident(self) -> bool:
        """Whether all of it is in memory."""
        return self._file is None

    def append(self, values: NDArray[Any]) -> None:
        """Add values at the end."""
        self._held.append(values)
        self.count += len(values)
        if (self.count - self._written) * self.dtype.itemsize <= self._limit:
            return
        if self._file is None:
            self._file = self._scratch.file(0, "pairs beyond --memory")
        whole = np.concatenate(self._held)
        offset = self._written * self.dtype.itemsize
        _transfer(self._file, whole.view(np.uint8), offset, os.pwritev)
        self._written, self._held = self.count, []

    def blocks(self) -> Iterator[NDArray[Any]]:
        """All values in order, some at a time."""
        step = max(1, min(self._limit, _BLOCK) // self.dtype.itemsize)
        for start in range(0, self._written, step):
            block = np.empty(min(step, self._written - start), self.dtype)
            offset = start * self.dtype.itemsize
            _transfer(self._file or 0, block.view(np.uint8), offset, os.preadv)
            yield block
        yield from self._held


def _transfer(file: int, values: NDArray[Any], offset: int, call: _Call) -> None:
    raw = values.data.cast("B") if values.size else memoryview(b"")
    done = 0
    while done < len(raw):
        try:
            moved = call(file, [raw[done:]], offset + done)
        except OSError as error:
            raise _failed(error) from error
        if not moved:
            raise ResourceError("scratch file: ended too early")
        done += moved


def _failed(error: OSError) -> ResourceError:
    return ResourceError(
        f"scratch file: {error.strerror}",
        hint="give --scratch a folder with more room, or raise --memory",
    )

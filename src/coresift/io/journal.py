"""What a run has done, kept on disk so that an interrupted run can go on."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coresift.core.errors import ResourceError
from coresift.engine.base import Engine
from coresift.io.store import Arrays, Item, RowStore, Scratch

# between two savings of how far a step is; saving waits for the disk
INTERVAL_S = 5.0
_LOCK = "lock"
_RECORD = ".npz"
_LOG = ".log"


class InUseError(ResourceError):
    """Another process has the journal."""


class Journal(Scratch):
    """A scratch folder whose named files outlive the process.

    All is in ``coresift-<key>`` below ``folder``, which one process at a time may use. A record
    is written beside and renamed, after what it speaks of is on the disk: it is there whole or
    not at all, and true.

    Parameters
    ----------
    folder : path
        The scratch folder.
    home : Path
        Where everything is.
    prefix : str
        What the names of this step begin with.
    opened : list of int, optional
        As for :class:`Scratch`.

    Attributes
    ----------
    home : Path
        As given.
    """

    keeps = keeps_rows = True

    def __init__(
        self, folder: Path, home: Path, prefix: str = "", opened: list[int] | None = None
    ) -> None:
        super().__init__(folder, opened)
        self.home = home
        self._prefix = prefix
        self._saved = time.monotonic()

    @classmethod
    def open(cls, folder: str | os.PathLike[str] | None, key: str) -> Self:
        """Journal of the run that ``key``, a digest of all that decides it, stands for.

        Raises
        ------
        InUseError
            When another process uses it.
        ResourceError
            When it is not this user's.
        """
        parent = Scratch(folder).folder
        journal = cls(parent, parent / f"coresift-{key}")
        with journal._usable():
            parent.mkdir(parents=True, exist_ok=True)
            journal.home.mkdir(mode=0o700, exist_ok=True)
            if journal.home.is_symlink() or journal.home.stat().st_uid != os.geteuid():
                raise ResourceError(
                    f"{journal.home}: not a folder of this user",
                    hint="give --scratch a folder of your own",
                )
            journal._lock()
        return journal

    @property
    def begun(self) -> bool:
        """Whether anything was kept."""
        return any(path.name != _LOCK for path in self.home.iterdir())

    def file(self, size: int, what: str, name: str | None = None) -> int:
        """Open a file of ``size`` bytes; one without a name dies with the process."""
        if name is None:
            return super().file(size, what)
        with self._usable():
            path = self._path(name)
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
            self._open.append(descriptor)
            status = os.fstat(descriptor)
            self._require_room(max(0, size - 512 * status.st_blocks), what)
            if status.st_size != size:
                os.truncate(descriptor, size)
        return descriptor

    def rows(
        self,
        name: str | None,
        rows: int,
        width: int,
        dtype: np.dtype[Any],
        *,
        held: bool,
    ) -> RowStore:
        """Array with a row per row; in a file if it has a name."""
        if name is None:
            return super().rows(name, rows, width, dtype, held=held)
        return RowStore(rows, width, dtype, self, name)

    def step(self, name: str) -> Journal:
        """Where a part of the work keeps what is its own."""
        return Journal(self.folder, self.home, f"{self._prefix}{name}.", self._open)

    def load(self, name: str) -> dict[str, NDArray[Any]] | None:
        """What an earlier process saved under ``name``, if any."""
        try:
            with self._path(name + _RECORD).open("rb") as stream:
                return dict(np.load(stream, allow_pickle=False))
        except (FileNotFoundError, ValueError, EOFError, zipfile.BadZipFile):
            return None

    def save(self, name: str, stores: Sequence[RowStore] = (), /, **values: ArrayLike) -> None:
        """Remember ``values`` once what was written to ``stores`` is on the disk."""
        for store in stores:
            store.flush()
        with self._usable():
            descriptor, partial = tempfile.mkstemp(dir=self.home)
            with os.fdopen(descriptor, "wb") as stream:
                arrays: dict[str, Any] = {key: np.asarray(value) for key, value in values.items()}
                np.savez(stream, **arrays)
                stream.flush()
                os.fsync(stream.fileno())
            Path(partial).rename(self._path(name + _RECORD))
        self._saved = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to save how far the work is."""
        return time.monotonic() - self._saved >= INTERVAL_S

    def clear(self) -> None:
        """Forget what was saved in this step."""
        for path in self.home.glob(f"{self._prefix}*"):
            if path.name != _LOCK:
                path.unlink()

    def map(
        self,
        name: str,
        engine: Engine,
        task: Callable[[Item], Arrays],
        items: Sequence[Item],
        stores: Sequence[RowStore] = (),
    ) -> Iterator[Arrays]:
        """``engine.map``; what an earlier process did of it is read from a log."""
        digest = hashlib.sha256(repr(items).encode()).hexdigest()
        found = self.load(name)
        done = width = offset = 0
        if found is not None and str(found["items"]) == digest:
            done, width, offset = (int(found[key]) for key in ("done", "width", "offset"))

        def remember() -> None:
            with self._usable():
                stream.flush()
                os.fdatasync(stream.fileno())
            place = stream.tell()
            self.save(name, stores, items=digest, done=done, width=width, offset=place)

        path = self._path(name + _LOG)
        path.touch(0o600)
        with path.open("r+b") as stream:
            for _ in range(done):
                yield tuple(np.load(stream, allow_pickle=False) for _ in range(width))
            stream.seek(offset)
            stream.truncate()
            for result in engine.map(task, items[done:]):
                width = len(result)
                with self._usable():
                    for array in result:
                        np.save(stream, array, allow_pickle=False)
                done += 1
                if self.due:
                    remember()
                yield result
            remember()

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.home, ignore_errors=True)

    def _lock(self) -> None:
        lock = os.open(self.home / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise InUseError(
                f"{self.home}: another run is using it",
                hint="wait until it ends, or give another --scratch",
            ) from None
        self._open.append(lock)

    def _path(self, name: str) -> Path:
        return self.home / f"{self._prefix}{name}"

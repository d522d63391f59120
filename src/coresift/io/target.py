"""Where a result is written: whole, or not at all."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from coresift.core.errors import CoresiftError, OutputError
from coresift.core.size import format_bytes

_EXCHANGE = 2
_AT_FDCWD = -100
_LOCK = "lock"


class Target:
    """An output that appears by one rename.

    Everything is written to a hidden sibling, flushed to disk and renamed. The sibling of a
    killed process holds a lock that died with it; the next run to the same target removes it.

    Parameters
    ----------
    path : path
        ``X.parquet`` for one file, anything else for a directory.
    suffixes : tuple of str
        Of names that stand for one file.
    flag : str
        The option that named it, for messages.
    overwrite : bool
        Whether an existing result may be replaced.
    inputs : sequence of str
        Paths that are read, which the target must not replace or lie in.

    Attributes
    ----------
    path : Path
        The target, absolute.
    is_file : bool
        Whether it is one file.
    staging : Path
        Where to write, once entered: a file that does not exist yet, or an empty directory.

    Raises
    ------
    OutputError
        At construction, before any expensive pass, when the target cannot be written.
    """

    staging: Path

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        inputs: Sequence[str] = (),
        suffixes: tuple[str, ...] = (".parquet",),
        flag: str = "-o",
    ) -> None:
        text = os.fspath(path)
        if "://" in text:
            raise OutputError(
                f"{text}: results are written to local paths",
                hint="write to a folder of this machine and copy it",
            )
        self.name = text
        self.path = Path(text).absolute()
        self.is_file = self.path.suffix in suffixes
        self._overwrite = overwrite
        self._flag = flag
        self._refuse_inputs(inputs)
        self._refuse_existing()
        self._refuse_parent()
        self._folder: Path | None = None
        self._lock = -1

    def _refuse_inputs(self, inputs: Sequence[str]) -> None:
        target = self.path.resolve()
        for text in inputs:
            local = text.removeprefix("file://")
            if "://" in local:
                continue
            source = Path(local).resolve()
            if target == source:
                place = "is the input"
            elif source in target.parents:
                place = f"lies in the input {text}"
            elif target in source.parents and self._overwrite:
                place = f"holds the input {text}, which --overwrite would remove"
            else:
                continue
            raise OutputError(
                f"{self.name}: the output {place}", hint=f"choose another place with {self._flag}"
            )

    def _refuse_existing(self) -> None:
        if not (self.path.exists() or self.path.is_symlink()):
            return
        if not self._overwrite:
            raise OutputError(
                f"{self.name}: exists already",
                hint=f"choose another {self._flag}, or give --overwrite",
            )
        known = self.path.is_file() if self.is_file else _is_result(self.path)
        if not known:
            what = "a regular file" if self.is_file else "a result of coresift"
            raise OutputError(
                f"{self.name}: not {what}, so --overwrite leaves it alone",
                hint=f"remove it yourself, or choose another {self._flag}",
            )

    def _refuse_parent(self) -> None:
        parent = self.path.parent
        while not parent.exists():
            parent = parent.parent
        if not parent.is_dir():
            raise OutputError(f"{self.name}: {parent} is not a directory")
        if not os.access(parent, os.W_OK | os.X_OK):
            raise OutputError(
                f"{self.name}: no permission to write in {parent}",
                hint="choose another place with -o",
            )

    def require_room(self, size: int) -> None:
        """Stop when the disk has less than ``size`` bytes left.

        Raises
        ------
        OutputError
            Naming what is needed and what is there.
        """
        parent = self.path.parent
        while not parent.exists():
            parent = parent.parent
        status = os.statvfs(parent)
        room = status.f_bavail * status.f_frsize
        if size > room:
            raise OutputError(
                f"{self.name}: the result takes about {format_bytes(size)} and the disk has "
                f"{format_bytes(room)} left",
                hint="free some space, or choose another place with -o",
            )

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._remove_stale()
            folder = tempfile.mkdtemp(prefix=self._prefix, dir=self.path.parent)
            self._folder = Path(folder)
            self._lock = os.open(self._folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self.staging = self._folder / ("result" + (self.path.suffix if self.is_file else ""))
            if not self.is_file:
                self.staging.mkdir()
        except OSError as error:
            self._discard()
            raise self._translated(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._publish()
        except OSError as error:
            raise self._translated(error) from error
        finally:
            self._discard()
        if isinstance(value, OSError | pa.ArrowException) and not isinstance(value, CoresiftError):
            raise self._translated(value) from value

    @property
    def _prefix(self) -> str:
        return f".{self.path.name}.coresift-"

    def _remove_stale(self) -> None:
        for folder in self.path.parent.iterdir():
            if not folder.name.startswith(self._prefix) or not folder.is_dir():
                continue
            try:
                lock = os.open(folder / _LOCK, os.O_RDWR)
            except OSError:
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            else:
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)

    def _publish(self) -> None:
        _flush(self.staging)
        mode = 0o666 if self.is_file else 0o777
        self.staging.chmod(mode & ~_umask())
        if self.path.exists():
            self._refuse_existing()
            self._replace()
        else:
            self.staging.rename(self.path)
        _sync(self.path.parent)

    def _replace(self) -> None:
        if self.is_file:
            self.staging.rename(self.path)
            return
        if _exchange(self.staging, self.path):
            return
        # a file system that cannot swap: the old result is aside for the time of a rename, and
        # not in staging, which the next run would remove
        aside = Path(tempfile.mkdtemp(prefix=f"{self.path.name}.replaced-", dir=self.path.parent))
        self.path.rename(aside / self.path.name)
        try:
            self.staging.rename(self.path)
        except BaseException:
            (aside / self.path.name).rename(self.path)
            aside.rmdir()
            raise
        shutil.rmtree(aside, ignore_errors=True)

    def _discard(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _translated(self, error: BaseException) -> OutputError:
        number = getattr(error, "errno", None)
        full = number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space left" in str(error)
        lines = str(error).strip().splitlines()
        reason = os.strerror(number) if number else (lines[0] if lines else type(error).__name__)
        hint = "free some space, or choose another place with -o" if full else None
        return OutputError(f"{self.name}: cannot be written: {reason}", hint=hint)


def _is_result(path: Path) -> bool:
    try:
        return "coresift" in json.loads((path / "manifest.json").read_text())
    except (OSError, ValueError):
        return False


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush(path: Path) -> None:
    if path.is_dir():
        for child in path.iterdir():
            _flush(child)
    _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two paths in one step; False where the system cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    done = renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE)
    return bool(done == 0)

"""Which files a command's PATHs mean: local paths, directories, globs and URIs."""

from __future__ import annotations

import fnmatch
import glob
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from coresift.core.errors import CoresiftError, InputError, MissingExtraError

if TYPE_CHECKING:
    import pyarrow.fs as pafs

FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "ipc",
    ".feather": "ipc",
    ".ipc": "ipc",
    ".npy": "npy",
}
_ARROW_SCHEMES = {"s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs"}


@dataclass(frozen=True)
class FileRef:
    """A file to read.

    Attributes
    ----------
    name : str
        As shown to people: the local path, or the URI.
    path : str
        The path on its file system.
    size : int
        Bytes.
    filesystem : pyarrow.fs.FileSystem
        Where it lives.
    """

    name: str
    path: str
    size: int
    filesystem: pafs.FileSystem

    @property
    def local(self) -> bool:
        """Whether the file is on this machine's file system."""
        return bool(self.filesystem.type_name == "local")

    @property
    def suffix(self) -> str:
        """The last extension, lower case."""
        return PurePosixPath(self.path).suffix.lower()


def resolve(paths: Sequence[str | os.PathLike[str]], *, formats: bool = True) -> list[FileRef]:
    """List the files that ``paths`` mean, in the byte order of their paths.

    Parameters
    ----------
    paths : sequence of str or path-like
        Files, directories (every ``*.parquet`` below them whose name, and whose folders'
        names below the directory, do not start with ``.`` or ``_``), globs and URIs.
    formats : bool
        Whether a file's extension must be one of the formats that are read.

    Raises
    ------
    InputError
        When a path does not exist, matches nothing, is given twice or has an unknown format.
    """
    found: list[FileRef] = []
    for path in paths:
        text = os.fspath(path)
        if not text:
            # pathlib would take it for the current directory
            raise InputError("an empty path was given", hint="name files, directories or globs")
        found.extend(_resolve_uri(text) if _scheme(text) else _resolve_local(text))
    if not found:
        raise InputError("no input was given", hint="name files, directories, globs or URIs")
    found.sort(key=lambda ref: os.fsencode(ref.name))
    for before, after in itertools.pairwise(found):
        if before.name == after.name:
            raise InputError(
                f"{after.name}: given twice", hint="name each file once; directories overlap"
            )
    for ref in found:
        if formats and ref.suffix not in FORMATS:
            raise InputError(
                f"{ref.name}: unknown format {ref.suffix or '(no extension)'!r}",
                hint=f"expected one of {', '.join(sorted(FORMATS))}",
            )
    return found


def _scheme(text: str) -> str:
    head, separator, _ = text.partition("://")
    return head.lower() if separator and head.isalnum() else ""


def _hidden(relative: PurePosixPath) -> bool:
    return any(part.startswith((".", "_")) for part in relative.parts)


def _resolve_local(text: str) -> list[FileRef]:
    from pyarrow.fs import LocalFileSystem

    filesystem = LocalFileSystem()

    def ref(path: Path) -> FileRef:
        return FileRef(str(path), str(path.absolute()), path.stat().st_size, filesystem)

    path = Path(text)
    try:
        if path.is_file():
            return [ref(path)]
        if path.is_dir():
            below = [
                child
                for child in path.rglob("*.parquet")
                if child.is_file() and not _hidden(PurePosixPath(child.relative_to(path)))
            ]
            if not below:
                raise InputError(
                    f"{text}: no *.parquet file in this directory",
                    hint="name the files or a glob for other formats (.arrow, .feather, .npy)",
                )
            return [ref(child) for child in below]
        if glob.has_magic(text):
            matches = [Path(match) for match in glob.glob(text, recursive=True)]  # noqa: PTH207
            files = [ref(match) for match in matches if match.is_file()]
            if not files:
                raise InputError(f"{text}: no file matches this pattern")
            return files
    except OSError as error:
        raise InputError(f"{text}: {error.strerror or error}") from error
    raise InputError(f"{text}: no such file or directory")


def _resolve_uri(uri: str) -> list[FileRef]:
    import pyarrow as pa
    import pyarrow.fs as pafs

    scheme = _scheme(uri)
    base, pattern = _split_glob(uri)
    try:
        filesystem, root = _open_filesystem(scheme, base)
        prefix = uri[: len(scheme) + 3]
        if scheme == "file":
            prefix = "file://"

        def ref(info: pafs.FileInfo) -> FileRef:
            return FileRef(prefix + info.path, info.path, info.size, filesystem)

        info = filesystem.get_file_info(root)
        if pattern is None and info.type == pafs.FileType.File:
            return [ref(info)]
        if info.type == pafs.FileType.Directory:
            below = filesystem.get_file_info(pafs.FileSelector(root, recursive=True))
            files = [item for item in below if item.type == pafs.FileType.File]
            relative = {
                item.path: PurePosixPath(item.path).relative_to(PurePosixPath(root))
                for item in files
            }
            if pattern is None:
                chosen = [
                    item
                    for item in files
                    if item.path.endswith(".parquet") and not _hidden(relative[item.path])
                ]
                what = "no *.parquet file in this directory"
            else:
                chosen = [
                    item
                    for item in files
                    if len(relative[item.path].parts) == len(PurePosixPath(pattern).parts)
                    and fnmatch.fnmatchcase(str(relative[item.path]), pattern)
                ]
                what = "no file matches this pattern"
            if not chosen:
                raise InputError(f"{uri}: {what}")
            return [ref(item) for item in chosen]
    except CoresiftError:
        raise
    except (OSError, ValueError, ImportError, pa.ArrowException) as error:
        raise InputError(f"{uri}: {_first_line(error)}") from error
    raise InputError(f"{uri}: no such file or directory")


def _split_glob(uri: str) -> tuple[str, str | None]:
    parts = uri.split("/")
    for index, part in enumerate(parts):
        if glob.has_magic(part):
            return "/".join(parts[:index]), "/".join(parts[index:])
    return uri, None


def _open_filesystem(scheme: str, uri: str) -> tuple[pafs.FileSystem, str]:
    import pyarrow.fs as pafs

    if scheme == "file":
        return pafs.LocalFileSystem(), uri[len("file://") :]
    if scheme in _ARROW_SCHEMES:
        filesystem, root = pafs.FileSystem.from_uri(uri)
        return filesystem, root
    try:
        import fsspec
    except ImportError:
        raise MissingExtraError("fsspec", "remote", f"reading {scheme}:// URIs") from None
    filesystem, root = fsspec.core.url_to_fs(uri)
    return pafs.PyFileSystem(pafs.FSSpecHandler(filesystem)), root


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

"""One reader per file format: what a footer says, and batches of some row groups."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from coresift.core.errors import CoresiftError, InputError
from coresift.io import compute as pc
from coresift.io.filesystem import FORMATS, FileRef

_READ_BUFFER = 4 << 20
_NPY_GROUP = 1 << 16
_NPY_PROBES = 64
NPY_COLUMN = "embedding"


class TableFile(Protocol):
    """A file that can be read by row groups.

    Attributes
    ----------
    ref : FileRef
        Where it is.
    schema : pyarrow.Schema
        Its columns.
    groups : tuple of int
        Rows of each row group.
    footer : str
        Digest of what describes the content.
    """

    ref: FileRef
    schema: pa.Schema
    groups: tuple[int, ...]
    footer: str

    def batches(
        self, columns: Sequence[str], groups: Sequence[int], rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Batches of at most ``rows`` rows of the given row groups, in order."""

    def group_bytes(self, group: int, columns: Sequence[str]) -> int:
        """Bytes of the columns in one row group, decoded or nearly so."""


def open_table(ref: FileRef) -> TableFile:
    """Read a file's footer.

    Raises
    ------
    InputError
        When the file is empty, truncated or not of its format.
    """
    kind = FORMATS[ref.suffix]
    try:
        if kind == "parquet":
            return ParquetTable(ref)
        return IpcTable(ref) if kind == "ipc" else NpyTable(ref)
    except CoresiftError:
        raise
    except (OSError, ValueError, EOFError, pa.ArrowException, struct.error) as error:
        raise _unreadable(ref, kind, error) from error


def _unreadable(ref: FileRef, kind: str, error: BaseException) -> InputError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return InputError(
        f"{ref.name}: not a readable {kind} file ({reason})",
        hint="the file may be truncated or damaged; write it again",
    )


def _tail(ref: FileRef, magic: bytes, kind: str) -> bytes:
    article = "an" if kind.startswith("A") else "a"
    with ref.filesystem.open_input_file(ref.path) as stream:
        size = stream.size()
        if size < 2 * len(magic) + 4:
            raise InputError(
                f"{ref.name}: {size} bytes, too short for {article} {kind} file",
                hint="write it again",
            )
        stream.seek(size - len(magic) - 4)
        end = stream.read()
        if end[4:] != magic:
            raise InputError(
                f"{ref.name}: does not end as {article} {kind} file does; it is truncated or "
                "damaged",
                hint="write the file again, or leave it out",
            )
        length = struct.unpack("<I", end[:4])[0]
        if length > size:
            raise InputError(f"{ref.name}: damaged {kind} footer", hint="write the file again")
        stream.seek(size - len(magic) - 4 - length)
        footer: bytes = stream.read(length)
    return footer


@dataclass
class ParquetTable:
    """A Parquet file."""

    ref: FileRef

    def __post_init__(self) -> None:
        self.footer = hashlib.sha256(_tail(self.ref, b"PAR1", "Parquet")).hexdigest()[:32]
        self._metadata = pq.read_metadata(self.ref.path, filesystem=self.ref.filesystem)
        self.schema = self._metadata.schema.to_arrow_schema()
        self.groups = tuple(
            self._metadata.row_group(i).num_rows for i in range(self._metadata.num_row_groups)
        )

    @cached_property
    def _leaves(self) -> dict[str, list[int]]:
        leaves: dict[str, list[int]] = {}
        for index in range(self._metadata.num_columns):
            path = self._metadata.schema.column(index).path
            for name in self.schema.names:
                if path == name or path.startswith(name + "."):
                    leaves.setdefault(name, []).append(index)
        return leaves

    def group_bytes(self, group: int, columns: Sequence[str]) -> int:
        """Bytes of the columns in a row group, uncompressed."""
        row_group = self._metadata.row_group(group)
        return sum(
            row_group.column(leaf).total_uncompressed_size
            for name in columns
            for leaf in self._leaves.get(name, [])
        )

    def batches(
        self, columns: Sequence[str], groups: Sequence[int], rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Batches in order; a column chunk is read through a buffer, never whole."""
        try:
            with pq.ParquetFile(
                self.ref.path,
                filesystem=self.ref.filesystem,
                metadata=self._metadata,
                buffer_size=_READ_BUFFER,
                pre_buffer=not self.ref.local,
            ) as file:
                for batch in file.iter_batches(
                    rows, row_groups=list(groups), columns=list(columns), use_threads=False
                ):
                    yield batch.select(list(columns))
        except (OSError, ValueError, pa.ArrowException) as error:
            raise _unreadable(self.ref, "parquet", error) from error

    def groups_matching(self, expression: pc.Expression) -> set[int]:
        """Row groups whose statistics do not rule the expression out."""
        import pyarrow.dataset as ds

        fragment = ds.ParquetFileFormat().make_fragment(
            self.ref.path, filesystem=self.ref.filesystem
        )
        return {group.id for group in fragment.subset(expression, schema=self.schema).row_groups}


@dataclass
class IpcTable:
    """An Arrow IPC (Feather version 2) file."""

    ref: FileRef

    def __post_init__(self) -> None:
        self.footer = hashlib.sha256(_tail(self.ref, b"ARROW1", "Arrow IPC")).hexdigest()[:32]
        with self._open() as reader:
            self.schema = reader.schema
            sizes = [
                (batch.num_rows, batch.nbytes)
                for batch in map(reader.get_batch, range(reader.num_record_batches))
            ]
        self.groups = tuple(rows for rows, _ in sizes)
        self._bytes = tuple(size for _, size in sizes)

    def _open(self) -> Any:
        if self.ref.local:
            return pa.ipc.open_file(pa.memory_map(self.ref.path))
        return pa.ipc.open_file(self.ref.filesystem.open_input_file(self.ref.path))

    def group_bytes(self, group: int, columns: Sequence[str]) -> int:  # noqa: ARG002
        """Bytes of a record batch, all columns."""
        return int(self._bytes[group])

    def batches(
        self, columns: Sequence[str], groups: Sequence[int], rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Batches in order, as slices of the file's record batches."""
        try:
            with self._open() as reader:
                for group in groups:
                    batch = reader.get_batch(group).select(list(columns))
                    for start in range(0, batch.num_rows, rows):
                        yield batch.slice(start, rows)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise _unreadable(self.ref, "ipc", error) from error


@dataclass
class NpyTable:
    """A 2-D ``.npy`` file, or a raw memory map, of vectors, as a table of one column.

    A memory map that is not npy is described by ``dtype`` and ``dim``.
    """

    ref: FileRef
    dtype: str | None = None
    dim: int | None = None

    def __post_init__(self) -> None:
        if not self.ref.local:
            raise InputError(
                f"{self.ref.name}: vectors in .npy are read from local files only",
                hint="copy the file to this machine, or write Parquet",
            )
        array = self._map()
        if array.ndim != 2 or array.dtype.name not in ("float16", "float32", "float64", "int8"):
            raise InputError(
                f"{self.ref.name}: a {array.ndim}-D array of {array.dtype}",
                hint="a 2-D array of float16, float32, float64 or int8 is expected",
            )
        if not array.flags.c_contiguous or not array.dtype.isnative:
            raise InputError(
                f"{self.ref.name}: the array is not in C order with native byte order",
                hint="save it again with numpy.save(path, numpy.ascontiguousarray(x))",
            )
        self.rows, self.width = array.shape
        self.kind = array.dtype
        value = pa.from_numpy_dtype(array.dtype)
        self.schema = pa.schema([pa.field(NPY_COLUMN, pa.list_(value, self.width))])
        whole, rest = divmod(self.rows, _NPY_GROUP)
        self.groups = (_NPY_GROUP,) * whole + ((rest,) if rest else ())
        self.footer = self._digest(array)

    def _map(self) -> np.ndarray[Any, Any]:
        if self.dtype is None or self.dim is None:
            loaded: np.ndarray[Any, Any] = np.load(self.ref.path, mmap_mode="r", allow_pickle=False)
            return loaded
        row = np.dtype(self.dtype).itemsize * self.dim
        if self.ref.size % row:
            raise InputError(
                f"{self.ref.name}: {self.ref.size} bytes, not a multiple of a row's {row} bytes "
                f"({self.dim} x {self.dtype})",
                hint="check --dtype and --dim",
            )
        return np.memmap(self.ref.path, dtype=self.dtype, mode="r").reshape(-1, self.dim)

    def _digest(self, array: np.ndarray[Any, Any]) -> str:
        """Hash the shape and evenly spaced rows: an npy file has no footer to hash."""
        digest = hashlib.sha256(f"{array.shape} {array.dtype}".encode())
        for row in np.unique(np.linspace(0, max(0, len(array) - 1), _NPY_PROBES).astype(np.int64)):
            if row < len(array):
                digest.update(np.ascontiguousarray(array[row]).tobytes())
        return digest.hexdigest()[:32]

    def group_bytes(self, group: int, columns: Sequence[str]) -> int:  # noqa: ARG002
        """Bytes of a run of rows."""
        return int(self.groups[group] * self.width * self.kind.itemsize)

    def slice(self, start: int, stop: int) -> np.ndarray[Any, Any]:
        """Rows ``start`` to ``stop``, read (not mapped, which would count as resident)."""
        row = self.width * self.kind.itemsize
        header = self.ref.size - self.rows * row
        with open(self.ref.path, "rb") as stream:  # noqa: PTH123
            stream.seek(header + start * row)
            values = np.fromfile(stream, self.kind, (stop - start) * self.width)
        return values.reshape(-1, self.width)

    def batches(
        self, columns: Sequence[str], groups: Sequence[int], rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Batches in order."""
        for group in groups:
            first = group * _NPY_GROUP
            last = first + self.groups[group]
            for start in range(first, last, rows):
                values = self.slice(start, min(start + rows, last))
                if columns:
                    flat = pa.array(values.reshape(-1))
                    array = pa.FixedSizeListArray.from_arrays(flat, self.width)
                    yield pa.record_batch([array], schema=self.schema)
                else:
                    yield _empty_batch(len(values))


def _empty_batch(rows: int) -> pa.RecordBatch:
    return pa.record_batch([pa.nulls(rows)], names=["_"]).select([])

"""Parquet files whose bytes are a function of their rows, however the rows come."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from coresift.io import compute as pc
from coresift.io.provenance import KEY, Provenance

_GROUP_BYTES = 16 << 20
_PART_BYTES = 1 << 30
_UNKNOWN_BYTES = 64
_LEAST_ROWS, _MOST_ROWS = 1 << 10, 1 << 17


def row_bytes(kind: pa.DataType) -> int:
    """Estimate of a value's width, from its type alone."""
    if isinstance(kind, pa.BaseExtensionType):
        return row_bytes(kind.storage_type)
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size) * row_bytes(kind.value_type)
    if pa.types.is_struct(kind):
        return sum(row_bytes(kind.field(index).type) for index in range(kind.num_fields))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return 512 * row_bytes(kind.value_type)
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        return _UNKNOWN_BYTES


def group_rows(schema: pa.Schema) -> int:
    """Rows of a row group: about 16 MB, a power of two, a function of the schema alone."""
    width = max(1, sum(row_bytes(field.type) for field in schema))
    rows = 1 << (max(1, _GROUP_BYTES // width).bit_length() - 1)
    return max(_LEAST_ROWS, min(_MOST_ROWS, rows))


def part_ends(schema: pa.Schema, rows: int, lengths: NDArray[np.int64] | None = None) -> list[int]:
    """Where :class:`PartWriter` ends its parts.

    Parameters
    ----------
    schema : pyarrow.Schema
        Columns.
    rows : int
        Rows of all parts.
    lengths : ndarray of int64, shape (rows,), optional
        Their :func:`varying_bytes`; none where the schema tells all.

    Returns
    -------
    list of int
        Rows after the last of each part, ascending.
    """
    group, part = _cuts(schema)
    if lengths is None:
        return [*range(part, rows, part), rows]
    ends = []
    total = np.concatenate([[0], np.cumsum(lengths)])
    first = start = 0
    while start < rows:
        if start - first >= part or total[start] - total[first] >= _PART_BYTES:
            ends.append(start)
            first = start
        full = int(np.searchsorted(total, total[start] + _GROUP_BYTES))
        start = min(start + group, max(full, start + 1), rows)
    return [*ends, rows]


def _cuts(schema: pa.Schema) -> tuple[int, int]:
    """Most rows of a row group and of a part."""
    group = group_rows(schema)
    width = max(1, sum(row_bytes(field.type) for field in schema))
    return group, group * max(1, _PART_BYTES // (group * width))


def varies(kind: pa.DataType) -> bool:
    """Whether the size of a value is not told by its type: a text, or a list of any length."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or _is_text(kind))


def varying_bytes(batch: pa.RecordBatch) -> NDArray[np.int64]:
    """Bytes of each row's texts and lists, which the schema does not tell."""
    total = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        kind = column.type
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            lengths, width = pc.list_value_length(column), row_bytes(kind.value_type)
        elif _is_text(kind):
            lengths, width = pc.binary_length(column), 1
        else:
            continue
        total += lengths.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64) * width
    return total


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def encoding(schema: pa.Schema, ascending: str | None = None) -> dict[str, Any]:
    """How files are compressed and encoded, as keywords of pyarrow.

    Parameters
    ----------
    schema : pyarrow.Schema
        Columns.
    ascending : str, optional
        A column of ascending integers, which is written as differences.
    """
    # a dictionary of floats, or of numbers that are all different, only costs time
    coded = [f.name for f in schema if not _holds_floats(f.type) and f.name != ascending]
    return {
        "compression": "snappy",
        "use_dictionary": coded or False,
        "column_encoding": {ascending: "DELTA_BINARY_PACKED"} if ascending else None,
    }


class PartWriter:
    """Writes rows to one file, or to ``part-00000.parquet`` and so on.

    Row groups and parts are cut at fixed rows, or earlier where the rows' own texts and lists
    are long, so that the files do not depend on the batches that came in.

    Parameters
    ----------
    path : Path
        A file to make, or a directory for parts.
    schema : pyarrow.Schema
        Columns.
    provenance : Provenance
        Kept in the metadata of each file under the key ``coresift``.
    ascending : str, optional
        A column of ascending integers, which is written as differences.
    """

    def __init__(
        self,
        path: Path,
        schema: pa.Schema,
        provenance: Provenance,
        *,
        ascending: str | None = None,
    ) -> None:
        self._path = path
        self._ascending = ascending
        self._parts = path.is_dir()
        metadata = {**(schema.metadata or {}), KEY: provenance.to_json().encode()}
        self.schema = schema.with_metadata(metadata)
        self._group, self._part = _cuts(schema)
        self._pending: list[pa.RecordBatch] = []
        self._waiting = self._waiting_bytes = 0
        self._written = self._written_bytes = 0
        self._files = 0
        self._writer: pq.ParquetWriter | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        lengths = np.cumsum(varying_bytes(batch))
        position = seen = 0
        while position < batch.num_rows:
            room = seen + _GROUP_BYTES - self._waiting_bytes
            full = int(np.searchsorted(lengths, room)) + 1
            piece = batch.slice(position, min(self._group - self._waiting, full - position))
            self._pending.append(piece)
            self._waiting += piece.num_rows
            position += piece.num_rows
            self._waiting_bytes += int(lengths[position - 1]) - seen
            seen = int(lengths[position - 1])
            if self._waiting == self._group or self._waiting_bytes >= _GROUP_BYTES:
                self._flush()

    def close(self) -> None:
        """Write what is left; a result without rows is a file without rows."""
        if self._waiting or self._files == 0:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        full = self._written >= self._part or self._written_bytes >= _PART_BYTES
        if self._writer is not None and self._parts and full:
            self._writer.close()
            self._writer = None
        if self._writer is None:
            self._open()
        assert self._writer is not None
        table = pa.Table.from_batches(self._pending, schema=self.schema)
        self._writer.write_table(table.combine_chunks(), row_group_size=self._group)
        self._written += self._waiting
        self._written_bytes += self._waiting_bytes
        self._pending, self._waiting, self._waiting_bytes = [], 0, 0

    def _open(self) -> None:
        path = self._path / part_name(self._files) if self._parts else self._path
        self._files += 1
        self._written = self._written_bytes = 0
        self._writer = pq.ParquetWriter(path, self.schema, **encoding(self.schema, self._ascending))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        elif self._writer is not None:
            self._writer.close()


def part_name(index: int) -> str:
    """Name of a part's file."""
    return f"part-{index:05d}.parquet"


def _holds_floats(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        return _holds_floats(kind.storage_type)
    if pa.types.is_nested(kind) and not pa.types.is_struct(kind):
        return _holds_floats(kind.value_type)
    return bool(pa.types.is_floating(kind) or pa.types.is_fixed_size_binary(kind))


def write_manifest(
    folder: Path, provenance: Provenance, summary: dict[str, Any], run: dict[str, Any]
) -> None:
    """Write ``manifest.json``: provenance, what the result holds, and how the run went.

    Only ``run`` may differ between two runs that give the same result.
    """
    files = [
        {
            "path": str(path.relative_to(folder)),
            "rows": pq.read_metadata(path).num_rows,
            "bytes": path.stat().st_size,
        }
        for path in sorted(folder.rglob("*.parquet"))
    ]
    manifest = {
        "coresift": provenance.version,
        "provenance": asdict(provenance),
        "summary": summary,
        "files": files,
        "run": run,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")

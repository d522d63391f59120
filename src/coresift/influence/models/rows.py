"""Rows of a dump as a model takes them: batches on a fixed grid, columns as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.influence.models.base import Batch
from coresift.io.dump import Dump


def tiles(dump: Dump, columns: Sequence[str], rows: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Runs of ``rows`` rows and the id of the first, cut at its multiples whatever the files."""
    held: list[pa.RecordBatch] = []
    waiting = start = 0
    for shard in dump.shards(columns):
        for _, batch in dump.read(shard, columns):
            position = 0
            while position < batch.num_rows:
                piece = batch.slice(position, rows - waiting)
                held.append(piece)
                waiting += piece.num_rows
                position += piece.num_rows
                if waiting == rows:
                    yield start, _together(held)
                    start, held, waiting = start + rows, [], 0
    if waiting:
        yield start, _together(held)


def _together(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    table = pa.Table.from_batches(batches).combine_chunks()
    return table.to_batches(max_chunksize=table.num_rows)[0]


def as_arrays(batch: pa.RecordBatch, start: int) -> Batch:
    """Columns by name.

    Numbers are arrays of shape (rows,), lists of one length of shape (rows, length), tensors of
    their shape; other columns are lists of Python objects, or of arrays where they hold numbers.

    Raises
    ------
    InputError
        At the first row without a number.
    """
    return {name: _as_array(name, batch.column(name), start) for name in batch.schema.names}


def _as_array(name: str, column: pa.Array, start: int) -> Any:
    kind = column.type
    numbers = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    if not _holds_numbers(numbers):
        return column.to_pylist()
    if column.null_count:
        row = start + int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise InputError(
            f"row {row}: column {name!r} is null, and the model is given it",
            hint="leave such rows out of the dump, or name other columns with --inputs",
        )
    if isinstance(kind, pa.FixedShapeTensorType):
        return np.asarray(column.to_numpy_ndarray())
    if isinstance(kind, pa.BaseExtensionType):
        column = column.storage
    if not pa.types.is_nested(numbers):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    values = np.asarray(column.flatten().to_numpy(zero_copy_only=False))
    if pa.types.is_fixed_size_list(numbers):
        return values.reshape(len(column), numbers.list_size)
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    if len(lengths) and (lengths == lengths[0]).all():
        return values.reshape(len(column), int(lengths[0]))
    ends: NDArray[np.int64] = np.cumsum(lengths)[:-1]
    return np.split(values, ends)


def _holds_numbers(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _is_number(kind.value_type)
    return _is_number(kind)


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    )

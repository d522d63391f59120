"""The layouts a vector column comes in, and how to find and decode it."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.core.errors import InputError, ParameterError
from coresift.io import compute as pc

DTYPES = {
    "float16": pa.float16(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "int8": pa.int8(),
}
_MAJORITY = 0.5

NULL, LENGTH, NOT_FINITE, ZERO = 1, 2, 3, 4
REASONS = {
    NULL: "is null",
    LENGTH: "has another length than {dim}",
    NOT_FINITE: "holds a value that is not finite",
    ZERO: "is zero, which has no direction under --metric cosine",
}


@dataclass(frozen=True)
class VectorColumn:
    """The vectors of a dump.

    Attributes
    ----------
    name : str
        The column, or the pattern of the columns.
    columns : tuple of str
        The physical columns that hold it.
    layout : str
        ``fixed_size_list``, ``list``, ``large_list``, ``tensor``, ``binary`` or ``columns``.
    dtype : str
        ``float16``, ``float32``, ``float64`` or ``int8``, as stored.
    dim : int
        Dimensions.
    """

    name: str
    columns: tuple[str, ...]
    layout: str
    dtype: str
    dim: int

    @property
    def resident_dtype(self) -> np.dtype[np.generic]:
        """The type the vectors are held in: as stored, float64 narrowed to float32."""
        return np.dtype("float32" if self.dtype == "float64" else self.dtype)


def _value_dtype(kind: pa.DataType) -> str | None:
    for name, arrow in DTYPES.items():
        if kind.equals(arrow):
            return name
    return None


def classify(field: pa.Field) -> tuple[str, str, int | None] | None:
    """Layout, dtype and (when the type fixes it) dimensions of a field, or None.

    Fixed-size binary is not classified: only the user knows what its bytes mean.
    """
    kind = field.type
    if isinstance(kind, pa.FixedShapeTensorType):
        dtype = _value_dtype(kind.value_type)
        return ("tensor", dtype, int(np.prod(kind.shape))) if dtype else None
    if pa.types.is_fixed_size_list(kind):
        dtype = _value_dtype(kind.value_type)
        return ("fixed_size_list", dtype, kind.list_size) if dtype else None
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        dtype = _value_dtype(kind.value_type)
        layout = "list" if pa.types.is_list(kind) else "large_list"
        return (layout, dtype, None) if dtype else None
    return None


def natural_order(names: Sequence[str]) -> list[str]:
    """Names sorted with their numbers as numbers: ``x_2`` before ``x_10``."""

    def key(name: str) -> list[tuple[int, int, str]]:
        return [
            (0, int(part), "") if part.isdigit() else (1, 0, part)
            for part in re.split(r"(\d+)", name)
            if part
        ]

    return sorted(names, key=key)


def find(
    schema: pa.Schema, sample: pa.RecordBatch, name: str | None, dtype: str | None, source: str
) -> VectorColumn:
    """Find the vector column.

    Parameters
    ----------
    schema : pyarrow.Schema
        The dump's schema.
    sample : pyarrow.RecordBatch
        Some first rows of the list columns, which settle their dimensions.
    name : str or None
        The column, or a pattern of columns; None finds the only one there is.
    dtype : str or None
        How to read fixed-size binary.
    source : str
        Name of the dump for messages.

    Raises
    ------
    InputError
        When there is no vector column, there are several, or the named one is none.
    """
    if name is not None:
        return _named(schema, sample, name, dtype, source)
    candidates = []
    for field in schema:
        found = classify(field)
        if found is not None:
            dim = found[2] or _common_length(sample.column(field.name))
            if dim:
                candidates.append(VectorColumn(field.name, (field.name,), found[0], found[1], dim))
    if len(candidates) == 1:
        return candidates[0]
    listing = ", ".join(f"{c.name} ({c.layout} of {c.dim} {c.dtype})" for c in candidates)
    if candidates:
        raise InputError(
            f"{source}: {len(candidates)} vector columns: {listing}",
            hint="choose one with --embedding NAME",
        )
    uneven = [f.name for f in schema if classify(f)]
    if uneven:
        raise _no_common_length(source, uneven[0])
    binary = [f.name for f in schema if pa.types.is_fixed_size_binary(f.type)]
    raise InputError(
        f"{source}: no vector column among {_listing(schema.names)}",
        hint=(
            f"if {binary[0]!r} holds vectors: --embedding {binary[0]} --embedding-dtype float32"
            if binary
            else "a list column of float16, float32, float64 or int8 is expected; for one number "
            "per column give a pattern such as --embedding 'x_*'"
        ),
    )


def _listing(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"the columns {', '.join(names[:most])}{more}" if names else "no columns at all"


def _no_common_length(source: str, name: str) -> InputError:
    return InputError(
        f"{source}: column {name!r} holds lists of no common length",
        hint="vectors of one length are expected",
    )


def _common_length(column: pa.Array) -> int | None:
    lengths = column.value_lengths().drop_null()
    if len(lengths) == 0:
        return None
    values, counts = np.unique(lengths.to_numpy(zero_copy_only=False), return_counts=True)
    best = int(counts.argmax())
    return int(values[best]) if counts[best] > _MAJORITY * len(lengths) and values[best] else None


def _named(
    schema: pa.Schema, sample: pa.RecordBatch, name: str, dtype: str | None, source: str
) -> VectorColumn:
    if name in schema.names:
        field = schema.field(name)
        if pa.types.is_fixed_size_binary(field.type):
            return _binary(field, dtype, source)
        if dtype is not None:
            raise ParameterError(
                f"--embedding-dtype is for fixed-size binary and {name!r} is {field.type}",
                hint="leave the option out",
            )
        found = classify(field)
        if found is None:
            raise InputError(
                f"{source}: column {name!r} is {field.type}, not a vector column",
                hint="expected a list, fixed-size list or tensor of float16, float32, float64 "
                "or int8",
            )
        dim = found[2] or _common_length(sample.column(name))
        if not dim:
            raise _no_common_length(source, name)
        return VectorColumn(name, (name,), found[0], found[1], dim)
    if any(mark in name for mark in "*?["):
        columns = natural_order(fnmatch.filter(schema.names, name))
        if columns:
            return _columns(schema, name, columns, source)
    raise InputError(
        f"{source}: no column {name!r} among {_listing(schema.names)}",
        hint="`coresift inspect` lists the columns",
    )


def _binary(field: pa.Field, dtype: str | None, source: str) -> VectorColumn:
    width = field.type.byte_width
    if dtype is None:
        raise ParameterError(
            f"{source}: column {field.name!r} is binary of {width} bytes; its number type is "
            "not known",
            hint="say it with --embedding-dtype float16|float32|float64|int8",
        )
    itemsize = np.dtype(dtype).itemsize
    if width % itemsize:
        raise InputError(
            f"{source}: column {field.name!r} has {width} bytes a row, not a multiple of "
            f"{dtype}'s {itemsize}",
            hint="give another --embedding-dtype",
        )
    return VectorColumn(field.name, (field.name,), "binary", dtype, width // itemsize)


def _columns(schema: pa.Schema, name: str, columns: list[str], source: str) -> VectorColumn:
    kinds = {str(schema.field(column).type) for column in columns}
    for column in columns:
        kind = schema.field(column).type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            raise InputError(
                f"{source}: column {column!r}, matched by {name!r}, is {kind}, not a number",
                hint="narrow the pattern",
            )
    wide = kinds - {"float", "halffloat", "int8"}
    dtype = "float64" if wide else "float32"
    return VectorColumn(name, tuple(columns), "columns", dtype, len(columns))


def decode(
    batch: pa.RecordBatch, column: VectorColumn
) -> tuple[NDArray[np.generic], NDArray[np.uint8]]:
    """Vectors of a batch.

    Returns
    -------
    vectors : ndarray, shape (rows, dim), dtype ``column.resident_dtype``
        Rows that are null or of another length are zero.
    reason : ndarray of uint8, shape (rows,)
        0, ``NULL``, ``LENGTH``, or ``NOT_FINITE`` where an element is missing.
    """
    rows = batch.num_rows
    reason = np.zeros(rows, np.uint8)
    if column.layout == "columns":
        stacked = np.empty((rows, column.dim), column.resident_dtype)
        for index, name in enumerate(column.columns):
            values = batch.column(name)
            if values.null_count:
                reason[~_valid(values)] = NULL
                values = pc.fill_null(values, 0)
            stacked[:, index] = values.to_numpy(zero_copy_only=False)
        return stacked, reason
    array = batch.column(column.columns[0])
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    good: NDArray[np.bool_] | None = None
    if array.null_count:
        good = _valid(array)
        reason[~good] = NULL
    if column.layout in ("list", "large_list"):
        lengths = pc.fill_null(array.value_lengths(), column.dim).to_numpy(zero_copy_only=False)
        other = lengths != column.dim
        if other.any():
            reason[other] = LENGTH
            good = reason == 0
    if good is not None:
        array = array.filter(pa.array(good))
    if column.layout == "binary":
        flat = _from_bytes(array, column)
    else:
        elements = _elements(array, column)
        if elements.null_count:
            missing = ~_valid(elements).reshape(-1, column.dim).all(axis=1)
            whole = np.ones(rows, np.bool_) if good is None else good
            reason[np.flatnonzero(whole)[missing]] = NOT_FINITE
            elements = pc.fill_null(elements, pa.scalar(0, elements.type))
        flat = elements.to_numpy(zero_copy_only=False)
    flat = _narrow(flat).reshape(-1, column.dim)
    if good is None:
        return flat, reason
    vectors = np.zeros((rows, column.dim), column.resident_dtype)
    vectors[good] = flat
    return vectors, reason


def _valid(array: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(array.is_valid().to_numpy(zero_copy_only=False), dtype=np.bool_)


def _elements(array: pa.Array, column: VectorColumn) -> pa.Array:
    if column.layout == "fixed_size_list":
        # what flatten() gives, too, but that would import pyarrow.compute
        return array.values.slice(array.offset * column.dim, len(array) * column.dim)
    return array.flatten()


def _from_bytes(array: pa.Array, column: VectorColumn) -> NDArray[np.generic]:
    width = array.type.byte_width
    buffer = array.buffers()[1]
    raw = np.frombuffer(buffer, np.uint8) if buffer is not None else np.empty(0, np.uint8)
    start = array.offset * width
    values: NDArray[np.generic] = raw[start : start + len(array) * width].view(column.dtype)
    return values


def _narrow(values: NDArray[np.generic]) -> NDArray[np.generic]:
    if values.dtype != np.float64:
        return values
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def mark_unusable(
    vectors: NDArray[np.generic], reason: NDArray[np.uint8], *, zero_is_invalid: bool
) -> NDArray[np.float64]:
    """Mark rows that are not finite (or zero, under cosine); return squared norms, float64."""
    squared = np.empty(len(vectors), np.float64)
    for start in range(0, len(vectors), 512):
        block = vectors[start : start + 512].astype(np.float64)
        np.multiply(block, block, out=block)
        squared[start : start + 512] = block.sum(axis=1)
    bad = ~np.isfinite(squared)
    if bad.any():
        reason[bad & (reason == 0)] = NOT_FINITE
    if zero_is_invalid:
        reason[(squared == 0.0) & (reason == 0)] = ZERO
    return squared

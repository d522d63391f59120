"""Columns of a dump, found by name or computed, and their values in blocks of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.core.errors import ParameterError
from coresift.io import compute as pc
from coresift.io import expressions


@dataclass(frozen=True)
class Block:
    """Consecutive rows of the dump, less those that are not to be chosen from.

    Attributes
    ----------
    rows : ndarray of int64, shape (m,)
        Row ids, ascending.
    values : tuple of pyarrow.Array
        One array of length m per column that was asked for.
    """

    rows: NDArray[np.int64]
    values: tuple[pa.Array, ...]


@dataclass(frozen=True)
class Column:
    """A column, or an expression of columns, that has been found in the dump.

    Attributes
    ----------
    text : str
        As the user wrote it.
    expression : pyarrow.compute.Expression or None
        None for a column taken as it is.
    reads : tuple of str
        Columns it reads.
    """

    text: str
    expression: pc.Expression | None
    reads: tuple[str, ...]

    def of(self, batch: pa.RecordBatch) -> pa.Array:
        """Value for each row of a batch."""
        if self.expression is None:
            return batch.column(self.text)
        try:
            return expressions.evaluate(batch.select(list(self.reads)), self.expression)
        except pa.ArrowException as error:
            reason = str(error).splitlines()[0]
            raise ParameterError(f"{self.text!r} cannot be computed: {reason}") from None


def find_column(schema: pa.Schema, text: str, option: str) -> Column:
    """Find a column by its name, or read an expression of columns."""
    if text in schema.names:
        return Column(text, None, (text,))
    expression, reads = expressions.parse(text, schema, option)
    return Column(text, expression, tuple(reads))


def plain(values: pa.Array) -> pa.Array:
    """Values that are not held as codes into a dictionary of their own."""
    return values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values


def merged(blocks: Iterator[Block], rows: int) -> Iterator[Block]:
    """Blocks joined up to at least ``rows`` rows, for work that costs so much for each block."""
    held: list[Block] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += len(block.rows)
        if count >= rows:
            yield _joined(held)
            held, count = [], 0
    if held:
        yield _joined(held)


def _joined(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    columns = zip(*(block.values for block in blocks), strict=True)
    return Block(
        np.concatenate([block.rows for block in blocks]),
        tuple(pa.concat_arrays([plain(values) for values in column]) for column in columns),
    )


def as_numbers(values: pa.Array, what: str) -> NDArray[np.float64]:
    """Values as float64, null as NaN.

    Raises
    ------
    ParameterError
        When they are not numbers.
    """
    kind = values.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise ParameterError(f"{what} gives {kind}, not a number")
    numbers = values.cast(pa.float64(), safe=False)
    return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)

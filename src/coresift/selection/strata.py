"""Strata: the values of a column, how many rows each has, and how many each is to give."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from coresift.core.errors import ParameterError
from coresift.selection.base import Block, Column, Data

_ROOT_BITS = 64


@dataclass(frozen=True)
class Strata:
    """The distinct values of a column; null is one of them.

    Attributes
    ----------
    values : pyarrow.Array
        In the order of their first row.
    count : ndarray of int64
        Rows of each.
    """

    values: pa.Array
    count: NDArray[np.int64]

    def codes(self, values: pa.Array) -> NDArray[np.int64]:
        """Position of each value among the strata."""
        encoded = plain(values).dictionary_encode(null_encoding="encode")
        places = pc.index_in(encoded.dictionary, value_set=self.values)
        codes = places.to_numpy(zero_copy_only=False).astype(np.int64)
        return np.asarray(codes[encoded.indices.to_numpy(zero_copy_only=False)], np.int64)


def plain(values: pa.Array) -> pa.Array:
    """Values that are not held as codes of their own."""
    return values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values


def _count(tables: Iterable[pa.Table]) -> pa.Table:
    table = pa.concat_tables(list(tables))
    counted = table.group_by("value", use_threads=False).aggregate(
        [("count", "sum"), ("first", "min")]
    )
    return pa.table(
        {
            "value": counted.column("value"),
            "count": counted.column("count_sum"),
            "first": counted.column("first_min"),
        }
    )


def count_strata(
    data: Data,
    columns: Sequence[Column],
    option: str,
    select: Callable[[Iterator[Block]], Iterator[tuple[NDArray[np.int64], pa.Array]]],
) -> Strata:
    """Count the rows of each value, in one pass.

    Parameters
    ----------
    data : Data
        What to read.
    columns : sequence of Column
        What the blocks hold.
    option : str
        The option that named the column, for messages.
    select : callable
        Rows that count, and their values, of the blocks of a shard.
    """

    def task(blocks: Iterator[Block]) -> pa.Table | None:
        counted = None
        for rows, values in select(blocks):
            table = pa.table(
                {"value": plain(values), "count": np.ones(len(rows), np.int64), "first": rows}
            )
            counted = _count([table] if counted is None else [counted, _count([table])])
        return counted

    total = None
    try:
        for table in data.map(task, columns, "count"):
            if table is not None:
                total = _count([table] if total is None else [total, table])
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowKeyError) as error:
        reason = str(error).splitlines()[0]
        raise ParameterError(
            f"{option}: the values cannot be grouped: {reason}",
            hint="name a column of texts, numbers, dates or truth values",
        ) from None
    if total is None:
        return Strata(pa.nulls(0), np.empty(0, np.int64))
    total = total.sort_by("first").combine_chunks()
    return Strata(total.column("value").combine_chunks(), total.column("count").to_numpy())


def allocate(size: int, counts: Sequence[int], shares: str) -> list[int]:
    """Rows that each stratum gives: exactly ``size`` in all.

    A stratum's share is proportional to its size, to 1 or to the root of its size. One that is
    smaller than its share gives all its rows, and the rest is shared among the others. Shares
    are rounded by largest remainders; ties go to the larger stratum, then to the earlier one.

    Parameters
    ----------
    size : int
        At most the sum of ``counts``.
    counts : sequence of int
        Rows of each stratum.
    shares : {"proportional", "equal", "sqrt"}
        What shares are proportional to.
    """
    if shares == "equal":
        claims = [1] * len(counts)
    elif shares == "sqrt":
        claims = [math.isqrt(count << _ROOT_BITS) for count in counts]
    else:
        claims = [int(count) for count in counts]
    given = [0] * len(counts)
    left, claimed = int(size), sum(claims)
    # Strata in the order in which a rising water level fills them.
    order = sorted(range(len(counts)), key=lambda h: (counts[h] / claims[h], h))
    position = 0
    while position < len(order):
        h = order[position]
        if left * claims[h] < counts[h] * claimed:
            break
        given[h] = int(counts[h])
        left -= given[h]
        claimed -= claims[h]
        position += 1
    open_strata = order[position:]
    remainders = []
    rest = left
    for h in open_strata:
        given[h], remainder = divmod(left * claims[h], claimed)
        rest -= given[h]
        remainders.append((-remainder, -int(counts[h]), h))
    for _, _, h in sorted(remainders)[:rest]:
        given[h] += 1
    return given

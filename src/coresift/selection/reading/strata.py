"""Strata: the values of a column, how many rows each has, and how many each is to give."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.core.errors import ParameterError
from coresift.io import compute as pc
from coresift.selection.base import Data
from coresift.selection.reading.columns import Block, Column, plain

_ROOT_BITS = 64
_SLACK = 1 << 16


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


class _Counter:
    """Rows and first row of each value; counted again whenever what is held has doubled."""

    def __init__(self) -> None:
        self._held: list[pa.Table] = []
        self._rows = 0
        self._settled = 0

    def add(self, table: pa.Table) -> None:
        self._held.append(table)
        self._rows += table.num_rows
        if self._rows > 2 * self._settled + _SLACK:
            self.result()

    def result(self) -> pa.Table | None:
        if not self._held:
            return None
        counted = (
            pa.concat_tables(self._held)
            .group_by("value", use_threads=False)
            .aggregate([("count", "sum"), ("first", "min")])
            .select(["value", "count_sum", "first_min"])
            .rename_columns(["value", "count", "first"])
        )
        self._held = [counted]
        self._rows = self._settled = counted.num_rows
        return counted


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
        counter = _Counter()
        for rows, values in select(blocks):
            ones = np.ones(len(rows), np.int64)
            counter.add(pa.table({"value": plain(values), "count": ones, "first": rows}))
        return counter.result()

    counter = _Counter()
    try:
        for table in data.map(task, columns, "count"):
            if table is not None:
                counter.add(table)
        total = counter.result()
    except pa.ArrowException as error:
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

"""Uniform sampling without replacement, over all rows or by strata."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.core import randomness
from coresift.core.errors import ParameterError
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.core.smallest import Keys, Smallest, SmallestPerGroup
from coresift.selection.base import Context, Data
from coresift.selection.params.random import RandomParams
from coresift.selection.reading.columns import Block, merged
from coresift.selection.reading.strata import Strata, allocate, count_strata

_PURPOSE = "select random"


def select(data: Data, size: Size | None, params: RandomParams, context: Context) -> Selection:
    """Choose the rows of smallest random key.

    A row weighs as many rows as there are (in its stratum) for each that is chosen (of its
    stratum). Each row's key depends on the seed and the row alone, so a larger size with the
    same seed keeps the rows of a smaller one.
    """
    if size is None:
        raise ParameterError("random needs a size", hint="give -n 5000 or -n 10%")
    size.resolve(data.rows)  # more than there is, told before the dump is read
    if params.by is not None:
        return _stratified(data, size, params.by, params.shares, context)
    candidates = data.candidates
    n = size.resolve(candidates.count)

    def task(blocks: Iterator[Block]) -> tuple[Keys, NDArray[np.int64]]:
        smallest = Smallest(n)
        for block in blocks:
            smallest.add(randomness.bits(context.seed, _PURPOSE, block.rows), block.rows)
        return smallest.result()

    smallest = Smallest(n)
    for keys, rows in data.map(task, (), "draw"):
        smallest.add(keys, rows)
    rows = np.sort(smallest.result()[1])
    weight = np.full(n, candidates.count / n)
    return Selection(rows, weight, candidates.count, notes=candidates.notes)


def _stratified(data: Data, size: Size, by: str, shares: str, context: Context) -> Selection:
    column = data.column(by, "--by")
    candidates = data.candidates
    n = size.resolve(candidates.count)
    strata = count_strata(data, (column,), "--by", _values)
    limits = np.array(allocate(n, strata.count.tolist(), shares), np.int64)

    def task(blocks: Iterator[Block]) -> tuple[NDArray[np.int64], Keys, NDArray[np.int64]]:
        smallest = SmallestPerGroup(limits)
        for block in merged(blocks, len(limits)):
            keys = randomness.bits(context.seed, _PURPOSE, block.rows)
            smallest.add(strata.codes(block.values[0]), keys, block.rows)
        return smallest.result()

    smallest = SmallestPerGroup(limits)
    for groups, keys, rows in data.map(task, (column,), "draw"):
        smallest.add(groups, keys, rows)
    groups, _, rows = smallest.result()
    order = np.argsort(rows)
    groups, rows = groups[order], rows[order]
    weight = strata.count[groups] / limits[groups]
    notes = (*candidates.notes, *_unreached(strata, limits))
    return Selection(rows, weight, candidates.count, resolved={"strata": len(limits)}, notes=notes)


def _values(blocks: Iterator[Block]) -> Iterator[tuple[NDArray[np.int64], pa.Array]]:
    for block in blocks:
        yield block.rows, block.values[0]


def _unreached(strata: Strata, limits: NDArray[np.int64]) -> list[str]:
    without = limits == 0
    if not without.any():
        return []
    rows = int(strata.count[without].sum())
    count = int(np.count_nonzero(without))
    strata_without = f"{count:,} of {len(limits):,} strata, with {rows:,} rows,"
    return [f"{strata_without} are too small for a share and have no row"]

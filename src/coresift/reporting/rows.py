"""Some columns of some rows of the dump, held in memory."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.engine.base import Engine
from coresift.io.dump import Dump, Shard
from coresift.io.subset import groups_of
from coresift.reporting.text import texts
from coresift.selection.reading.columns import Column, as_numbers


def fetch(
    dump: Dump, rows: NDArray[np.int64], columns: list[str], engine: Engine
) -> dict[int, dict[str, object]]:
    """Values of columns, by row id and name; for few rows.

    Parameters
    ----------
    dump : Dump
        Where they are.
    rows : ndarray of int64, shape (n,)
        Row ids, ascending.
    columns : list of str
        What to read; may be empty.
    engine : Engine
        Where to run.
    """
    if not columns or not len(rows):
        return {int(row): {} for row in rows}

    def task(shard: Shard) -> list[tuple[list[int], list[dict[str, object]]]]:
        found = []
        for start, batch in dump.read(shard, columns):
            low, high = np.searchsorted(rows, [start, start + batch.num_rows])
            if low < high:
                some = batch.take(pa.array(rows[low:high] - start))
                found.append((rows[low:high].tolist(), some.to_pylist()))
        return found

    result: dict[int, dict[str, object]] = {}
    for parts in engine.map(task, groups_of(dump, rows, columns)):
        for ids, values in parts:
            result.update(zip(ids, values, strict=True))
    return result


def texts_of(
    dump: Dump, rows: NDArray[np.int64], column: str, limit: int, engine: Engine
) -> list[str]:
    """A column of many rows, ascending, as texts of at most ``limit`` characters."""

    def task(shard: Shard) -> list[str]:
        found: list[str] = []
        for start, batch in dump.read(shard, [column]):
            low, high = np.searchsorted(rows, [start, start + batch.num_rows])
            if low < high:
                some = batch.column(column).take(pa.array(rows[low:high] - start))
                found.extend(texts(some, limit))
        return found

    groups = groups_of(dump, rows, [column])
    return [text for part in engine.map(task, groups) for text in part]


def numbers_of(dump: Dump, column: Column, option: str, engine: Engine) -> NDArray[np.float64]:
    """A column, or an expression of columns, of every row by its id; null is NaN."""

    def task(shard: Shard) -> NDArray[np.float64]:
        parts = [
            as_numbers(column.of(batch), f"{option} {column.text!r}")
            for _, batch in dump.read(shard, list(column.reads))
        ]
        return np.concatenate([np.empty(0), *parts])

    return np.concatenate(list(engine.map(task, dump.shards(list(column.reads)))))

"""Classes of rows: a column of labels as codes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.core.errors import ParameterError
from coresift.core.progress import Progress
from coresift.engine.base import Engine
from coresift.io import compute as pc
from coresift.io.dump import Dump, Shard

_MOST_CLASSES = 100_000


@dataclass(frozen=True)
class Labels:
    """The class of each row.

    Attributes
    ----------
    codes : ndarray of int32, shape (rows,)
        Class of each row of the dump, numbered by first row; -1 for a row that has none or is
        not kept.
    count : ndarray of int64, shape (classes,)
        Rows of each class.
    missing : int
        Kept rows without a label.
    values : tuple
        What each class is called in the column.
    """

    codes: NDArray[np.int32]
    count: NDArray[np.int64]
    missing: int
    values: tuple[Hashable, ...] = ()

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.count)


def check_label(dump: Dump, name: str) -> None:
    """Refuse a column that cannot hold classes.

    Raises
    ------
    ParameterError
        When there is no such column, or its values are nested.
    """
    if name not in dump.schema.names:
        raise ParameterError(
            f"--label: no column {name!r} in {dump.source}",
            hint=f"the columns are {', '.join(dump.schema.names[:12])}",
        )
    kind = dump.schema.field(name).type
    if pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
        raise ParameterError(
            f"--label: column {name!r} is {kind}, not one value per row",
            hint="name a column of classes: numbers, texts or truth values",
        )


def read_labels(
    dump: Dump,
    name: str,
    kept: NDArray[np.bool_] | None,
    engine: Engine,
    progress: Progress,
    known: Sequence[Hashable] = (),
) -> Labels:
    """Read the classes of all kept rows in one pass.

    Parameters
    ----------
    dump : Dump
        What to read.
    name : str
        Column of classes, see :func:`check_label`; null and NaN are no class.
    kept : ndarray of bool, shape (rows,), or None
        Rows that count; None when all do.
    engine : Engine
        Where to run.
    progress : Progress
        Where to report.
    known : sequence, optional
        Classes that come first, whether they occur or not.

    Raises
    ------
    ParameterError
        When no row has a label, or there are too many classes to be classes.
    """

    def task(shard: Shard) -> tuple[Shard, NDArray[np.int32], list[Any]]:
        mine: dict[Any, int] = {}
        codes = np.empty(shard.rows, np.int32)
        for start, batch in dump.read(shard, [name]):
            values = _plain(batch.column(name))
            if kept is not None:
                keep = pa.array(kept[start : start + len(values)])
                values = pc.if_else(keep, values, pa.scalar(None, values.type))
            encoded = values.dictionary_encode()
            local = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
            low = start - shard.start
            codes[low : low + len(local)] = _renumber(encoded.dictionary.to_pylist(), mine)[local]
            if len(mine) > _MOST_CLASSES:
                raise _too_many(name)
        return shard, codes, list(mine)

    codes = np.empty(dump.rows, np.int32)
    numbers: dict[Any, int] = {value: code for code, value in enumerate(known)}
    with progress.stage("label", dump.rows) as stage:
        for shard, local, values in engine.map(task, dump.shards([name])):
            codes[shard.start : shard.start + shard.rows] = _renumber(values, numbers)[local]
            if len(numbers) > _MOST_CLASSES:
                raise _too_many(name)
            stage.advance(shard.rows)
    count = np.bincount(codes[codes >= 0], minlength=len(numbers)).astype(np.int64)
    if not count.any():
        raise ParameterError(
            f"--label {name!r}: no row has a value", hint="name a column that holds classes"
        )
    rows = dump.rows if kept is None else int(np.count_nonzero(kept))
    return Labels(codes, count, rows - int(count.sum()), tuple(numbers))


def _plain(values: pa.Array) -> pa.Array:
    """Values that are not codes, with NaN as null."""
    if isinstance(values, pa.DictionaryArray):
        values = values.dictionary_decode()
    if pa.types.is_string_view(values.type) or pa.types.is_binary_view(values.type):
        values = values.cast(
            pa.large_string() if pa.types.is_string_view(values.type) else pa.large_binary()
        )
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    return values


def _renumber(values: list[Any], known: dict[Any, int]) -> NDArray[np.int32]:
    """Number of each value, of new ones the next; the last place is for -1, no value."""
    return np.array([*(known.setdefault(value, len(known)) for value in values), -1], np.int32)


def _too_many(name: str) -> ParameterError:
    return ParameterError(
        f"--label {name!r} has more than {_MOST_CLASSES:,} different values",
        hint="name a column of classes, not of ids",
    )

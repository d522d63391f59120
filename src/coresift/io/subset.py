"""Rows of a dump, by id, written with their columns."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.core.errors import ParameterError
from coresift.core.progress import Progress, SilentStage, Stage
from coresift.engine.base import Engine
from coresift.engine.serial import SerialEngine
from coresift.io.dump import Dump, Shard
from coresift.io.provenance import Provenance
from coresift.io.writer import (
    PartWriter,
    part_ends,
    part_name,
    row_bytes,
    varies,
    varying_bytes,
)

_Columns = dict[str, Any]


def output_columns(
    dump: Dump,
    added: Sequence[str],
    *,
    columns: Sequence[str] | None = None,
    drop_embedding: bool = False,
    ids_only: bool = False,
    prefix: str = "",
) -> list[str]:
    """Input columns that a result holds, in the input's order.

    Parameters
    ----------
    dump : Dump
        The input.
    added : sequence of str
        Columns that the result adds.
    columns : sequence of str, optional
        ``--columns``: hold only these.
    drop_embedding : bool
        Leave the vector column out.
    ids_only : bool
        Hold none.
    prefix : str
        Put before the names of the added columns.

    Raises
    ------
    ParameterError
        When a column is not there, options contradict each other or names clash.
    """
    names = list(dump.schema.names)
    if columns is not None:
        if ids_only:
            raise ParameterError("--columns and --ids-only exclude each other")
        missing = [name for name in columns if name not in names]
        if missing:
            raise ParameterError(
                f"--columns: no column {missing[0]!r} in {dump.source}",
                hint=f"the columns are {', '.join(names[:12])}",
            )
        names = [name for name in names if name in set(columns)]
    if ids_only:
        names = []
    if drop_embedding:
        hidden = set(dump.embedding.columns)
        names = [name for name in names if name not in hidden]
    clash = [prefix + name for name in added if prefix + name in names]
    if clash:
        raise ParameterError(
            f"the input has a column {clash[0]!r}, which the result adds",
            hint="give --prefix coresift_ to name the added columns apart, or leave the input's "
            "out with --columns",
        )
    return names


def subset_bytes(dump: Dump, columns: Sequence[str], rows: int) -> int:
    """Estimate of what ``rows`` rows of these columns take on disk."""
    width = sum(row_bytes(dump.schema.field(name).type) for name in columns)
    return rows * (width + 32)


class SubsetWriter:
    """Writes rows with some of their columns, in the order of ids, some at a time.

    Parameters
    ----------
    path : Path
        A file to make, or a directory for parts.
    dump : Dump
        The input.
    columns : sequence of str
        Input columns to hold, see :func:`output_columns`.
    added : mapping of str to dtype
        Columns to add, under their final names.
    provenance : Provenance
        Where the result comes from.
    engine : Engine
        Where to run.
    """

    def __init__(
        self,
        path: Path,
        dump: Dump,
        columns: Sequence[str],
        added: Mapping[str, np.dtype[Any]],
        provenance: Provenance,
        engine: Engine,
    ) -> None:
        self._dump = dump
        self._columns = list(columns)
        self._engine = engine
        self._schema = _schema(dump, columns, added)
        self._writer = PartWriter(path, self._schema, provenance)

    def write(
        self,
        rows: NDArray[np.int64],
        added: Mapping[str, NDArray[np.generic]],
        stage: Stage,
        at_hand: Mapping[str, pa.Array] | None = None,
    ) -> None:
        """Append rows, after those that were written before.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,)
            Row ids, strictly increasing.
        added : mapping of str to ndarray, each of shape (n,)
            The columns to add.
        stage : Stage
            Where to report.
        at_hand : mapping of str to pyarrow.Array, optional
            Input columns of these rows that need not be read again.
        """
        known = at_hand or {}
        read = [name for name in self._columns if name not in known]
        position = 0
        for found in self._found(rows, read) if read else [None]:
            stop = len(rows) if found is None else position + found.num_rows
            inputs = [
                known[name][position:stop] if found is None or name in known else found[name]
                for name in self._columns
            ]
            extras = [pa.array(values[position:stop]) for values in added.values()]
            self._writer.write(pa.record_batch([*inputs, *extras], schema=self._schema))
            stage.advance(stop - position)
            position = stop

    def _found(self, rows: NDArray[np.int64], read: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Some columns of the rows, in order."""
        dump = self._dump
        groups = groups_of(dump, rows, read)
        held = 2 * dump.run_bytes

        def task(shard: Shard) -> list[pa.RecordBatch]:
            return list(_chosen(dump, shard, rows, read))

        if any(_chosen_bytes(dump, shard, rows, read) > held for shard in groups):
            # too much of one row group to be held by a task
            for shard in groups:
                yield from _chosen(dump, shard, rows, read)
        else:
            for found in self._engine.map(task, groups):
                yield from found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.__exit__(kind, value, trace)


def write_subset(
    path: Path,
    dump: Dump,
    rows: NDArray[np.int64],
    added: Mapping[str, NDArray[np.generic]],
    columns: Sequence[str],
    provenance: Provenance,
    *,
    engine: Engine,
    progress: Progress,
    at_hand: Mapping[str, pa.Array] | None = None,
) -> None:
    """Write rows with some of their columns, in the order of ids.

    Parameters
    ----------
    path, dump, columns, provenance, engine
        See :class:`SubsetWriter`.
    rows, added, at_hand
        See :meth:`SubsetWriter.write`.
    progress : Progress
        Where to report.
    """
    kinds = {name: values.dtype for name, values in added.items()}
    ends = [len(rows)]
    if path.is_dir() and engine.writes_to(path):
        schema = _schema(dump, columns, kinds)
        ends = part_ends(schema, len(rows), _lengths(dump, schema, rows, columns, engine))

    def part(item: tuple[Path, NDArray[np.int64], _Columns, _Columns]) -> int:
        file, some, extra, known = item
        with SubsetWriter(file, dump, columns, kinds, provenance, SerialEngine()) as writer:
            writer.write(some, extra, SilentStage(), known)
        return len(some)

    with progress.stage("write", len(rows)) as stage:
        if len(ends) > 1:
            parts = [
                (
                    path / part_name(index),
                    rows[low:high],
                    {name: values[low:high] for name, values in added.items()},
                    {name: values[low:high] for name, values in (at_hand or {}).items()},
                )
                for index, (low, high) in enumerate(itertools.pairwise([0, *ends]))
            ]
            for written in engine.map(part, parts):
                stage.advance(written)
            return
        with SubsetWriter(path, dump, columns, kinds, provenance, engine) as writer:
            writer.write(rows, added, stage, at_hand)


def take_column(dump: Dump, rows: NDArray[np.int64], column: str, engine: Engine) -> pa.Array:
    """Values of a column in some rows, ascending; only row groups that hold one are read."""

    def task(shard: Shard) -> list[pa.RecordBatch]:
        return list(_chosen(dump, shard, rows, [column]))

    found = engine.map(task, groups_of(dump, rows, [column]))
    parts = [batch.column(0) for batches in found for batch in batches]
    return pa.chunked_array(parts, dump.schema.field(column).type).combine_chunks()


def _schema(dump: Dump, columns: Sequence[str], added: Mapping[str, np.dtype[Any]]) -> pa.Schema:
    """Columns of a result."""
    kept = [dump.schema.field(name) for name in columns]
    extra = [pa.field(name, pa.from_numpy_dtype(kind)) for name, kind in added.items()]
    metadata = dict(dump.schema.metadata or {})
    if len(columns) != len(dump.schema.names):
        # it lists columns that are not there any more
        metadata.pop(b"pandas", None)
    return pa.schema([*kept, *extra], metadata=metadata)


def _lengths(
    dump: Dump,
    schema: pa.Schema,
    rows: NDArray[np.int64],
    columns: Sequence[str],
    engine: Engine,
) -> NDArray[np.int64] | None:
    """Bytes of each row's texts and lists; None where the schema tells all."""
    varying = [name for name in columns if varies(schema.field(name).type)]
    if not varying:
        return None

    def task(shard: Shard) -> NDArray[np.int64]:
        parts = [varying_bytes(batch) for batch in _chosen(dump, shard, rows, varying)]
        return np.concatenate([np.empty(0, np.int64), *parts])

    return np.concatenate(list(engine.map(task, groups_of(dump, rows, varying))))


def _chosen(
    dump: Dump, shard: Shard, rows: NDArray[np.int64], columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Some columns of the chosen rows of a shard."""
    for start, batch in dump.read(shard, columns):
        first, last = np.searchsorted(rows, [start, start + batch.num_rows])
        if first < last:
            yield batch.take(pa.array(rows[first:last] - start))


def groups_of(dump: Dump, rows: NDArray[np.int64], columns: Sequence[str]) -> list[Shard]:
    """Row groups that hold some of ``rows``, ascending, each as a shard."""
    found = []
    for shard in dump.shards(columns):
        start = shard.start
        for group in shard.groups:
            count = dump.tables[shard.file].groups[group]
            low, high = np.searchsorted(rows, [start, start + count])
            if low < high:
                found.append(Shard(shard.index, shard.file, (group,), start, count))
            start += count
    return found


def _chosen_bytes(
    dump: Dump, shard: Shard, rows: NDArray[np.int64], columns: Sequence[str]
) -> float:
    """Estimate of what the chosen rows of a row group take in memory."""
    low, high = np.searchsorted(rows, [shard.start, shard.start + shard.rows])
    size = dump.tables[shard.file].group_bytes(shard.groups[0], columns)
    return float(size * (high - low) / max(1, shard.rows))

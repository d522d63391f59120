"""Rows of a dump, by id, written with their columns."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.core.errors import ParameterError
from coresift.core.progress import Progress
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
    path : Path
        A file to make, or a directory for parts.
    dump : Dump
        The input.
    rows : ndarray of int64, shape (n,)
        Row ids, strictly increasing.
    added : mapping of str to ndarray, each of shape (n,)
        Columns to add, under their final names.
    columns : sequence of str
        Input columns to hold, see :func:`output_columns`.
    provenance : Provenance
        Where the result comes from.
    engine, progress : Engine, Progress
        Where to run and to report.
    at_hand : mapping of str to pyarrow.Array, optional
        Input columns of these rows that need not be read again.
    """
    shape = _Shape(dump, columns, added, dict(at_hand or {}), provenance)
    if path.is_dir() and engine.writes_to(path):
        ends = part_ends(shape.schema, len(rows), _lengths(shape, rows, engine))
        if len(ends) > 1:
            _write_parts(path, shape, rows, ends, engine, progress)
            return
    with (
        progress.stage("write", len(rows)) as stage,
        PartWriter(path, shape.schema, provenance) as writer,
    ):
        for batch in shape.batches(rows, engine):
            writer.write(batch)
            stage.advance(batch.num_rows)


class _Shape:
    """What the rows of a result hold, and how it is read."""

    def __init__(
        self,
        dump: Dump,
        columns: Sequence[str],
        added: Mapping[str, NDArray[np.generic]],
        known: dict[str, pa.Array],
        provenance: Provenance,
    ) -> None:
        self.dump = dump
        self.columns = columns
        self.added = added
        self.known = {name: array for name, array in known.items() if name in columns}
        self.read = [name for name in columns if name not in self.known]
        self.provenance = provenance
        kept = [dump.schema.field(name) for name in columns]
        extra = [pa.field(name, pa.from_numpy_dtype(each.dtype)) for name, each in added.items()]
        metadata = dict(dump.schema.metadata or {})
        if len(columns) != len(dump.schema.names):
            # it lists columns that are not there any more
            metadata.pop(b"pandas", None)
        self.schema = pa.schema([*kept, *extra], metadata=metadata)

    def part(self, low: int, high: int) -> _Shape:
        """The same for some of the rows."""
        added = {name: values[low:high] for name, values in self.added.items()}
        known = {name: array[low:high] for name, array in self.known.items()}
        return _Shape(self.dump, self.columns, added, known, self.provenance)

    def groups(self, rows: NDArray[np.int64]) -> list[Shard]:
        """Row groups that hold chosen rows, each as a shard."""
        return list(_groups_of(self.dump, rows, self.read)) if self.read else []

    def batches(self, rows: NDArray[np.int64], engine: Engine) -> Iterator[pa.RecordBatch]:
        """Rows of the result, in order."""
        if not self.read:
            yield self._assembled(0, len(rows), {})
        position = 0
        for batch in self._found(rows, engine):
            stop = position + batch.num_rows
            yield self._assembled(position, stop, dict(zip(self.read, batch.columns, strict=True)))
            position = stop

    def _found(self, rows: NDArray[np.int64], engine: Engine) -> Iterator[pa.RecordBatch]:
        dump, read, groups = self.dump, self.read, self.groups(rows)
        held = 2 * dump.run_bytes
        if any(_chosen_bytes(dump, shard, rows, read) > held for shard in groups):
            # too much of one row group to be held by a task
            for shard in groups:
                yield from _chosen_rows(dump, shard, rows, read)
        else:
            for found in engine.map(
                lambda shard: list(_chosen_rows(dump, shard, rows, read)), groups
            ):
                yield from found

    def _assembled(self, low: int, high: int, found: Mapping[str, pa.Array]) -> pa.RecordBatch:
        known = self.known
        inputs = [known[name][low:high] if name in known else found[name] for name in self.columns]
        extras = [pa.array(values[low:high]) for values in self.added.values()]
        return pa.record_batch([*inputs, *extras], schema=self.schema)


def _chosen_rows(
    dump: Dump, shard: Shard, rows: NDArray[np.int64], columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Some columns of the chosen rows of a shard."""
    for start, batch in dump.read(shard, columns):
        first, last = np.searchsorted(rows, [start, start + batch.num_rows])
        if first < last:
            yield batch.take(pa.array(rows[first:last] - start))


def _lengths(shape: _Shape, rows: NDArray[np.int64], engine: Engine) -> NDArray[np.int64] | None:
    """Bytes of each chosen row's texts and lists; None where the schema tells all."""
    varying = [field.name for field in shape.schema if varies(pa.schema([field]))]
    if not varying or not shape.read:
        return None
    dump = shape.dump

    def task(shard: Shard) -> NDArray[np.int64]:
        parts = [varying_bytes(batch) for batch in _chosen_rows(dump, shard, rows, varying)]
        return np.concatenate([np.empty(0, np.int64), *parts])

    return np.concatenate(list(engine.map(task, shape.groups(rows))))


def _write_parts(
    folder: Path,
    shape: _Shape,
    rows: NDArray[np.int64],
    ends: list[int],
    engine: Engine,
    progress: Progress,
) -> None:
    """Let each task write a part."""

    def task(item: tuple[int, NDArray[np.int64], _Shape]) -> int:
        index, some, part = item
        file = folder / part_name(index)
        with PartWriter(file, part.schema, part.provenance) as writer:
            for batch in part.batches(some, SerialEngine()):
                writer.write(batch)
        return len(some)

    items = [
        (index, rows[low:high], shape.part(low, high))
        for index, (low, high) in enumerate(itertools.pairwise([0, *ends]))
    ]
    with progress.stage("write", len(rows)) as stage:
        for written in engine.map(task, items):
            stage.advance(written)


def _groups_of(dump: Dump, rows: NDArray[np.int64], columns: Sequence[str]) -> Iterator[Shard]:
    """Row groups that hold chosen rows, each as a shard."""
    for shard in dump.shards(columns):
        start = shard.start
        for group in shard.groups:
            count = dump.tables[shard.file].groups[group]
            low, high = np.searchsorted(rows, [start, start + count])
            if low < high:
                yield Shard(shard.index, shard.file, (group,), start, count)
            start += count


def _chosen_bytes(
    dump: Dump, shard: Shard, rows: NDArray[np.int64], columns: Sequence[str]
) -> float:
    """Estimate of what the chosen rows of a row group take in memory."""
    low, high = np.searchsorted(rows, [shard.start, shard.start + shard.rows])
    size = dump.tables[shard.file].group_bytes(shard.groups[0], columns)
    return float(size * (high - low) / max(1, shard.rows))

"""Rows of a dump, by id, written with their columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.core.errors import ParameterError
from coresift.core.progress import Progress
from coresift.engine.base import Engine
from coresift.io.dump import Dump, Shard
from coresift.io.provenance import Provenance
from coresift.io.writer import PartWriter, row_bytes


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
    known = {name: array for name, array in (at_hand or {}).items() if name in columns}
    read = [name for name in columns if name not in known]
    kept = [dump.schema.field(name) for name in columns]
    extra = [pa.field(name, pa.from_numpy_dtype(values.dtype)) for name, values in added.items()]
    metadata = dict(dump.schema.metadata or {})
    if len(columns) != len(dump.schema.names):
        # it lists columns that are not there any more
        metadata.pop(b"pandas", None)
    schema = pa.schema([*kept, *extra], metadata=metadata)
    groups = list(_groups_of(dump, rows, read)) if read else []

    def chosen(shard: Shard) -> Iterator[pa.RecordBatch]:
        for start, batch in dump.read(shard, read):
            first, last = np.searchsorted(rows, [start, start + batch.num_rows])
            if first < last:
                yield batch.take(pa.array(rows[first:last] - start))

    def batches() -> Iterator[pa.RecordBatch]:
        held = 2 * dump.run_bytes
        if any(_chosen_bytes(dump, shard, rows, read) > held for shard in groups):
            # too much of one row group to be held by a task
            for shard in groups:
                yield from chosen(shard)
        else:
            for found in engine.map(lambda shard: list(chosen(shard)), groups):
                yield from found

    def assembled(low: int, high: int, found: Mapping[str, pa.Array]) -> pa.RecordBatch:
        inputs = [known[name][low:high] if name in known else found[name] for name in columns]
        extras = [pa.array(values[low:high]) for values in added.values()]
        return pa.record_batch([*inputs, *extras], schema=schema)

    with (
        progress.stage("write", len(rows)) as stage,
        PartWriter(path, schema, provenance) as writer,
    ):
        if not read:
            writer.write(assembled(0, len(rows), {}))
            stage.advance(len(rows))
        position = 0
        for batch in batches():
            stop = position + batch.num_rows
            writer.write(assembled(position, stop, dict(zip(read, batch.columns, strict=True))))
            position = stop
            stage.advance(batch.num_rows)


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

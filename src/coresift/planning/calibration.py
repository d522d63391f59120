"""Short measurements on this machine and dump."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.core.memory import available
from coresift.core.progress import Stage
from coresift.engine.base import Engine
from coresift.io.dump import Dump, Shard
from coresift.io.vectors import normalise, vector_batches
from coresift.io.writer import encoding

_MOST_SHARDS = 8
_DISK_BYTES = 64 << 20
_WRITTEN_ROWS = 20_000


@dataclass
class Stopwatch:
    """A progress that remembers how long each stage took.

    Attributes
    ----------
    stages : list of tuple of str and float
        Names and seconds, in the order they ended.
    """

    stages: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str, rows: int) -> Iterator[Stage]:  # noqa: ARG002
        """Open a stage."""
        start = time.perf_counter()
        yield _Unwatched()
        self.stages.append((name, time.perf_counter() - start))

    def of(self, begins: str) -> list[float]:
        """Seconds of the stages whose name begins so."""
        return [seconds for name, seconds in self.stages if name.startswith(begins)]


class _Unwatched:
    def advance(self, rows: int) -> None:
        pass


def timed(work: Callable[[], object]) -> float:
    """Seconds that some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@dataclass(frozen=True)
class Reading:
    """What reading a dump costs.

    Attributes
    ----------
    vectors : ndarray of float32, shape (m, dim)
        Rows from all over the dump, as they are compared.
    seconds : float
        For each row of the dump, decoded and checked.
    bytes : float
        Likewise, from files.
    """

    vectors: NDArray[np.float32]
    seconds: float
    bytes: float


def spread(dump: Dump, columns: tuple[str, ...], workers: int) -> list[Shard]:
    """Some shards from all over the dump, enough to keep all workers busy."""
    shards = dump.shards(columns)
    most = min(len(shards), max(_MOST_SHARDS, 2 * workers))
    return [shards[i] for i in np.unique(np.linspace(0, len(shards) - 1, most).astype(int))]


def read_vectors(dump: Dump, engine: Engine, rows: int) -> Reading:
    """Decode some shards, and keep about ``rows`` of their rows."""
    columns = dump.embedding.columns
    chosen = spread(dump, columns, engine.workers)
    each = -(-rows // len(chosen))
    cosine = dump.options.metric == "cosine"

    def task(shard: Shard) -> tuple[NDArray[np.float32], float]:
        held: list[NDArray[np.float32]] = []
        left = each
        kept = 0
        for batch in vector_batches(dump, shard):
            good = np.flatnonzero(batch.matching & (batch.reason == 0))
            kept += len(good)
            some = batch.vectors[good[:left]].astype(np.float32)
            left -= len(some)
            held.append(normalise(some) if cosine and len(some) else some)
        none = np.empty((0, dump.embedding.dim), np.float32)
        return np.concatenate([none, *held]), kept / max(1, shard.rows)

    start = time.perf_counter()
    parts = list(engine.map(task, chosen))
    spent = time.perf_counter() - start
    vectors = np.concatenate([part[0] for part in parts])
    if not len(vectors):
        raise InputError(
            f"{dump.source}: no row is left in the {len(chosen)} parts that were tried",
            hint="--where or --invalid drop may leave none",
        )
    total = sum(shard.rows for shard in chosen)
    return Reading(vectors, spent / total, file_bytes(dump, columns) / dump.rows)


def read_columns(dump: Dump, engine: Engine, columns: tuple[str, ...]) -> float:
    """Seconds for each row of the dump to decode some columns."""
    if not columns:
        return 0.0
    chosen = spread(dump, columns, engine.workers)

    def task(shard: Shard) -> int:
        return sum(batch.num_rows for _, batch in dump.read(shard, columns))

    start = time.perf_counter()
    rows = sum(engine.map(task, chosen))
    return (time.perf_counter() - start) / max(1, rows)


def write_rows(dump: Dump, columns: tuple[str, ...], folder: Path) -> tuple[float, float]:
    """Seconds and bytes for each row of these columns that is written."""
    names = columns or dump.schema.names[:1]
    shard = dump.shards(names)[0]
    batches = []
    rows = 0
    for _, batch in dump.read(shard, names):
        batches.append(batch)
        rows += batch.num_rows
        if rows >= _WRITTEN_ROWS:
            break
    return write_table(pa.Table.from_batches(batches), folder)


def write_table(
    table: pa.Table, folder: Path, *, ascending: str | None = None
) -> tuple[float, float]:
    """Seconds and bytes for each row of a table that is written as :class:`PartWriter` does."""
    how = encoding(table.schema, ascending)
    with tempfile.TemporaryDirectory(dir=_existing(folder)) as place:
        path = Path(place) / "rows.parquet"
        spent = timed(lambda: pq.write_table(table, path, **how))
        return spent / table.num_rows, path.stat().st_size / table.num_rows


def file_bytes(dump: Dump, columns: tuple[str, ...]) -> int:
    """What these columns take in the files, before they are decoded."""
    names = dump.schema.names
    if set(names) <= set(columns):
        return sum(table.ref.size for table in (*dump.tables, *dump.sidecar))
    groups = [(table, group) for table in dump.tables for group in range(len(table.groups))]
    size = sum(table.group_bytes(group, columns) for table, group in groups)
    whole = sum(table.group_bytes(group, names) for table, group in groups)
    total = sum(table.ref.size for table in dump.tables)
    return int(total * size / max(1, whole)) + sum(table.ref.size for table in dump.sidecar)


def touch_seconds(engine: Engine) -> float:
    """Seconds for each byte of memory that is used for the first time, all workers busy."""

    def task(_: int) -> None:
        # larger than what an allocator would have kept
        np.empty(_DISK_BYTES, np.uint8).fill(1)

    spent = timed(lambda: list(engine.map(task, range(engine.workers))))
    return spent / (_DISK_BYTES * engine.workers)


@dataclass(frozen=True)
class Disk:
    """Seconds for each byte that is written to the scratch folder, and read again."""

    write: float
    read: float


def disk_seconds(folder: Path, size: int) -> Disk:
    """Measure the scratch folder; ``size`` is what will lie there.

    What memory beyond the budget can cache is read from there.
    """
    block = np.random.default_rng(0).bytes(_DISK_BYTES)
    cached = size <= available()
    with tempfile.TemporaryFile(dir=_existing(folder)) as file:
        start = time.perf_counter()
        os.pwrite(file.fileno(), block, 0)
        if not cached:
            os.fdatasync(file.fileno())
        written = time.perf_counter() - start
        if not cached and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        start = time.perf_counter()
        os.pread(file.fileno(), _DISK_BYTES, 0)
        again = time.perf_counter() - start
        return Disk(written / _DISK_BYTES, again / _DISK_BYTES)


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder

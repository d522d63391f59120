"""The vectors of a dump, decoded once and then read any number of times by runs of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.core.errors import InputError, ParameterError
from coresift.core.memory import Budget, give_back
from coresift.core.progress import Progress
from coresift.engine.base import Engine, Shared
from coresift.io import expressions
from coresift.io.dump import Dump, Shard
from coresift.io.layout import REASONS, VectorColumn, decode, mark_unusable
from coresift.io.store import Arrays, RowStore, Scratch, cut_runs

# of few rows, runs are as many, but not smaller
_RUNS, _LEAST_RUN_BYTES = 16, 1 << 20


@dataclass(frozen=True)
class VectorBatch:
    """Consecutive rows, decoded.

    Attributes
    ----------
    start : int
        Id of the first row.
    vectors : ndarray, shape (rows, dim)
        As held, see :attr:`VectorColumn.resident_dtype`; not normalised.
    matching : ndarray of bool, shape (rows,)
        Rows that ``--where`` keeps.
    reason : ndarray of uint8, shape (rows,)
        0, or why the row is invalid, a key of :data:`coresift.io.layout.REASONS`.
    squared : ndarray of float64, shape (rows,)
        Squared norms.
    """

    start: int
    vectors: NDArray[np.generic]
    matching: NDArray[np.bool_]
    reason: NDArray[np.uint8]
    squared: NDArray[np.float64]


def matching_rows(dump: Dump, shard: Shard) -> NDArray[np.bool_] | None:
    """Rows of a shard that ``--where`` keeps; None when it keeps all."""
    if dump.where is None:
        return None
    matching = np.zeros(shard.rows, np.bool_)
    if not dump.groups_to_read(shard):
        return matching
    expression, columns = dump.where
    for start, batch in dump.read(shard, columns):
        try:
            values = expressions.evaluate(batch, expression)
        except pa.ArrowException as error:
            reason = str(error).splitlines()[0]
            raise ParameterError(
                f"--where {dump.options.where!r} cannot be computed: {reason}"
            ) from None
        if str(values.type) != "bool":
            raise InputError(
                f"--where {dump.options.where!r} gives {values.type}, not true or false",
                hint="compare the columns with something",
            )
        low = start - shard.start
        matching[low : low + len(values)] = values.fill_null(False).to_numpy(zero_copy_only=False)
    return matching


def vector_batches(dump: Dump, shard: Shard) -> Iterator[VectorBatch]:
    """Decode a shard; row groups without a matching row are not read."""
    column = dump.embedding
    matching = matching_rows(dump, shard)
    if matching is not None and not matching.any():
        return
    for start, batch in dump.read(shard, column.columns):
        vectors, reason = decode(batch, column)
        squared = mark_unusable(vectors, reason, zero_is_invalid=dump.options.metric == "cosine")
        low = start - shard.start
        kept = (
            np.ones(len(vectors), np.bool_)
            if matching is None
            else matching[low : low + len(vectors)]
        )
        yield VectorBatch(start, vectors, kept, reason, squared)


def refuse_invalid(dump: Dump, row: int, reason: int) -> InputError:
    """Return the error for the first invalid row under ``--invalid error``."""
    what = REASONS[reason].format(dim=dump.embedding.dim)
    return InputError(
        f"{dump.locate(row)} (row {row}): the vector in {dump.embedding.name!r} {what}",
        hint="--invalid drop leaves such rows out; `coresift inspect` counts them",
    )


@dataclass(frozen=True)
class _Ingested:
    """What was found in a shard; ``kept`` is empty where all rows are."""

    rows: int
    kept: NDArray[np.bool_]
    dropped: int
    bound: float


class Vectors(Shared):
    """The vectors of a dump's rows that match and are valid.

    Attributes
    ----------
    column : VectorColumn
        Where they come from.
    rows : int
        Rows of the dump.
    kept : ndarray of bool, shape (rows,), or None
        Rows that match and are valid; None when all are.
    count : int
        How many those are.
    dropped : int
        Matching rows left out as invalid.
    bound : float
        No element is larger in absolute value.
    """

    def __init__(self, dump: Dump, store: RowStore, results: list[_Ingested]) -> None:
        self.column: VectorColumn = dump.embedding
        self.rows = dump.rows
        self._store = store
        self._step = dump.rows_at_a_time
        self._run_bytes = dump.run_bytes
        self._cosine = dump.options.metric == "cosine"
        self.kept = None
        if any(len(result.kept) for result in results):
            self.kept = np.concatenate(
                [r.kept if len(r.kept) else np.ones(r.rows, np.bool_) for r in results]
            )
        self.count = self.rows if self.kept is None else int(np.count_nonzero(self.kept))
        self.dropped = sum(result.dropped for result in results)
        self.bound = 1.0 if self._cosine else max((r.bound for r in results), default=0.0)

    @property
    def dim(self) -> int:
        """Dimensions."""
        return self.column.dim

    @property
    def resident(self) -> bool:
        """Whether the vectors are in memory."""
        return self._store.resident

    def runs(self) -> list[tuple[int, int]]:
        """Runs of rows ``(start, stop)``: a batch, or about 16 MB of float32 vectors.

        Of few rows less, so that each thread has some.
        """
        row = 4 * self.dim
        size = min(self._run_bytes, max(_LEAST_RUN_BYTES, self.rows * row // _RUNS))
        step = self._step or max(256, size // row)
        return cut_runs(self.rows, step, self._store.cuts)

    def read(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Kept rows of a run and their vectors, float32, normalised under cosine.

        The vectors are valid until this thread reads again and must not be changed.
        """
        rows, vectors = self.read_raw(start, stop)
        return rows, normalise(vectors) if self._cosine else vectors

    def read_raw(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As :meth:`read`, not normalised."""
        raw = self._store.read(start, stop)
        rows = np.arange(start, stop, dtype=np.int64)
        if self.kept is not None:
            keep = self.kept[start:stop]
            if not keep.all():
                rows, raw = rows[keep], raw[keep]
        return rows, raw.astype(np.float32, copy=False)

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Some kept rows' vectors, not to be written; ``rows`` ascending."""
        if self.resident and len(rows) and (np.diff(rows) == 1).all():
            # those that are held, not copied
            held = self._store.read(int(rows[0]), int(rows[-1]) + 1)
            held.flags.writeable = False
            return self._widen(held)
        return self._widen(self._store.gather(rows))

    def as_stored(self, rows: NDArray[np.int64], kind: pa.DataType) -> pa.Array | None:
        """Some kept rows as the dump holds them, without reading it again.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,)
            Row ids, ascending.
        kind : pyarrow.DataType
            Type of the vector column.

        Returns
        -------
        pyarrow.Array or None
            None where the layout is not a list, or values were narrowed.
        """
        if self.column.dtype != self.column.resident_dtype.name:
            return None
        values = pa.array(self._store.gather(rows).reshape(-1))
        if self.column.layout == "fixed_size_list":
            return pa.FixedSizeListArray.from_arrays(values, type=kind)
        offsets = np.arange(len(rows) + 1) * self.dim
        if self.column.layout == "list":
            return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values, type=kind)
        if self.column.layout == "large_list":
            return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values, type=kind)
        return None

    def kept_rows(self) -> NDArray[np.int64]:
        """Ids of the rows that match and are valid."""
        if self.kept is None:
            return np.arange(self.rows, dtype=np.int64)
        return np.flatnonzero(self.kept).astype(np.int64)

    def _widen(self, raw: NDArray[np.generic]) -> NDArray[np.float32]:
        vectors: NDArray[np.float32] = raw.astype(np.float32, copy=False)
        return normalise(vectors) if self._cosine else vectors


def normalise(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors scaled to norm 1, float32; row by row, so independent of the batch."""
    result = np.empty_like(vectors)
    for start in range(0, len(vectors), 512):
        block = vectors[start : start + 512].astype(np.float64)
        norms = np.sqrt((block * block).sum(axis=1, keepdims=True))
        result[start : start + 512] = block / norms
    return result


def ingest(
    dump: Dump,
    engine: Engine,
    budget: Budget,
    scratch: Scratch,
    progress: Progress,
    *,
    reserve: int = 0,
) -> Vectors:
    """Decode and check every vector once.

    Parameters
    ----------
    dump : Dump
        What to read.
    engine : Engine
        Where to run.
    budget : Budget
        What may be held; vectors that do not fit go to a scratch file.
    scratch : Scratch
        Where that file is put.
    progress : Progress
        Where to report.
    reserve : int
        Bytes to leave for the work that follows.

    Raises
    ------
    InputError
        At the first invalid row, unless invalid rows are dropped; when no row is left.
    ResourceError
        When neither memory nor scratch has room.
    """
    column = dump.embedding
    size = dump.rows * column.dim * column.resident_dtype.itemsize
    in_memory = size + dump.rows + reserve <= budget.left()
    store = scratch.rows("vectors", dump.rows, column.dim, column.resident_dtype, held=in_memory)
    drop = dump.options.invalid == "drop"

    def task(shard: Shard) -> Arrays:
        kept = np.zeros(shard.rows, np.bool_)
        dropped = 0
        bound = 0.0
        for batch in vector_batches(dump, shard):
            good = batch.matching & (batch.reason == 0)
            refused = np.flatnonzero(batch.matching & (batch.reason != 0))
            if len(refused) and not drop:
                row = int(refused[0])
                raise refuse_invalid(dump, batch.start + row, int(batch.reason[row]))
            dropped += len(refused)
            low = batch.start - shard.start
            kept[low : low + len(good)] = good
            if good.any():
                store.write(batch.start, batch.vectors)
                largest = float(batch.squared[good].max())
                bound = max(bound, largest)
        holes = np.empty(0, np.bool_) if kept.all() else kept
        return holes, np.array(dropped), np.array(np.sqrt(bound))

    results: list[_Ingested] = []
    shards = dump.shards(column.columns)
    with progress.stage("read", dump.rows) as stage:
        found = scratch.map("vectors", engine, task, shards, [store])
        for shard, (kept, dropped, bound) in zip(shards, found, strict=True):
            results.append(_Ingested(shard.rows, kept, int(dropped), float(bound)))
            stage.advance(shard.rows)
    give_back()
    vectors = Vectors(dump, store, results)
    if vectors.count == 0:
        raise InputError(
            f"{dump.source}: no row is left of {dump.rows:,}",
            hint="--where or --invalid drop left none",
        )
    return vectors

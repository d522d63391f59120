"""What a selection method is given: the dump's rows in blocks, and the run's resources."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.clustering.points import require_squarable
from coresift.clustering.saved import SavedClustering
from coresift.core.errors import InputError
from coresift.core.memory import Budget
from coresift.core.progress import Progress
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.engine.base import Engine
from coresift.io.dump import Dump, InputOptions, Shard, open_dump
from coresift.io.rowfile import RowFile
from coresift.io.store import RowStore, Scratch
from coresift.io.vectors import Vectors, ingest, vector_batches
from coresift.selection.influences.sources import Opening
from coresift.selection.reading.candidates import Candidates, find_candidates
from coresift.selection.reading.columns import Block, Column, find_column
from coresift.selection.reading.lazy import LazyColumn

Result = TypeVar("Result")
# of some vectors: smallest and largest squared norm, and how many are zero
Norms = tuple[float, float, float]
_RANGE_ROWS = 1 << 20


@dataclass(frozen=True)
class Context:
    """What a run lends to a method.

    Attributes
    ----------
    engine : Engine
        Where to run.
    budget : Budget
        What may be held.
    scratch : Scratch
        Where to put what does not fit.
    progress : Progress
        Where to report.
    seed : int
        The seed.
    clustering : SavedClustering or None
        The clustering, for methods that need one; made from the same dump.
    """

    engine: Engine
    budget: Budget
    scratch: Scratch
    progress: Progress
    seed: int = 0
    clustering: SavedClustering | None = None


class Select(Protocol):
    """The one signature of all methods."""

    def __call__(self, data: Data, size: Size | None, params: Any, context: Context) -> Selection:
        """Choose rows; ``params`` is of the method's own type and has been checked."""


class Data:
    """The dump as methods see it.

    Parameters
    ----------
    dump : Dump
        What to read.
    engine : Engine
        Where to run.
    progress : Progress
        Where to report.
    stored : callable, optional
        Gives the vectors, where they are kept for other commands too.
    """

    def __init__(
        self,
        dump: Dump,
        engine: Engine,
        progress: Progress,
        stored: Callable[[], Vectors] | None = None,
    ) -> None:
        self._dump = dump
        self._engine = engine
        self._progress = progress
        self._store = stored

    @cached_property
    def _stored(self) -> Vectors | None:
        return None if self._store is None else self._store()

    @property
    def dump(self) -> Dump:
        """What is read, for what other commands read in the same way."""
        return self._dump

    @property
    def rows(self) -> int:
        """Rows of the dump."""
        return self._dump.rows

    @property
    def schema(self) -> pa.Schema:
        """Columns of every row."""
        return self._dump.schema

    @property
    def drops_invalid(self) -> bool:
        """Whether rows that cannot be used are left out rather than refused."""
        return self._dump.options.invalid == "drop"

    def locate(self, row: int) -> str:
        """Say where a row lies: file and position in it."""
        return self._dump.locate(row)

    def column(self, text: str, option: str) -> Column:
        """Find a column, or read an expression of columns.

        Raises
        ------
        ParameterError
            When the text names no column, or cannot be read.
        """
        return find_column(self._dump.schema, text, option)

    def lazy(self, text: str, option: str, context: Context) -> LazyColumn:
        """A number for each row, read of the row groups that are needed."""
        return LazyColumn(self._dump, self.column(text, option), option, context)

    @cached_property
    def candidates(self) -> Candidates:
        """The rows to choose from; the first use reads the dump when that is needed to tell.

        Raises
        ------
        InputError
            At the first invalid row, unless invalid rows are dropped; when no row is left.
        """
        return find_candidates(self._dump, self._engine, self._progress, lambda: self._stored)

    def other(self, path: str, option: str) -> Data:
        """Another dump, read as this one: its vector column, metric and invalid rows.

        Raises
        ------
        InputError
            When its vectors have another dimension.
        """
        mine = self._dump.options
        options = InputOptions(
            embedding=mine.embedding,
            embedding_dtype=mine.embedding_dtype,
            metric=mine.metric,
            invalid=mine.invalid,
        )
        found = Data(open_dump([path], options), self._engine, self._progress)
        if found.dim != self.dim:
            raise InputError(
                f"{option} {path}: vectors of {found.dim} dimensions, expected {self.dim}",
                hint="both dumps must come from the same model",
            )
        return found

    def gradients(self, context: Context) -> Opening:
        """What opens gradients: of the dump's rows, and of the rows of a target."""
        return Opening(self._dump, context)

    def points(self, context: Context, reserve: int) -> Vectors:
        """The candidates' vectors, to be read any number of times.

        Parameters
        ----------
        context : Context
            The run's resources.
        reserve : int
            Bytes to leave for the work that follows.

        Raises
        ------
        InputError
            At the first invalid row, unless invalid rows are dropped; when no row is left.
        """
        found = self._stored
        if found is None:
            found = ingest(
                self._dump,
                context.engine,
                context.budget,
                context.scratch,
                context.progress,
                reserve=reserve,
            )
        require_squarable(found.bound)
        return found

    def given(self, path: str | None, kept: NDArray[np.bool_] | None) -> NDArray[np.int64]:
        """Rows that an earlier selection from this dump holds, ascending.

        Parameters
        ----------
        path : str or None
            What ``--given`` names; None holds none.
        kept : ndarray of bool, shape (rows,), or None
            The candidates.

        Raises
        ------
        InputError
            When it has no row ids, names a row that is no candidate, or names all of them.
        MismatchError
            When it was selected from another dump.
        """
        if path is None:
            return np.empty(0, np.int64)
        file = RowFile.open(path, may_be_empty=True)
        if file.provenance is not None:
            file.provenance.require_input(
                self._dump, path, "--given needs rows that were selected from this dump"
            )
        rows = np.sort(file.ids(kept, self.rows, self._dump.source))
        count = self.rows if kept is None else int(np.count_nonzero(kept))
        if len(rows) == count:
            raise InputError(
                f"--given {path} holds all {count:,} rows, and leaves none to choose from",
                hint="give a selection of some of them",
            )
        return rows

    def vectors(
        self,
        task: Callable[[NDArray[np.int64], NDArray[np.float32]], Norms],
        stage: str,
        scratch: Scratch,
        name: str,
        store: RowStore,
    ) -> Iterator[NDArray[np.float64]]:
        """Run a task on all vectors, in blocks of any size and order.

        Parameters
        ----------
        task : callable
            Takes ids of candidates, ascending, and their vectors, not scaled to norm 1.
        stage : str
            Name of the pass for progress.
        scratch : Scratch
            Where to remember under ``name`` how far it is, so as not to run tasks again.
        store : RowStore
            What the tasks write to.

        Yields
        ------
        ndarray of float64, shape (blocks, 3)
            What the task gave for some blocks.
        """
        stored = self._stored

        def of_shard(shard: Shard) -> tuple[NDArray[np.float64]]:
            found = [(np.inf, 0.0, 0.0)]
            for batch in vector_batches(self._dump, shard):
                good = np.flatnonzero(batch.matching & (batch.reason == 0))
                vectors = batch.vectors if len(good) == len(batch.vectors) else batch.vectors[good]
                found.append(task(batch.start + good, vectors.astype(np.float32, copy=False)))
            return (np.array(found),)

        def of_run(run: tuple[int, int]) -> tuple[NDArray[np.float64]]:
            assert stored is not None
            return (np.array([task(*stored.read_raw(*run))]),)

        shards = self._dump.shards(self._dump.embedding.columns)
        runs = stored.runs() if stored is not None else [s.span for s in shards]
        if stored is None:
            results = scratch.map(name, self._engine, of_shard, shards, [store])
        else:
            results = scratch.map(name, self._engine, of_run, runs, [store])
        with self._progress.stage(stage, self.rows) as progress:
            for (start, stop), (found,) in zip(runs, results, strict=True):
                progress.advance(stop - start)
                yield found

    @property
    def dim(self) -> int:
        """Dimensions of the vectors."""
        return self._dump.embedding.dim

    @property
    def cosine(self) -> bool:
        """Whether distances are between vectors scaled to norm 1."""
        return self._dump.options.metric == "cosine"

    def map(
        self,
        task: Callable[[Iterator[Block]], Result],
        columns: Sequence[Column],
        stage: str,
        *,
        everything: bool = False,
    ) -> Iterator[Result]:
        """Run a task on the blocks of each shard; results in the order of rows.

        Parameters
        ----------
        task : callable
            Takes the blocks of one shard, in order. How rows are split into shards and blocks
            must not show in what becomes of the results.
        columns : sequence of Column
            What to read.
        stage : str
            Name of the pass for progress.
        everything : bool
            Give all rows, not only the candidates.

        Yields
        ------
        object
            Result of each task.
        """
        kept = None if everything else self.candidates.kept
        reads = list(dict.fromkeys(name for column in columns for name in column.reads))

        def of_range(span: tuple[int, int]) -> tuple[int, Result]:
            rows = np.arange(*span, dtype=np.int64)
            return len(rows), task(iter([Block(rows[_mask(kept, *span)], ())]))

        def of_shard(shard: Shard) -> tuple[int, Result]:
            return shard.rows, task(self._blocks(shard, reads, columns, kept))

        if columns:
            results = self._engine.map(of_shard, self._dump.shards(reads))
        else:
            starts = range(0, self.rows, _RANGE_ROWS)
            spans = [(start, min(start + _RANGE_ROWS, self.rows)) for start in starts]
            results = self._engine.map(of_range, spans)
        with self._progress.stage(stage, self.rows) as progress:
            for rows, result in results:
                progress.advance(rows)
                yield result

    def _blocks(
        self,
        shard: Shard,
        reads: Sequence[str],
        columns: Sequence[Column],
        kept: NDArray[np.bool_] | None,
    ) -> Iterator[Block]:
        if kept is not None and not kept[shard.start : shard.start + shard.rows].any():
            return
        for start, batch in self._dump.read(shard, reads):
            mask = _mask(kept, start, start + batch.num_rows)
            rows = np.arange(start, start + batch.num_rows, dtype=np.int64)
            if isinstance(mask, np.ndarray):
                rows = rows[mask]
            if len(rows):
                held = batch if len(rows) == batch.num_rows else batch.filter(pa.array(mask))
                yield Block(rows, tuple(column.of(held) for column in columns))


def _mask(
    kept: NDArray[np.bool_] | None, start: int, stop: int
) -> NDArray[np.bool_] | slice[None, None, None]:
    return slice(None) if kept is None else kept[start:stop]

"""The vectors of a dump, read from its files at each pass: nothing of them is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from coresift.core.memory import give_back
from coresift.core.progress import Progress
from coresift.engine.base import Engine
from coresift.io.dump import Dump, Shard
from coresift.io.subset import groups_of
from coresift.io.vectors import VectorBatch, normalise, refuse_invalid, vector_batches

Result = TypeVar("Result")
# row ids, ascending, and their vectors, of norm 1 under cosine
Rows = tuple[NDArray[np.int64], NDArray[np.float32]]


class Scan:
    """The rows that match and are valid, for work that reads vectors once or twice.

    Work that iterates reads :class:`coresift.io.vectors.Vectors`.

    Parameters
    ----------
    dump : Dump
        What to read.
    engine, progress : Engine, Progress
        Where to run and to report.

    Attributes
    ----------
    dropped : int
        Matching rows left out as invalid, once a pass has ended.
    """

    def __init__(self, dump: Dump, engine: Engine, progress: Progress) -> None:
        self._dump = dump
        self._engine = engine
        self._progress = progress
        self.dropped = 0

    @property
    def dim(self) -> int:
        """Dimensions."""
        return self._dump.embedding.dim

    @property
    def rows(self) -> int:
        """Rows of the dump."""
        return self._dump.rows

    @property
    def block_bytes(self) -> int:
        """About what the vectors of a block take; work on one may take a few times as much."""
        return self._dump.run_bytes

    @property
    def source(self) -> str:
        """Name of the dump, for messages."""
        return self._dump.source

    def take(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Vectors of some rows; only row groups that hold one are read.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,)
            Row ids, ascending.

        Returns
        -------
        vectors : ndarray of float32, shape (n, dim)
            Undefined where a row is left out.
        kept : ndarray of bool, shape (n,)
            Rows that match and are valid.

        Raises
        ------
        InputError
            At the first invalid row, unless invalid rows are dropped.
        """
        vectors = np.empty((len(rows), self.dim), np.float32)
        kept = np.zeros(len(rows), np.bool_)
        columns = self._dump.embedding.columns

        def task(shard: Shard) -> list[Rows]:
            found = []
            for batch in vector_batches(self._dump, shard):
                low, high = np.searchsorted(rows, [batch.start, batch.start + len(batch.vectors)])
                place = rows[low:high] - batch.start
                wanted = np.zeros(len(batch.vectors), np.bool_)
                wanted[place] = True
                found.append(self._good(batch, wanted)[0])
            return found

        with self._progress.stage("subset", len(rows)) as stage:
            for parts in self._engine.map(task, groups_of(self._dump, rows, columns)):
                for ids, block in parts:
                    place = np.searchsorted(rows, ids)
                    vectors[place], kept[place] = block, True
                    stage.advance(len(ids))
        give_back()
        return vectors, kept

    def map(
        self, task: Callable[[NDArray[np.int64], NDArray[np.float32]], Result], stage: str
    ) -> Iterator[Result]:
        """Run a task on all rows, block by block; results in their order.

        Parameters
        ----------
        task : callable
            Takes row ids, ascending, and their vectors. How rows are split into blocks must not
            show in what becomes of the results.
        stage : str
            Name of the pass for progress.

        Raises
        ------
        InputError
            At the first invalid row, unless invalid rows are dropped.
        """

        def of_shard(shard: Shard) -> tuple[int, list[Result]]:
            dropped, results = 0, []
            for lost, rows in self._blocks(shard):
                dropped += lost
                if len(rows[0]):
                    results.append(task(*rows))
            return dropped, results

        self.dropped = 0
        shards = self._dump.shards(self._dump.embedding.columns)
        with self._progress.stage(stage, self.rows) as progress:
            found = self._engine.map(of_shard, shards)
            for shard, (dropped, results) in zip(shards, found, strict=True):
                self.dropped += dropped
                yield from results
                progress.advance(shard.rows)
        give_back()

    def _blocks(self, shard: Shard) -> Iterator[tuple[int, Rows]]:
        """How many rows were dropped, and about ``block_bytes`` of vectors, at a time."""
        held: list[Rows] = []
        size = dropped = 0
        for batch in vector_batches(self._dump, shard):
            rows, lost = self._good(batch, batch.matching)
            dropped += lost
            held.append(rows)
            size += rows[1].nbytes
            del rows
            if size >= self.block_bytes:
                yield dropped, _together(held)
                size = dropped = 0
        if held:
            yield dropped, _together(held)

    def _good(self, batch: VectorBatch, wanted: NDArray[np.bool_]) -> tuple[Rows, int]:
        """Wanted rows of a batch that match and are valid, and how many are not valid."""
        wanted = wanted & batch.matching
        refused = np.flatnonzero(wanted & (batch.reason != 0))
        if len(refused) and self._dump.options.invalid != "drop":
            row = int(refused[0])
            raise refuse_invalid(self._dump, batch.start + row, int(batch.reason[row]))
        good = wanted & (batch.reason == 0)
        ids = batch.start + np.flatnonzero(good)
        vectors = batch.vectors if len(ids) == len(good) else batch.vectors[good]
        block: NDArray[np.float32] = vectors.astype(np.float32, copy=False)
        scaled = normalise(block) if self._dump.options.metric == "cosine" else block
        return (ids, scaled), len(refused)


def _together(parts: list[Rows]) -> Rows:
    """Take the parts, and join them."""
    ids, blocks = zip(*parts, strict=True)
    # so that they are not held beside what they become
    parts.clear()
    if len(ids) == 1:
        return ids[0], blocks[0]
    return np.concatenate(ids), np.concatenate(blocks)

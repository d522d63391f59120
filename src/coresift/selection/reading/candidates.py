"""The rows there are to choose from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.core.progress import Progress
from coresift.engine.base import Engine
from coresift.io.dump import Dump, Shard
from coresift.io.vectors import Vectors, matching_rows, refuse_invalid, vector_batches


@dataclass(frozen=True)
class Candidates:
    """The rows there are to choose from: those that match and whose vector is valid.

    Attributes
    ----------
    kept : ndarray of bool, shape (rows,), or None
        None when all are.
    count : int
        How many.
    notes : tuple of str
        What was left out, or could not be checked.
    """

    kept: NDArray[np.bool_] | None
    count: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Checked:
    kept: NDArray[np.bool_]
    dropped: int
    first_invalid: tuple[int, int] | None


def find_candidates(
    dump: Dump, engine: Engine, progress: Progress, stored: Callable[[], Vectors | None]
) -> Candidates:
    """Tell which rows match and are valid, reading the dump when that is needed.

    Parameters
    ----------
    dump : Dump
        What to read.
    engine : Engine
        Where to run.
    progress : Progress
        Where to report.
    stored : callable
        Gives the vectors where they are at hand, and checked.

    Raises
    ------
    InputError
        At the first invalid row, unless invalid rows are dropped; when no row is left.
    """
    notes = []
    vectors = True
    try:
        column = dump.embedding
    except InputError as error:
        options = dump.options
        named = options.embedding is not None or options.vectors
        if named or options.metric == "cosine" or options.invalid == "drop":
            raise
        notes.append(f"vectors were not checked: {error.message}")
        vectors = False
    if not vectors and dump.where is None:
        return Candidates(None, dump.rows, tuple(notes))
    reads = column.columns if vectors else tuple(dump.where[1] if dump.where else ())
    at_hand = stored() if vectors else None
    if at_hand is not None:
        if at_hand.dropped:
            notes.append(_left_out(at_hand.dropped))
        return Candidates(at_hand.kept, at_hand.count, tuple(notes))

    def task(shard: Shard) -> _Checked:
        return _check_vectors(dump, shard) if vectors else _check_filter(dump, shard)

    pieces: list[NDArray[np.bool_]] = []
    dropped = 0
    with progress.stage("check", dump.rows) as stage:
        for result in engine.map(task, dump.shards(reads)):
            if result.first_invalid is not None:
                raise refuse_invalid(dump, *result.first_invalid)
            pieces.append(result.kept)
            dropped += result.dropped
            stage.advance(len(result.kept))
    kept = np.concatenate(pieces)
    count = int(np.count_nonzero(kept))
    if count == 0:
        raise InputError(
            f"{dump.source}: no row is left of {dump.rows:,}",
            hint="--where or --invalid drop left none",
        )
    if dropped:
        notes.append(_left_out(dropped))
    return Candidates(None if count == dump.rows else kept, count, tuple(notes))


def _check_filter(dump: Dump, shard: Shard) -> _Checked:
    kept = matching_rows(dump, shard)
    return _Checked(np.ones(shard.rows, np.bool_) if kept is None else kept, 0, None)


def _check_vectors(dump: Dump, shard: Shard) -> _Checked:
    kept = np.zeros(shard.rows, np.bool_)
    dropped = 0
    for batch in vector_batches(dump, shard):
        good = batch.matching & (batch.reason == 0)
        refused = np.flatnonzero(batch.matching & (batch.reason != 0))
        if len(refused) and dump.options.invalid != "drop":
            first = (batch.start + int(refused[0]), int(batch.reason[refused[0]]))
            return _Checked(kept, 0, first)
        dropped += len(refused)
        low = batch.start - shard.start
        kept[low : low + len(good)] = good
    return _Checked(kept, dropped, None)


def _left_out(dropped: int) -> str:
    return f"{dropped:,} rows with an invalid vector were dropped"

"""Choosing farthest-first from a start, and what becomes of it: weights, scores and radius."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.core import randomness
from coresift.core.selection import Selection
from coresift.io.vectors import Vectors
from coresift.selection.base import Context
from coresift.selection.pools.farthest import ROW_BYTES as FARTHEST_ROW_BYTES
from coresift.selection.pools.farthest import Farthest, Weigh, pool_bytes

# of a row: what is kept, and its number and distance while candidates are found
_ROW_BYTES = FARTHEST_ROW_BYTES + 16
# rows among which one is drawn, of each row that may be left out
_CANDIDATES = 2
# of the chosen vectors, while room is made to compare all rows with more of them
_CHOSEN_COPIES = 6


def working_bytes(rows: int, dim: int, chosen: int, outliers: int = 0) -> int:
    """What :func:`cover` takes beside the vectors of all rows.

    Parameters
    ----------
    rows, dim : int
        All rows, and their dimensions.
    chosen : int
        Rows to choose, and those that are given.
    outliers : int
        Rows that may be left uncovered.
    """
    pool = pool_bytes(rows, dim, _CANDIDATES * outliers)
    return _ROW_BYTES * rows + _chosen_bytes(dim, chosen) + pool


def _chosen_bytes(dim: int, chosen: int) -> int:
    return _CHOSEN_COPIES * 4 * dim * chosen


def cover(
    points: Vectors,
    given: NDArray[np.int64],
    start: NDArray[np.int64],
    n: int,
    context: Context,
    outliers: int = 0,
    weigh: Weigh | None = None,
) -> Selection:
    """Choose rows so that no row is far from all of them.

    Parameters
    ----------
    points : Vectors
        All rows.
    given : ndarray of int64, shape (g,)
        Rows that are held already, ascending; not chosen.
    start : ndarray of int64, shape (s,)
        The rows to choose first, in this order; some, unless rows are given.
    n : int
        How many rows, ``start`` among them.
    context : Context
        The run's resources.
    outliers : int
        Rows that may be left uncovered: each row is then drawn uniformly from the farthest, twice
        as many as may be left out.
    weigh : callable, optional
        How many rows each of some rows counts for; 1 by default.
    """
    free = points.count - len(given)
    count = max(1, min(_CANDIDATES * outliers, free - n + 1))
    context.budget.require(_chosen_bytes(points.dim, n + len(given)), f"{n:,} rows to choose")
    state = Farthest.within(points, context, count)
    held = points.take(given)
    first = len(start)
    picked = np.empty(n, np.int64)
    score = np.empty(n)
    vectors = np.empty((n, points.dim), np.float32)
    picked[:first], score[:first] = start, np.inf
    vectors[:first] = points.take(np.sort(start))[np.argsort(np.argsort(start))]
    state.add(given, held)
    state.add(start, vectors[:first])
    with context.progress.stage("choose", n) as stage:
        stage.advance(first)
        for index in range(first, n):
            rows, distances = state.farthest(min(count, free - index))
            place = _drawn(rows, context.seed, index)
            row = rows[place : place + 1]
            picked[index], score[index] = row[0], distances[place]
            vectors[index] = state.vectors(row)[0]
            state.add(row, vectors[index : index + 1])
            stage.advance(1)
    found = state.assigned(context.progress, outliers, weigh)
    weight = found.weight[len(given) :]
    order = np.argsort(picked)
    notes = []
    if points.dropped:
        notes.append(f"{points.dropped:,} rows were left out, their vectors being invalid")
    if len(given):
        notes.append(f"{len(given):,} rows were given, and are not among those chosen")
    resolved: dict[str, float | int | str] = {"radius": found.radius}
    if outliers:
        resolved["outliers"] = outliers
    return Selection(
        picked[order],
        weight[order],
        points.count,
        score=np.sqrt(score[order]),
        rank=order.astype(np.int32),
        resolved=resolved,
        notes=tuple(notes),
    )


def _drawn(rows: NDArray[np.int64], seed: int, index: int) -> int:
    """Which of the farthest rows is taken; with outliers, one drawn uniformly."""
    if len(rows) == 1:
        return 0
    return int(randomness.bits(seed, f"k-center/{index}", rows).argmin())

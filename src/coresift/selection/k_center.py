"""Greedy k-center: again and again the row that is farthest from all chosen ones.

Gonzalez, "Clustering to Minimize the Maximum Intercluster Distance", Theoretical Computer
Science 38, 1985: the largest distance of a row to its nearest chosen one is at most twice the
least that any choice of as many rows can have. In active learning: Sener and Savarese, "Active
Learning for Convolutional Neural Networks: A Core-Set Approach", ICLR 2018. With a share of
outliers: Ding, Yu and Wang, "Greedy Strategy Works for k-Center Clustering with Outliers and
Coreset Construction", ESA 2019.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.points import sample_rows
from coresift.core import randomness
from coresift.core.errors import ParameterError
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.selection.base import Context, Data
from coresift.selection.farthest import Farthest
from coresift.selection.params.k_center import KCenterParams
from coresift.selection.represent import represented

# of a row: its squared distance, and its number while candidates are found
_ROW_BYTES = 24
# rows among which one is drawn, of each row that may be left out
_CANDIDATES = 2


def select(
    data: Data,
    size: Size | None,
    params: KCenterParams,
    context: Context,
    weigh: Callable[[NDArray[np.int64]], NDArray[np.float64]] | None = None,
) -> Selection:
    """Choose rows so that no row is far from all of them.

    ``score`` is the distance of a row from those chosen before it (of the first, when nothing is
    given, infinite), ``rank`` the order, ``weight`` how many rows have it as their nearest, each
    counted by ``weigh`` where that is given.
    """
    if size is None:
        raise ParameterError("k-center needs a size", hint="give -n 5000 or -n 10%")
    points = data.points(context, reserve=_ROW_BYTES * data.rows)
    given = data.given(params.given, points.kept)
    free = points.count - len(given)
    n = size.resolve(free)
    outliers = int(params.outliers * points.count)
    count = max(1, min(_CANDIDATES * outliers, free - n + 1))
    state = Farthest(points, context, count)
    held = points.take(given)
    picked = np.empty(n, np.int64)
    score = np.empty(n)
    vectors = np.empty((n, points.dim), np.float32)
    with context.progress.stage("choose", n) as stage:
        for index in range(n):
            if index == 0 and len(given):
                state.add(given, held)
            if index == 0 and not len(given):
                row, squared = sample_rows(points, 1, context.seed, "k-center"), np.inf
                vector = points.take(row)
            else:
                rows, distances = state.farthest(min(count, free - index))
                place = _drawn(rows, context.seed, index)
                row, squared = rows[place : place + 1], float(distances[place])
                vector = state.vectors(row)
            picked[index], score[index], vectors[index] = row[0], squared, vector[0]
            state.add(row, vector)
            stage.advance(1)
    every = np.concatenate([picked, given])
    everything = np.concatenate([vectors, held])
    weight, radius = represented(
        points, every, everything, context.engine, context.progress, outliers, weigh
    )
    order = np.argsort(picked)
    notes = []
    if points.dropped:
        notes.append(f"{points.dropped:,} rows were left out, their vectors being invalid")
    if len(given):
        notes.append(f"{len(given):,} rows were given, and are not among those chosen")
    resolved: dict[str, float | int | str] = {"radius": radius}
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

"""Duplicates that a set still holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.neighbors import neighbors
from coresift.clustering.points import Points
from coresift.evaluation.base import Resources, RowSet, Values

MOST_ROWS = 5_000
_SLAB = 8_192
_PURPOSE = "evaluate/duplicates"
_TILE = 512


def duplicates_left(
    points: Points, sets: Sequence[RowSet], within: float, resources: Resources
) -> Values:
    """Share of each set's rows with another row of the set equal to them, and that near.

    Of a set with more than 5,000 rows, so many are drawn uniformly, and each is compared with all
    of the set. Weights do not count.

    Parameters
    ----------
    points : Points
        All rows.
    sets : sequence of RowSet
        What to judge.
    within : float
        Largest distance of near duplicates.
    resources : Resources
        The run's resources.
    """
    found = np.zeros((2, len(sets)))
    with resources.progress.stage("duplicates", len(sets)) as stage:
        for index, rows_of in enumerate(sets):
            some = rows_of.at_most(MOST_ROWS, resources.seed, _PURPOSE).rows
            squared = nearest_other(points, some, rows_of.rows, resources)
            found[0, index] = np.mean(squared == 0.0)
            found[1, index] = np.mean(np.sqrt(squared) <= within)
            stage.advance(1)
    return {"duplicates_equal": found[0], "duplicates_near": found[1]}


def nearest_other(
    points: Points, some: NDArray[np.int64], rows: NDArray[np.int64], resources: Resources
) -> NDArray[np.float64]:
    """Squared distance of some of the rows to the nearest other of the rows; infinite without one.

    Parameters
    ----------
    points : Points
        All rows.
    some : ndarray of int64, shape (m,)
        Ids of rows that are asked about, ascending, all of them in ``rows``.
    rows : ndarray of int64, shape (n,)
        Ids, ascending.
    resources : Resources
        The run's resources.
    """
    block = points.take(some)

    def task(piece: tuple[int, Centers]) -> NDArray[np.float64]:
        start, centers = piece
        return neighbors(block[start : start + _TILE], centers, min(2, centers.k))[1]

    # the least is that to the row itself, or 0 to one equal to it
    least = np.full((len(some), 2), np.inf)
    for first in range(0, len(rows), _SLAB):
        centers = Centers.prepare(points.take(rows[first : first + _SLAB]))
        pieces = [(start, centers) for start in range(0, len(some), _TILE)]
        found = np.concatenate(list(resources.engine.driver.map(task, pieces)))
        least = np.sort(np.hstack([least, found]), axis=1)[:, :2]
    return least[:, 1]

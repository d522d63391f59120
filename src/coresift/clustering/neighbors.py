"""The few nearest points of each row: candidates by float32 bounds, decided in float64.

As in :mod:`coresift.clustering.nearest`, a matrix product only rules points out, with all that
rounding may have done to it. The neighbours are those of float64 distances computed row by row,
ties going to the lowest index: a function of the row and the points alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.distances import rough_distances, squared_distances, workspace

_SCORE_BYTES = 8 << 20
_PAIRS = 2048
# groups of points for each neighbour: two of the nearest then seldom share one
_GROUPS = 16


def neighbors(
    block: NDArray[np.float32], centers: Centers, count: int, room: int = _SCORE_BYTES
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Nearest points of each row.

    Parameters
    ----------
    block : ndarray of float32, shape (m, dim)
        Rows.
    centers : Centers
        The points; in all directions, since bounds in a few rule out too little here.
    count : int
        How many to find, at most ``centers.k``.
    room : int
        Bytes that scores may take, where that is less than is fastest.

    Returns
    -------
    labels : ndarray of int32, shape (m, count)
        Indices, the nearest first; of equals, the lowest one first.
    squared : ndarray of float64, shape (m, count)
        Squared distances.
    """
    labels = np.empty((len(block), count), np.int32)
    squared = np.empty((len(block), count))
    step = max(32, min(room, _SCORE_BYTES) // (4 * centers.k))
    for start in range(0, len(block), step):
        part = slice(start, start + step)
        rows = block[part]
        heads = centers.projection.rows(rows)
        scores: NDArray[np.float32] = workspace.take("scores", (len(rows), centers.k))
        np.matmul(heads, centers.weights, out=scores)
        # the distance of any `count` points bounds that of the nearest ones
        row, label = _reaching(scores, _floor(scores, count))
        rough = rough_distances(rows, centers.points, label, row)
        farthest = np.maximum.reduceat(rough, np.searchsorted(row, np.arange(len(rows))))
        row, label = _reaching(scores, centers.bar(heads[:, -1], farthest))
        distance = _measured(rows, centers.points, row, label)
        order = np.lexsort((label, distance, row))
        first = np.searchsorted(row, np.arange(len(rows)))
        best = order[first[:, None] + np.arange(count)]
        labels[part], squared[part] = label[best], distance[best]
    return labels, squared


def _floor(scores: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """A score that at least ``count`` points of each row reach, and hardly more."""
    groups = _GROUPS * count
    width = scores.shape[1] // groups
    if width > 1:
        # as many groups reach it: a maximum over groups is faster than a partition of all
        whole = scores[:, : width * groups].reshape(len(scores), width, groups)
        scores = whole.max(axis=1)
    last = scores.shape[1] - count
    floor: NDArray[np.float32] = np.partition(scores, last, axis=1)[:, last]
    return floor


def _reaching(
    scores: NDArray[np.float32], bar: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Rows, ascending with repeats, and points whose score reaches the row's bar."""
    row, label = np.divmod(np.flatnonzero(scores >= bar[:, None]), scores.shape[1])
    return row, label.astype(np.int32)


def _measured(
    rows: NDArray[np.float32],
    points: NDArray[np.float32],
    row: NDArray[np.int64],
    label: NDArray[np.int32],
) -> NDArray[np.float64]:
    """Squared distance of each pair."""
    distance = np.empty(len(row))
    for start in range(0, len(row), _PAIRS):
        part = slice(start, start + _PAIRS)
        distance[part] = squared_distances(rows[row[part]], points, label[part])
    return distance

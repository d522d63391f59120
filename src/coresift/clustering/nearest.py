"""The nearest centroid of each row: fast by float32 bounds, certain by float64 distances.

A float32 matrix product bounds all squared distances from below (see
:mod:`coresift.clustering.projection`). The centroid with the least bound is measured, and so
is every centroid whose bound, less all that rounding may have done to it (Higham, Accuracy
and Stability of Numerical Algorithms, 2nd ed., section 3.1), is not larger. What float32
cannot tell apart is measured in float64, ties going to the lowest index. Labels and distances
are so a function of the row and the centroids alone: not of the block, the thread, the BLAS
or the processor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import SMALL, Centers
from coresift.clustering.distances import rough_distances, squared_distances, workspace

_SCORE_BYTES = 16 << 20
_PAIRS = 8192
_MANY = 24


# rows, centroids and scores
Pairs = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]


def nearest(
    block: NDArray[np.float32],
    centers: Centers,
    projected: NDArray[np.float32] | None = None,
    upper: NDArray[np.float32] | None = None,
) -> NDArray[np.int32]:
    """Nearest centroid of each row.

    Parameters
    ----------
    block : ndarray of float32, shape (m, dim)
        Rows.
    centers : Centers
        Centroids.
    projected : ndarray of float32, shape (m, width), optional
        The rows by ``centers.projection.rows``, when they are at hand.
    upper : ndarray of float32, shape (m,), optional
        Is set to an upper bound of the distance to the nearest centroid.

    Returns
    -------
    ndarray of int32, shape (m,)
        Index of the nearest centroid; the lowest one of equals.
    """
    labels = np.empty(len(block), np.int32)
    step = _block_rows(centers.k)
    for start in range(0, len(block), step):
        part = slice(start, start + step)
        rows = block[part]
        heads = centers.projected(rows, projected, start)
        scores = _scores(heads, centers)
        guess = scores.argmax(axis=1).astype(np.int32)
        rough = rough_distances(rows, centers.points, guess)
        pairs = _above(scores, centers.bar(heads[:, -1], rough), guess)
        labels[part], rough, _ = settle(rows, centers, heads[:, -1], guess, rough, pairs)
        if upper is not None:
            upper[part] = centers.at_most(rough)
    return labels


def closer(
    block: NDArray[np.float32],
    centers: Centers,
    than: NDArray[np.float64],
    projected: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
    """Rows with a centroid nearer than a given squared distance.

    Parameters
    ----------
    block : ndarray of float32, shape (m, dim)
        Rows.
    centers : Centers
        Centroids.
    than : ndarray of float64, shape (m,)
        Squared distance to beat, of each row.
    projected : ndarray of float32, shape (m, width), optional
        The rows by ``centers.projection.rows``, when they are at hand.

    Returns
    -------
    rows : ndarray of int64, shape (j,)
        Positions in the block, ascending.
    labels, squared : ndarray of int32 and float64, shape (j,)
        Their nearest centroids and the squared distances.
    """
    labels = np.full(len(block), -1, np.int32)
    squared = than.copy()
    step = _block_rows(centers.k)
    for start in range(0, len(block), step):
        bars = than[start : start + step]
        heads = centers.projected(block[start : start + step], projected, start)
        scores = _scores(heads, centers)
        guess = scores.argmax(axis=1).astype(np.int32)
        best = scores[np.arange(len(guess)), guess]
        maybe = np.flatnonzero(best >= centers.bar(heads[:, -1], bars))
        if not len(maybe):
            continue
        rows, guess = block[start + maybe], guess[maybe]
        rough = rough_distances(rows, centers.points, guess)
        bars, heads = bars[maybe], heads[maybe]
        bar = centers.bar(heads[:, -1], np.minimum(rough, bars))
        pairs = _above(scores[maybe], bar, guess)
        label, rough, _ = settle(rows, centers, heads[:, -1], guess, rough, pairs)
        near = np.flatnonzero(rough <= bars * centers.margin + np.square(SMALL))
        label = label[near]
        distance = squared_distances(rows[near], centers.points, label)
        better = distance < bars[near]
        place = start + maybe[near[better]]
        labels[place] = label[better]
        squared[place] = distance[better]
    rows_closer = np.flatnonzero(labels >= 0).astype(np.int64)
    return rows_closer, labels[rows_closer], squared[rows_closer]


def _block_rows(k: int) -> int:
    """Rows whose scores against ``k`` centroids are a block."""
    return max(32, min(8192, _SCORE_BYTES // (4 * max(1, k))))


def _scores(heads: NDArray[np.float32], centers: Centers) -> NDArray[np.float32]:
    """Bounds of -d^2 / 2 from above, a workspace."""
    scores: NDArray[np.float32] = workspace.take("scores", (len(heads), centers.k))
    np.matmul(heads, centers.weights, out=scores)
    return scores


def _above(
    scores: NDArray[np.float32],
    bar: NDArray[np.float32],
    guess: NDArray[np.int32],
) -> Pairs:
    """Rows and centroids, other than the guess, whose scores reach the bar; changes scores."""
    scores[np.arange(len(scores)), guess] = -np.inf
    unsure = np.flatnonzero(scores.max(axis=1) >= bar)
    found = np.flatnonzero(scores[unsure] >= bar[unsure, None])
    place, column = np.divmod(found, scores.shape[1])
    row, label = unsure[place], column.astype(np.int32)
    return row, label, scores[row, label]


def settle(
    rows: NDArray[np.float32],
    centers: Centers,
    squares: NDArray[np.float32],
    guess: NDArray[np.int32],
    rough: NDArray[np.float32],
    pairs: Pairs,
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Decide between a guess and other centroids that may be nearer.

    Parameters
    ----------
    rows : ndarray of float32, shape (m, dim)
        Rows.
    centers : Centers
        Centroids.
    squares : ndarray of float32, shape (m,)
        Squared norms of the projected rows.
    guess : ndarray of int32, shape (m,)
        A centroid of each row.
    rough : ndarray of float32, shape (m,)
        Squared distances to it in float32; those of rows in ``pairs`` must be there.
    pairs : tuple of ndarray, shape (j,) each
        Rows, with repeats, other centroids, and their scores.

    Returns
    -------
    labels : ndarray of int32, shape (m,)
        The nearest of these centroids.
    least : ndarray of float32, shape (m,)
        Roughly, the squared distance to it.
    others : ndarray of float32, shape (j,)
        Roughly, the squared distance of each pair, or a bound of it from below.
    """
    row, label, score = pairs
    least = rough.copy()
    others = centers.proved(squares[row], score)
    if not len(row):
        return guess, least, others
    measured = np.empty(0, np.int64)
    left = np.arange(len(row))
    # the most likely one first: it may rule out the others
    for likely in (True, False):
        left = left[score[left] >= centers.bar(squares, least)[row[left]]]
        now = _best(row[left], score[left], len(rows)) if likely else np.ones(len(left), np.bool_)
        if not likely and len(left) > _MANY * len(rows) and centers.projection.basis is not None:
            found = nearest(rows, centers.in_full)
            return found, rough_distances(rows, centers.points, found), others
        some, left = left[now], left[~now]
        others[some] = rough_distances(rows, centers.points, label[some], row[some])
        np.minimum.at(least, row[some], others[some])
        measured = np.concatenate([measured, some])
    unsure = np.flatnonzero(np.bincount(row[measured]))
    distance = np.concatenate([rough[unsure], others[measured]])
    row = np.concatenate([unsure, row[measured]])
    label = np.concatenate([guess[unsure], label[measured]])
    near = distance <= least[row] * centers.margin + np.square(SMALL)
    result = guess.copy()
    result[row[near]] = label[near]
    close = np.flatnonzero(near & (np.bincount(row[near], minlength=len(rows))[row] > 1))
    result = _measure(rows, centers.points, row[close], label[close], result)
    return result, least, others


def _best(row: NDArray[np.int64], score: NDArray[np.float32], rows: int) -> NDArray[np.bool_]:
    """Pairs with the highest score of their row."""
    best = np.full(rows, -np.inf, np.float32)
    np.maximum.at(best, row, score)
    highest: NDArray[np.bool_] = score == best[row]
    return highest


def _measure(
    rows: NDArray[np.float32],
    points: NDArray[np.float32],
    row: NDArray[np.int64],
    label: NDArray[np.int32],
    result: NDArray[np.int32],
) -> NDArray[np.int32]:
    """Decide between several labels of a row by float64 distances."""
    if not len(row):
        return result
    distance = np.concatenate(
        [
            squared_distances(
                rows[row[start : start + _PAIRS]], points, label[start : start + _PAIRS]
            )
            for start in range(0, len(row), _PAIRS)
        ]
    )
    order = np.lexsort((label, distance, row))
    row = row[order]
    first = np.r_[True, row[1:] != row[:-1]]
    result[row[first]] = label[order][first]
    return result

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

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.distances import rough_distances, squared_distances, workspace
from coresift.clustering.projection import Projection

_SCORE_BYTES = 4 << 20
_PAIRS = 8192
_TAIL_PAIRS = 512
_MANY = 24
_LOOSE = np.float32(0.05)
_OUTWARDS = np.float32(1.0 + 2.0**-20)
_TILE_ROWS = 1024
_TILE_CENTERS = 1024
_TINY = np.float32(1e-30)


@dataclass(frozen=True)
class Centers:
    """Centroids, prepared for a search.

    Attributes
    ----------
    points : ndarray of float32, shape (k, dim)
        The centroids.
    projection : Projection
        What they were projected with.
    weights : ndarray of float32, shape (projection.width, k)
        See :meth:`Projection.centers`.
    reach : float
        Largest distance of a centroid from the projection's origin.
    """

    points: NDArray[np.float32]
    projection: Projection
    weights: NDArray[np.float32]
    reach: float

    @classmethod
    def prepare(cls, points: NDArray[np.float32], projection: Projection | None = None) -> Centers:
        """Prepare centroids, float32 of shape (k, dim); by default in all directions."""
        if projection is None:
            projection = Projection(points.mean(axis=0, dtype=np.float64).astype(np.float32))
        return cls(points, projection, *projection.centers(points))

    @property
    def k(self) -> int:
        """Number of centroids."""
        return len(self.points)

    @property
    def heads(self) -> NDArray[np.float32]:
        """The weights without the tail, shape (width - tail, k)."""
        return self.weights[self.projection.tail :]

    @cached_property
    def tails(self) -> NDArray[np.float32]:
        """The weights of the tail, shape (k, tail)."""
        return np.ascontiguousarray(self.weights[: self.projection.tail].T)

    @cached_property
    def in_full(self) -> Centers:
        """The same centroids in all directions."""
        return self if self.projection.basis is None else Centers.prepare(self.points)


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
        heads = _projected(rows, centers, projected, start)
        scores = _scores(heads, centers)
        guess = scores.argmax(axis=1).astype(np.int32)
        rough = rough_distances(rows, centers.points, guess)
        found = _above(scores, _bar(centers, heads[:, -1], rough), guess)
        labels[part], rough = _settle(rows, centers, guess, rough, *found)
        if upper is not None:
            upper[part] = np.sqrt(rough) * _margin(centers)
    return labels


def nearest_again(
    block: NDArray[np.float32],
    centers: Centers,
    projected: NDArray[np.float32] | None,
    guess: NDArray[np.int32],
    upper: NDArray[np.float32],
    moved: NDArray[np.float32],
) -> NDArray[np.int32]:
    """Nearest centroid of each row, given the one it had before centroids moved.

    A bound that is carried along spares most rows the measuring of their own centroid: Elkan,
    "Using the Triangle Inequality to Accelerate k-Means", ICML 2003.

    Parameters
    ----------
    block, centers, projected
        As in :func:`nearest`.
    guess : ndarray of int32, shape (m,)
        The centroid of each row before.
    upper : ndarray of float32, shape (m,)
        Upper bound of the distance to it, before; is set to one of the distance to the nearest.
    moved : ndarray of float32, shape (k,)
        How far each centroid moved, not rounded down.

    Returns
    -------
    ndarray of int32, shape (m,)
        The same labels as :func:`nearest` gives.
    """
    labels = guess.copy()
    for start in range(0, len(block), _TILE_ROWS):
        part = slice(start, start + _TILE_ROWS)
        rows, near, bound = block[part], guess[part], upper[part]
        step = moved[near]
        bound += step
        bound *= _OUTWARDS
        loose = np.flatnonzero(step > _LOOSE * bound)
        if len(loose):
            near_loose = rough_distances(rows, centers.points, near[loose], loose)
            bound[loose] = np.sqrt(near_loose) * _margin(centers)
        heads = _projected(rows, centers, projected, start)
        bar = _bar(centers, heads[:, -1], np.square(bound) * _margin(centers))
        found = _search_tiles(heads, centers, bar, near)
        row, label, score = _still_above(heads, centers, bar, *found)
        if not len(row):
            continue
        unsure = np.unique(row)
        rough = np.empty(len(rows), np.float32)
        rough[unsure] = rough_distances(rows, centers.points, near[unsure], unsure)
        bar[unsure] = _bar(centers, heads[unsure, -1], rough[unsure])
        still = score >= bar[row]
        labels[part], rough = _settle(rows, centers, near, rough, row[still], label[still])
        bound[unsure] = np.sqrt(rough[unsure]) * _margin(centers)
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
        heads = _projected(block[start : start + step], centers, projected, start)
        scores = _scores(heads, centers)
        guess = scores.argmax(axis=1).astype(np.int32)
        best = scores[np.arange(len(guess)), guess]
        maybe = np.flatnonzero(best >= _bar(centers, heads[:, -1], bars))
        if not len(maybe):
            continue
        rows, guess = block[start + maybe], guess[maybe]
        rough = rough_distances(rows, centers.points, guess)
        bars, heads = bars[maybe], heads[maybe]
        bar = _bar(centers, heads[:, -1], np.minimum(rough, bars))
        found = _above(scores[maybe], bar, guess)
        label, rough = _settle(rows, centers, guess, rough, *found)
        near = np.flatnonzero(rough <= bars * _margin(centers) + _TINY)
        label = label[near]
        distance = squared_distances(rows[near], centers.points, label)
        better = distance < bars[near]
        place = start + maybe[near[better]]
        labels[place] = label[better]
        squared[place] = distance[better]
    rows_closer = np.flatnonzero(labels >= 0).astype(np.int64)
    return rows_closer, labels[rows_closer], squared[rows_closer]


def _block_rows(k: int) -> int:
    """Rows whose scores against ``k`` centroids stay in the cache."""
    return max(32, min(2048, _SCORE_BYTES // (4 * max(1, k))))


def _projected(
    rows: NDArray[np.float32], centers: Centers, projected: NDArray[np.float32] | None, start: int
) -> NDArray[np.float32]:
    if projected is None:
        return centers.projection.rows(rows)
    return projected[start : start + len(rows)]


def _scores(heads: NDArray[np.float32], centers: Centers) -> NDArray[np.float32]:
    """Bounds of -d^2 / 2 from above, a workspace."""
    scores: NDArray[np.float32] = workspace.take("scores", (len(heads), centers.k))
    np.matmul(heads, centers.weights, out=scores)
    return scores


def _bar(
    centers: Centers, squares: NDArray[np.float32], squared: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Score that any centroid nearer than ``squared`` reaches, whatever rounding did."""
    widest = squared * (1.0 + 2.0 * centers.projection.relative_error)
    bar = -0.5 * widest - centers.projection.slack(squares, centers.reach)
    return bar.astype(np.float32)


def _above(
    scores: NDArray[np.float32],
    bar: NDArray[np.float32],
    guess: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Rows and centroids, other than the guess, whose scores reach the bar; changes scores."""
    scores[np.arange(len(scores)), guess] = -np.inf
    unsure = np.flatnonzero(scores.max(axis=1) >= bar)
    found = np.flatnonzero(scores[unsure] >= bar[unsure, None])
    place, column = np.divmod(found, scores.shape[1])
    return unsure[place], column.astype(np.int32)


def _still_above(
    heads: NDArray[np.float32],
    centers: Centers,
    bar: NDArray[np.float32],
    row: NDArray[np.int64],
    label: NDArray[np.int32],
    score: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Those pairs of a row and a centroid that reach the bar with the tail as well."""
    tail = centers.projection.tail
    if not tail:
        return row, label, score
    closer_score = np.empty_like(score)
    for start in range(0, len(row), _TAIL_PAIRS):
        part = slice(start, start + _TAIL_PAIRS)
        ours = workspace.take("tail", (len(row[part]), heads.shape[1]))
        theirs = workspace.take("tails", (len(row[part]), tail))
        np.take(heads, row[part], axis=0, out=ours, mode="clip")
        np.take(centers.tails, label[part], axis=0, out=theirs, mode="clip")
        np.einsum("ij,ij->i", ours[:, :tail], theirs, out=closer_score[part])
    closer_score += score
    still = closer_score >= bar[row]
    return row[still], label[still], closer_score[still]


def _search_tiles(
    heads: NDArray[np.float32],
    centers: Centers,
    bar: NDArray[np.float32],
    guess: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """Pairs whose scores reach the bar, and the scores: with the bar known, none are kept."""
    rows: list[NDArray[np.int64]] = []
    columns: list[NDArray[np.int64]] = []
    values: list[NDArray[np.float32]] = []
    heads = heads[:, centers.projection.tail :]
    for low in range(0, centers.k, _TILE_CENTERS):
        weights = centers.heads[:, low : low + _TILE_CENTERS]
        shape = (len(heads), weights.shape[1])
        scores = np.matmul(heads, weights, out=workspace.take("tile", shape))
        over = workspace.take("over", shape, np.bool_)
        found = np.flatnonzero(np.greater_equal(scores, bar[:, None], out=over))
        row, column = np.divmod(found, shape[1])
        rows.append(row)
        columns.append(column + low)
        values.append(scores.reshape(-1)[found])
    row, which = np.concatenate(rows), np.concatenate(columns).astype(np.int32)
    other = which != guess[row]
    return row[other], which[other], np.concatenate(values)[other]


def _settle(
    rows: NDArray[np.float32],
    centers: Centers,
    guess: NDArray[np.int32],
    rough: NDArray[np.float32],
    row: NDArray[np.int64],
    label: NDArray[np.int32],
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Decide between the guess and the centroids ``label`` found for the rows ``row``.

    Returns the labels and, roughly, their squared distances; ``rough`` is those of the guess,
    which need to be right only for the rows in ``row``.
    """
    if not len(row):
        return guess, rough
    if len(row) > _MANY * len(rows) and centers.projection.basis is not None:
        found = nearest(rows, centers.in_full)
        return found, rough_distances(rows, centers.points, found)
    unsure = np.unique(row)
    distance = np.concatenate([rough[unsure], rough_distances(rows, centers.points, label, row)])
    row, label = np.concatenate([unsure, row]), np.concatenate([guess[unsure], label])
    least = rough.copy()
    np.minimum.at(least, row, distance)
    near = np.flatnonzero(distance <= least[row] * _margin(centers) + _TINY)
    row, label = row[near], label[near]
    result = guess.copy()
    result[row] = label
    close = np.flatnonzero(np.bincount(row, minlength=len(rows))[row] > 1)
    return _measure(rows, centers.points, row[close], label[close], result), least


def _margin(centers: Centers) -> float:
    """Factor within which float32 cannot tell two squared distances apart."""
    return 1.0 + 4.0 * centers.projection.relative_error


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

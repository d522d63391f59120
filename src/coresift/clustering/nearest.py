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

import threading
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.projection import Projection

_SCORE_BYTES = 4 << 20
_DIRECT_ELEMENTS = 1 << 16
_PAIRS = 8192
_MANY = 24
_TINY = np.float32(1e-30)


class Workspace(threading.local):
    """Arrays that a thread uses again: fresh large arrays cost a page fault each 4 kB."""

    def __init__(self) -> None:
        self._held: dict[str, NDArray[np.generic]] = {}

    def take(
        self, name: str, shape: tuple[int, ...], dtype: type = np.float32
    ) -> NDArray[np.generic]:
        """Return an array of the shape with any content, valid until the name is taken again."""
        size = int(np.prod(shape))
        held = self._held.get(name)
        if held is None or held.size < size or held.dtype != dtype:
            held = self._held[name] = np.empty(size, dtype)
        return held[:size].reshape(shape)


_workspace = Workspace()


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

    @cached_property
    def in_full(self) -> Centers:
        """The same centroids in all directions."""
        return self if self.projection.basis is None else Centers.prepare(self.points)


def nearest(
    block: NDArray[np.float32],
    centers: Centers,
    projected: NDArray[np.float32] | None = None,
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

    Returns
    -------
    ndarray of int32, shape (m,)
        Index of the nearest centroid; the lowest one of equals.
    """
    labels = np.empty(len(block), np.int32)
    step = _block_rows(centers.k)
    for start in range(0, len(block), step):
        part = slice(start, start + step)
        scores, squares = _scores(block[part], centers, projected, start)
        guess = scores.argmax(axis=1).astype(np.int32)
        labels[part] = _settle(block[part], centers, scores, squares, guess)
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
        part = slice(start, start + step)
        scores, squares = _scores(block[part], centers, projected, start)
        guess = scores.argmax(axis=1).astype(np.int32)
        best = scores[np.arange(len(guess)), guess]
        maybe = np.flatnonzero(best >= _bar(centers, squares, than[part]))
        if not len(maybe):
            continue
        rows = block[part][maybe]
        label = _settle(rows, centers, scores[maybe], squares[maybe], guess[maybe])
        found = squared_distances(rows, centers.points, label)
        better = found < than[part][maybe]
        labels[start + maybe[better]] = label[better]
        squared[start + maybe[better]] = found[better]
    rows_closer = np.flatnonzero(labels >= 0).astype(np.int64)
    return rows_closer, labels[rows_closer], squared[rows_closer]


def squared_distances(
    block: NDArray[np.float32], points: NDArray[np.float32], labels: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Squared distance of each row to the point of its label, in float64, row by row."""
    result = np.empty(len(block), np.float64)
    dim = block.shape[1]
    step = max(1, _DIRECT_ELEMENTS // dim)
    difference = _workspace.take("difference", (min(step, len(block)), dim), np.float64)
    for start in range(0, len(block), step):
        rows = block[start : start + step]
        part = difference[: len(rows)]
        np.subtract(rows, points[labels[start : start + step]], out=part, dtype=np.float64)
        np.multiply(part, part, out=part)
        part.sum(axis=1, out=result[start : start + step])
    return result


def _rough_distances(
    block: NDArray[np.float32],
    points: NDArray[np.float32],
    labels: NDArray[np.int32],
    rows: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Squared distances in float32, of all rows of the block or of some (with repeats)."""
    result = np.empty(len(labels), np.float32)
    step = max(1, _DIRECT_ELEMENTS // block.shape[1])
    for start in range(0, len(labels), step):
        part = slice(start, start + step)
        difference = points[labels[part]]
        np.subtract(block[part] if rows is None else block[rows[part]], difference, out=difference)
        np.einsum("ij,ij->i", difference, difference, out=result[part])
    return result


def _block_rows(k: int) -> int:
    """Rows whose scores against ``k`` centroids stay in the cache."""
    return max(32, min(2048, _SCORE_BYTES // (4 * max(1, k))))


def _scores(
    rows: NDArray[np.float32], centers: Centers, projected: NDArray[np.float32] | None, start: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Bounds of -d^2 / 2 from above, a workspace, and |x'|^2."""
    if projected is None:
        projected = centers.projection.rows(rows)
    else:
        projected = projected[start : start + len(rows)]
    scores: NDArray[np.float32] = _workspace.take("scores", (len(rows), centers.k))
    np.matmul(projected, centers.weights, out=scores)
    return scores, projected[:, -1]


def _bar(
    centers: Centers, squares: NDArray[np.float32], squared: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Score that any centroid nearer than ``squared`` reaches, whatever rounding did."""
    widest = squared * (1.0 + 2.0 * centers.projection.relative_error)
    bar = -0.5 * widest - centers.projection.slack(squares, centers.reach)
    return bar.astype(np.float32)


def _settle(
    rows: NDArray[np.float32],
    centers: Centers,
    scores: NDArray[np.float32],
    squares: NDArray[np.float32],
    guess: NDArray[np.int32],
) -> NDArray[np.int32]:
    """Measure every centroid that may be as near as the guess; changes ``scores``."""
    rough = _rough_distances(rows, centers.points, guess)
    bar = _bar(centers, squares, rough)
    scores[np.arange(len(rows)), guess] = -np.inf
    unsure = np.flatnonzero(scores.max(axis=1) >= bar)
    if not len(unsure):
        return guess
    place, column = np.divmod(
        np.flatnonzero(np.greater_equal(scores[unsure], bar[unsure, None])), centers.k
    )
    if len(place) > _MANY * len(rows) and centers.projection.basis is not None:
        return nearest(rows, centers.in_full)
    row = np.concatenate([unsure, unsure[place]])
    label = np.concatenate([guess[unsure], column.astype(np.int32)])
    distance = np.concatenate(
        [rough[unsure], _rough_distances(rows, centers.points, column.astype(np.int32), unsure[place])]
    )
    least = np.full(len(rows), np.inf, np.float32)
    np.minimum.at(least, row, distance)
    margin = 1.0 + 4.0 * centers.projection.relative_error
    near = np.flatnonzero(distance <= least[row] * margin + _TINY)
    row, label = row[near], label[near]
    result = guess.copy()
    result[row] = label
    close = np.flatnonzero(np.bincount(row, minlength=len(rows))[row] > 1)
    return _measure(rows, centers.points, row[close], label[close], result)


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
            squared_distances(rows[row[start : start + _PAIRS]], points, label[start : start + _PAIRS])
            for start in range(0, len(row), _PAIRS)
        ]
    )
    order = np.lexsort((label, distance, row))
    row = row[order]
    first = np.r_[True, row[1:] != row[:-1]]
    result[row[first]] = label[order][first]
    return result

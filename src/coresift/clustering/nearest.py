"""The nearest centroid of each row: fast by float32 products, certain by float64.

A float32 matrix product gives approximate scores; how wrong they can be is bounded by the
standard analysis of a dot product (Higham, Accuracy and Stability of Numerical Algorithms,
2nd ed., section 3.1), whatever the order of summation, blocking or use of fused operations.
Where the runner-up is within that bound, the candidates are compared by float64 distances,
ties going to the lowest index. Labels and distances are so a function of the row and the
centroids alone: not of the block, the thread, the BLAS or the processor.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_UNIT = 2.0**-24
_SCORE_BYTES = 4 << 20
_TILE = 8192
_DIRECT_ELEMENTS = 1 << 17


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
    """Centroids, prepared for scoring.

    The score of a row x and a centroid c is x'.c' - |c'|^2 / 2 with x' = x - origin and
    c' = c - origin; |x - c|^2 = |x'|^2 - 2 score, so the nearest has the largest score.

    Attributes
    ----------
    points : ndarray of float32, shape (k, dim)
        The centroids.
    origin : ndarray of float32, shape (dim,)
        Their mean: small numbers have small errors.
    weights : ndarray of float32, shape (dim + 1, k)
        Centroids less the origin as columns, and -|c'|^2 / 2 as the last row.
    reach : float
        Largest |c'|, not rounded down.
    """

    points: NDArray[np.float32]
    origin: NDArray[np.float32]
    weights: NDArray[np.float32]
    reach: float

    @classmethod
    def prepare(cls, points: NDArray[np.float32]) -> Centers:
        """Prepare centroids, float32 of shape (k, dim)."""
        origin = points.mean(axis=0, dtype=np.float64).astype(np.float32)
        shifted = points - origin
        squares = np.square(shifted, dtype=np.float64).sum(axis=1)
        weights = np.empty((points.shape[1] + 1, len(points)), np.float32)
        weights[:-1] = shifted.T
        weights[-1] = -0.5 * squares
        reach = float(np.sqrt(squares.max(initial=0.0))) * (1.0 + 1e-6)
        return cls(points, origin, weights, reach)

    @property
    def k(self) -> int:
        """Number of centroids."""
        return len(self.points)

    @property
    def dim(self) -> int:
        """Dimensions."""
        return self.points.shape[1]

    def shift(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows less the origin, with a 1 appended: shape (rows, dim + 1), a workspace."""
        shifted: NDArray[np.float32] = _workspace.take("shifted", (len(block), self.dim + 1))
        np.subtract(block, self.origin, out=shifted[:, :-1])
        shifted[:, -1] = 1.0
        return shifted

    def norms(self, shifted: NDArray[np.float32]) -> NDArray[np.float64]:
        """Squared norms of the shifted rows, within a relative :attr:`relative_error`."""
        squares = np.einsum("ij,ij->i", shifted, shifted).astype(np.float64) - 1.0
        return np.maximum(squares, 0.0, out=squares)

    @property
    def relative_error(self) -> float:
        """Bound on the relative error of a float32 dot product over the dimensions."""
        return 1.01 * (self.dim + 6) * _UNIT

    def error(self, norms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bound on the error of any score of rows with these squared norms."""
        widened = norms * (1.0 + 4.0 * self.relative_error) + 2.0 * self.relative_error
        return self.relative_error * (np.sqrt(widened) * self.reach + 0.5 * self.reach**2)


def block_rows(k: int) -> int:
    """Rows whose scores against ``k`` centroids stay in the cache."""
    return max(256, min(2048, _SCORE_BYTES // (4 * max(1, min(k, _TILE))) // 256 * 256))


def nearest(
    block: NDArray[np.float32], centers: Centers
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Nearest centroid of each row and the squared distance to it.

    Parameters
    ----------
    block : ndarray of float32, shape (m, dim)
        Rows.
    centers : Centers
        Centroids.

    Returns
    -------
    labels : ndarray of int32, shape (m,)
        Index of the nearest centroid; the lowest one of equals.
    squared : ndarray of float64, shape (m,)
        Squared Euclidean distance.
    """
    labels = np.empty(len(block), np.int32)
    step = block_rows(centers.k)
    for start in range(0, len(block), step):
        rows = block[start : start + step]
        shifted = centers.shift(rows)
        label, best, second = _scan(shifted, centers)
        error = centers.error(centers.norms(shifted))
        unsure = np.flatnonzero(best - second <= 2.0 * error)
        if len(unsure):
            label[unsure] = resolve(
                rows[unsure], shifted[unsure], (best - 2.0 * error)[unsure], centers
            )
        labels[start : start + step] = label
    return labels, squared_distances(block, centers.points, labels)


def closer(
    block: NDArray[np.float32], centers: Centers, than: NDArray[np.float64]
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

    Returns
    -------
    rows : ndarray of int64, shape (j,)
        Positions in the block, ascending.
    labels, squared : ndarray of int32 and float64, shape (j,)
        Their nearest centroids and the squared distances.
    """
    step = block_rows(centers.k)
    found: list[tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]] = []
    for start in range(0, len(block), step):
        rows = block[start : start + step]
        shifted = centers.shift(rows)
        _, best, _ = _scan(shifted, centers)
        norms = centers.norms(shifted)
        least = norms * (1.0 - 2.0 * centers.relative_error) - 2.0 * (best + centers.error(norms))
        maybe = np.flatnonzero(least < than[start : start + step])
        if len(maybe):
            labels, squared = nearest(rows[maybe], centers)
            sure = squared < than[start : start + step][maybe]
            found.append((maybe[sure] + start, labels[sure], squared[sure]))
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float64)
    positions, labels_found, squares = zip(*found, strict=True)
    return np.concatenate(positions), np.concatenate(labels_found), np.concatenate(squares)


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


def _scan(
    shifted: NDArray[np.float32], centers: Centers
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
    """Label with the best score, that score and the second best, all approximate."""
    every = np.arange(len(shifted))
    label = np.zeros(len(shifted), np.int32)
    best = np.full(len(shifted), -np.inf, np.float32)
    second = np.full(len(shifted), -np.inf, np.float32)
    for low in range(0, centers.k, _TILE):
        weights = centers.weights[:, low : low + _TILE]
        scores = _workspace.take("scores", (len(shifted), weights.shape[1]))
        np.matmul(shifted, weights, out=scores)
        top = scores.argmax(axis=1)
        value = scores[every, top]
        scores[every, top] = -np.inf
        next_value = scores.max(axis=1)
        second = np.maximum(np.minimum(best, value), np.maximum(second, next_value))
        better = value > best
        label[better] = top[better] + low
        best = np.maximum(best, value)
    return label, best.astype(np.float64), second.astype(np.float64)


def resolve(
    rows: NDArray[np.float32],
    shifted: NDArray[np.float32],
    least: NDArray[np.float64],
    centers: Centers,
) -> NDArray[np.int32]:
    """Nearest centroid by float64 distances among those that score at least ``least``."""
    label = np.zeros(len(rows), np.int32)
    lowest = np.full(len(rows), np.inf)
    for low in range(0, centers.k, _TILE):
        scores = shifted @ centers.weights[:, low : low + _TILE]
        row, column = np.nonzero(scores >= least[:, None])
        for start in range(0, len(row), _TILE):
            who = row[start : start + _TILE]
            which = (column[start : start + _TILE] + low).astype(np.int32)
            distance = squared_distances(rows[who], centers.points, which)
            order = np.lexsort((which, distance, who))
            first = order[np.r_[True, who[order][1:] != who[order][:-1]]]
            better = distance[first] < lowest[who[first]]
            label[who[first][better]] = which[first][better]
            lowest[who[first][better]] = distance[first][better]
    return label

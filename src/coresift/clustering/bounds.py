"""Nearest centroids once more, by bounds that are carried from iteration to iteration.

For each row an upper bound of the distance to its centroid and a lower bound of the distance
to all others are kept, and loosened by how far centroids moved (Elkan, "Using the Triangle
Inequality to Accelerate k-Means", ICML 2003; Hamerly, "Making k-Means Even Faster", SDM 2010).
One centroid that moves far would spoil Hamerly's bound: those that moved most are searched
for every row, so that the others' smaller moves loosen the bound. Where they did not move at
all, this is the search among active centroids of Kaukoranta, Franti and Nevalainen, "A Fast
Exact GLA Based on Code Vector Activity Detection", IEEE Trans. Image Processing 9, 2000.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.distances import rough_distances, workspace
from coresift.clustering.nearest import Pairs, at_least, at_most, settle
from coresift.engine.base import Engine

_LOOSE = np.float32(0.0125)
_OUTWARDS = np.float32(1.0 + 2.0**-20)
_INWARDS = np.float32(1.0 - 2.0**-20)
_TILE_ROWS = 6144
_TILE_CENTERS = 1024
_PAIRS = 2048
# shares of the centroids that may be searched for every row
_ACTIVE = (0, 16, 8, 4, 2)
_AHEAD = np.float32(1.02)
_FAR = 0.5
_ZERO, _SMALL = np.float32(0.0), np.float32(1e-15)


@dataclass(frozen=True)
class Moves:
    """How far centroids moved since the last search.

    Attributes
    ----------
    moved : ndarray of float32, shape (k,)
        Distances, not rounded down.
    order : ndarray of int32, shape (k,)
        Centroids by falling distance.
    weights : ndarray of float32, shape (width - tail, k)
        The centroids' weights in this order.
    falling : ndarray of float32, shape (k + 1,)
        Distances in this order, and 0.
    changes : ndarray of float32, shape (k, width)
        See :meth:`Projection.steps`.
    reach : float
        Largest distance of a centroid from the projection's origin, before and after.
    """

    moved: NDArray[np.float32]
    order: NDArray[np.int32]
    weights: NDArray[np.float32]
    falling: NDArray[np.float32]
    changes: NDArray[np.float32]
    reach: float

    @classmethod
    def between(cls, before: Centers, after: Centers, engine: Engine) -> Moves:
        """Compare the centroids of two searches."""
        changes, moved = after.projection.steps(before.points, after.points, engine)
        order = np.argsort(-moved, kind="stable").astype(np.int32)
        falling = np.append(moved[order], np.float32(0.0))
        weights = np.ascontiguousarray(after.heads[:, order])
        return cls(moved, order, weights, falling, changes, max(before.reach, after.reach))

    def far(self, centers: Centers, upper: NDArray[np.float32]) -> bool:
        """Whether most moves are so wide that the centroids before are no help.

        Parameters
        ----------
        centers : Centers
            The centroids after.
        upper : ndarray of float32, shape (m,)
            Bounds of the distances before.
        """
        typical = float(np.median(upper)) if len(upper) else 0.0
        return not centers.projection.tail and self.falling[len(self.order) // 2] > _FAR * typical

    def active(self, slack: NDArray[np.float32]) -> int:
        """How many centroids to search for every row, so that the work is least.

        Parameters
        ----------
        slack : ndarray of float32, shape (m,)
            Lower less upper bounds; a row whose slack the others' moves use up is searched in
            all centroids.
        """
        k = len(self.order)
        least, best = float(k), k
        for share in _ACTIVE:
            count = k // share if share else 0
            spent = np.count_nonzero(slack <= self.falling[count]) / len(slack)
            work = count + (k - count) * spent
            if work < 0.9 * least:
                least, best = work, count
        return best


def nearest_again(
    block: NDArray[np.float32],
    centers: Centers,
    projected: NDArray[np.float32] | None,
    guess: NDArray[np.int32],
    bounds: NDArray[np.float32],
    moves: Moves,
) -> NDArray[np.int32]:
    """Nearest centroid of each row, given the one it had before centroids moved.

    Parameters
    ----------
    block, centers, projected
        As in :func:`~coresift.clustering.nearest.nearest`.
    guess : ndarray of int32, shape (m,)
        The centroid of each row before.
    bounds : ndarray of float32, shape (m, 2)
        Upper bound of the distance to it and lower bound of that to any other, before; are set
        to those that hold now.
    moves : Moves
        How far centroids moved.

    Returns
    -------
    ndarray of int32, shape (m,)
        The same labels as :func:`~coresift.clustering.nearest.nearest` gives.
    """
    labels = np.empty_like(guess)
    for start in range(0, len(block), _TILE_ROWS):
        part = slice(start, start + _TILE_ROWS)
        heads = centers.projected(block[part], projected, start)
        labels[part] = _tile(block[part], centers, heads, guess[part], bounds[part], moves)
    return labels


def _tile(
    rows: NDArray[np.float32],
    centers: Centers,
    heads: NDArray[np.float32],
    near: NDArray[np.int32],
    bounds: NDArray[np.float32],
    moves: Moves,
) -> NDArray[np.int32]:
    lower = bounds[:, 1]
    upper, doubt = _grown(centers, heads, near, bounds[:, 0], moves)
    rough = np.zeros(len(rows), np.float32)
    loose = doubt > _LOOSE * np.square(upper)
    _measure(rows, centers, near, np.flatnonzero(loose), rough, upper)
    active = moves.active(lower - upper)
    rest = (lower - moves.falling[active]) * _INWARDS
    spent = np.flatnonzero(rest <= upper)
    # looking a little further than needed finds a lower bound that lasts
    reach = upper * _AHEAD
    bar = centers.bar(heads[:, -1], np.square(reach) * centers.margin)
    row, label, score = _found(heads, centers, bar, near, spent, active, moves)
    rest[spent] = np.inf
    below = np.minimum(rest, reach * _INWARDS)
    maybe = score >= centers.bar(heads[:, -1], np.square(upper) * centers.margin)[row]
    unsure = np.unique(row[maybe])
    _measure(rows, centers, near, unsure[~loose[unsure]], rough, upper)
    pairs = (row[maybe], label[maybe], score[maybe])
    found, least, second = settle(rows, centers, heads[:, -1], near, rough, pairs)
    upper[unsure] = at_most(centers, least[unsure])
    np.minimum(below, at_least(centers, second), out=below)
    row, score = row[~maybe], score[~maybe]
    np.minimum.at(below, row, at_least(centers, centers.proved(heads[row, -1], score)))
    bounds[:, 0], bounds[:, 1] = upper, below
    return found


def _grown(
    centers: Centers,
    heads: NDArray[np.float32],
    near: NDArray[np.int32],
    upper: NDArray[np.float32],
    moves: Moves,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Upper bounds after the moves, and by how much they may be above the distances before."""
    projection = centers.projection
    change = np.empty(len(near), np.float32)
    for start in range(0, len(near), _PAIRS):
        part = slice(start, start + _PAIRS)
        step = workspace.take("step", (len(near[part]), heads.shape[1]))
        np.take(moves.changes, near[part], axis=0, out=step, mode="clip")
        np.einsum("ij,ij->i", heads[part], step, out=change[part])
    moved = moves.moved[near]
    slack = projection.step_slack(heads[:, -1], moved, moves.reach)
    squared = np.square(upper, dtype=np.float64) - 2.0 * (change - slack)
    straight = upper + moved
    grown = np.minimum(np.sqrt(np.maximum(squared, 0.0)).astype(np.float32), straight)
    rest = projection.tail - 2 if projection.tail else -3
    doubt = -heads[:, rest] * moves.changes[near, rest]
    return grown * _OUTWARDS + _SMALL, doubt


def _measure(
    rows: NDArray[np.float32],
    centers: Centers,
    near: NDArray[np.int32],
    some: NDArray[np.int64],
    rough: NDArray[np.float32],
    upper: NDArray[np.float32],
) -> None:
    """Measure the distances of some rows to their own centroids."""
    if len(some):
        rough[some] = rough_distances(rows, centers.points, near[some], some)
        upper[some] = at_most(centers, rough[some])


def _found(
    heads: NDArray[np.float32],
    centers: Centers,
    bar: NDArray[np.float32],
    near: NDArray[np.int32],
    spent: NDArray[np.int64],
    active: int,
    moves: Moves,
) -> Pairs:
    """Pairs of a row and another centroid that reach the bar.

    All rows are searched in the active centroids, those whose slack is spent in the others too.
    """
    tail = centers.projection.tail
    # with the bar in the place of the norm, the product says who reaches it by its sign
    narrow = heads[:, tail:].copy()
    narrow[:, -1] += 2.0 * bar
    k = len(moves.order)
    parts = [_search(narrow, moves.weights[:, :active])]
    if active < k and len(spent):
        row, column, score = _search(narrow[spent], moves.weights[:, active:])
        parts.append((spent[row], column + active, score))
    row, column, score = (np.concatenate(part) for part in zip(*parts, strict=True))
    score += bar[row]
    label = moves.order[column]
    other = label != near[row]
    row, label, score = row[other], label[other], score[other]
    return row, label, _with_tail(heads, centers, row, label, score) if tail else score


def _search(heads: NDArray[np.float32], weights: NDArray[np.float32]) -> Pairs:
    """Rows and columns whose product is not negative, tile by tile, and the products."""
    rows: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    columns: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
    values: list[NDArray[np.float32]] = [np.empty(0, np.float32)]
    for low in range(0, weights.shape[1], _TILE_CENTERS):
        part = weights[:, low : low + _TILE_CENTERS]
        shape = (len(heads), part.shape[1])
        scores = np.matmul(heads, part, out=workspace.take("scores", shape))
        over = workspace.take("over", shape, np.bool_)
        found = np.flatnonzero(np.greater_equal(scores, _ZERO, out=over))
        row, column = np.divmod(found, shape[1])
        rows.append(row)
        columns.append((column + low).astype(np.int32))
        values.append(scores.reshape(-1)[found])
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(values)


def _with_tail(
    heads: NDArray[np.float32],
    centers: Centers,
    row: NDArray[np.int64],
    label: NDArray[np.int32],
    score: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Closer scores, by the tail."""
    tail = centers.projection.tail
    closer = np.empty_like(score)
    for start in range(0, len(row), _PAIRS):
        part = slice(start, start + _PAIRS)
        ours = workspace.take("tail", (len(row[part]), heads.shape[1]))
        theirs = workspace.take("tails", (len(row[part]), tail))
        np.take(heads, row[part], axis=0, out=ours, mode="clip")
        np.take(centers.tails, label[part], axis=0, out=theirs, mode="clip")
        np.einsum("ij,ij->i", ours[:, :tail], theirs, out=closer[part])
    closer += score
    return closer

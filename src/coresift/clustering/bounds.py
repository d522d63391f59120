"""Nearest centroids once more, by bounds that are carried from iteration to iteration.

For each row an upper bound of the distance to its centroid and, for each group of centroids,
a lower bound of the distance to all others in it are kept, and loosened by how far centroids
moved (Elkan, "Using the Triangle Inequality to Accelerate k-Means", ICML 2003; groups: Ding et
al., "Yinyang K-Means", ICML 2015). One centroid that moves far would spoil its group's bound:
those of a group that moved most are searched for every row, so that the others' smaller moves
loosen the bound. Where they did not move at all, this is the search among active centroids of
Kaukoranta, Franti and Nevalainen, "A Fast Exact GLA Based on Code Vector Activity Detection",
IEEE Trans. Image Processing 9, 2000.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import SMALL, Centers
from coresift.clustering.distances import rough_distances, workspace
from coresift.clustering.moves import Moves
from coresift.clustering.nearest import Pairs, settle

_LOOSE = np.float32(0.0125)
_OUTWARDS = np.float32(1.0 + 2.0**-20)
_INWARDS = np.float32(1.0 - 2.0**-20)
_TILE_ROWS = 6144
_TILE_CENTERS = 1024
_PAIRS = 2048
_AHEAD = np.float32(1.02)
_ZERO = np.float32(0.0)


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
    bounds : ndarray of float32, shape (m, 1 + groups)
        Upper bound of the distance to it and lower bounds of those to all others of each group,
        before; are set to those that hold now.
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
    lower = np.ascontiguousarray(bounds[:, 1:].T)
    upper, doubt = _grown(centers, heads, near, bounds[:, 0], moves)
    rough = np.zeros(len(rows), np.float32)
    loose = doubt > _LOOSE * np.square(upper)
    _measure(rows, centers, near, np.flatnonzero(loose), rough, upper)
    # looking a little further than needed finds the tail's lower bounds, which last
    reach = upper * _AHEAD if centers.projection.tail else upper
    bar = centers.bar(heads[:, -1], np.square(reach) * centers.margin)
    row, label, score = _found(heads, centers, bar, near, lower, upper, moves)
    maybe = score >= centers.bar(heads[:, -1], np.square(upper) * centers.margin)[row]
    unsure = np.unique(row[maybe])
    _measure(rows, centers, near, unsure[~loose[unsure]], rough, upper)
    pairs = (row[maybe], label[maybe], score[maybe])
    found, least, squared = settle(rows, centers, heads[:, -1], near, rough, pairs)
    upper[unsure] = centers.at_most(least[unsure])
    beyond = centers.proved(heads[row, -1], score)
    beyond[maybe] = squared
    # the centroid that was nearest, where it no longer is
    left = np.flatnonzero(found != near)
    row, label = np.concatenate([row, left]), np.concatenate([label, near[left]])
    beyond = np.concatenate([beyond, rough[left]])
    other = label != found[row]
    row, label, beyond = row[other], label[other], beyond[other]
    np.minimum.at(lower, (moves.group[label], row), centers.at_least(beyond))
    bounds[:, 0], bounds[:, 1:] = upper, lower.T
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
    doubt = -heads[:, projection.rest] * moves.changes[near, projection.rest]
    return grown * _OUTWARDS + SMALL, doubt


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
        upper[some] = centers.at_most(rough[some])


def _found(
    heads: NDArray[np.float32],
    centers: Centers,
    bar: NDArray[np.float32],
    near: NDArray[np.int32],
    lower: NDArray[np.float32],
    upper: NDArray[np.float32],
    moves: Moves,
) -> Pairs:
    """Pairs of a row and another centroid that reach the bar; sets lower bounds of all others.

    All rows are searched in the active centroids, those whose slack is spent in the others too.
    """
    tail = centers.projection.tail
    # with the bar in the place of the norm, the product says who reaches it by its sign
    narrow = workspace.take("narrow", (len(heads), heads.shape[1] - tail))
    np.copyto(narrow, heads[:, tail:])
    narrow[:, -1] += 2.0 * bar
    own = moves.place[near]
    active = moves.active(lower - upper)
    firsts, lasts = moves.starts[:-1], moves.starts[1:]
    tops = np.full(lower.shape, -np.inf, np.float32)
    pieces = [(int(first), int(first) + count) for first, count in zip(firsts, active, strict=True)]
    found = [_search(narrow, own, pieces, tops, moves)]
    for group, (_, first) in enumerate(pieces):
        last = int(lasts[group])
        if first == last:
            lower[group] = np.inf
            continue
        lower[group] = (lower[group] - moves.falls(group, active[group])) * _INWARDS
        spent = np.flatnonzero(lower[group] <= upper)
        if not len(spent):
            continue
        top = np.full((1, len(spent)), -np.inf, np.float32)
        some = workspace.take("some", (len(spent), narrow.shape[1]))
        np.take(narrow, spent, axis=0, out=some, mode="clip")
        row, label, score = _search(some, own[spent], [(first, last)], top, moves)
        found.append((spent[row], label, score))
        tops[group, spent] = np.maximum(tops[group, spent], top[0])
        lower[group, spent] = np.inf
    squared = centers.proved(heads[:, -1], tops + bar)
    np.minimum(lower, centers.at_least(squared), out=lower)
    row, label, score = (np.concatenate(part) for part in zip(*found, strict=True))
    score += bar[row]
    return row, label, _with_tail(heads, centers, row, label, score) if tail else score


def _search(
    heads: NDArray[np.float32],
    own: NDArray[np.int32],
    pieces: Sequence[tuple[int, int]],
    tops: NDArray[np.float32],
    moves: Moves,
) -> Pairs:
    """Rows, other centroids and products that are not negative.

    Parameters
    ----------
    heads : ndarray of float32, shape (m, width - tail)
        Rows.
    own : ndarray of int32, shape (m,)
        Place of each row's centroid.
    pieces : sequence of tuple of int
        First place and end of some runs of centroids.
    tops : ndarray of float32, shape (pieces, m)
        Is set to the largest negative product of each row in each piece.
    moves : Moves
        Holds the weights.
    """
    parts: list[Pairs] = [(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.float32))]
    for tile in _tiles(pieces):
        places = np.concatenate([np.arange(first, last) for _, first, last in tile])
        part = moves.weights[places] if len(tile) > 1 else moves.weights[slice(*tile[0][1:])]
        # a line for each centroid: the largest of each row is then found line by line
        scores = np.matmul(part, heads.T, out=workspace.take("scores", (len(part), len(heads))))
        lines = np.split(scores, np.cumsum([last - first for _, first, last in tile])[:-1])
        for (_, first, last), some in zip(tile, lines, strict=True):
            mine = np.flatnonzero((own >= first) & (own < last))
            some[own[mine] - first, mine] = -np.inf
        over = workspace.take("over", scores.shape, np.bool_)
        found = np.flatnonzero(np.greater_equal(scores, _ZERO, out=over))
        line, row = np.divmod(found, len(heads))
        flat = scores.reshape(-1)
        parts.append((row, moves.order[places[line]], flat[found]))
        flat[found] = -np.inf
        for (index, _, _), some in zip(tile, lines, strict=True):
            np.maximum(tops[index], some.max(axis=0), out=tops[index])
    row, label, score = (np.concatenate(part) for part in zip(*parts, strict=True))
    return row, label, score


def _tiles(pieces: Sequence[tuple[int, int]]) -> list[list[tuple[int, int, int]]]:
    """Cut pieces and join them: lists of piece, first place and end, of limited length."""
    tiles: list[list[tuple[int, int, int]]] = []
    room = 0
    for index, (first, last) in enumerate(pieces):
        for low in range(first, last, _TILE_CENTERS):
            high = min(low + _TILE_CENTERS, last)
            if high - low > room:
                tiles.append([])
                room = _TILE_CENTERS
            tiles[-1].append((index, low, high))
            room -= high - low
    return tiles


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

"""Pairs of rows within a radius of each other: every such pair, and no other.

A product in a few directions bounds the distances of all pairs of two tiles from below (see
:mod:`coresift.clustering.projection`). The pairs that it leaves are decided in float64, by
their two vectors as the dump holds them: no tile, batch or basis can change what is found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.distances import workspace
from coresift.clustering.projection import Projection
from coresift.io.store import Arrays
from coresift.selection.duplicates.closeness import Radius, closeness_of
from coresift.selection.duplicates.space import SAMPLE_RUN, Space, Tile

# a pair by itself costs about as much as this many products of two numbers in a tile's product
_SINGLE = 60_000
_GRID = (16, 32, 64, 96, 128, 192, 256)


@dataclass(frozen=True)
class Pairs:
    """Pairs of positions.

    Attributes
    ----------
    one, other : ndarray of int64, shape (m,)
        Positions in the first and in the second tile's space.
    closeness : ndarray of float64, shape (m,)
        See :class:`Radius`; NaN where it was not asked for.
    """

    one: NDArray[np.int64]
    other: NDArray[np.int64]
    closeness: NDArray[np.float64]

    @property
    def arrays(self) -> Arrays:
        """The three."""
        return self.one, self.other, self.closeness


def fitted(space: Space, radius: Radius, within_runs: bool) -> Projection:
    """Choose directions that make the search fast, from a sample.

    Parameters
    ----------
    space : Space
        The rows.
    radius : Radius
        What is searched for.
    within_runs : bool
        Whether only neighbouring positions are compared.
    """
    sample = space.sample()
    basis = Projection.fit(sample)
    everything = Projection(basis.origin)
    best, least = everything, float("inf")
    for width in (*(w for w in _GRID if w <= len(basis.shares)), 0):
        projection = basis.narrowed(width) if width else everything
        if width and projection.basis is None:
            continue
        heads = projection.rows(sample)
        passed = heads @ _weights(heads).T >= _bar(heads, heads, projection, radius)[:, None]
        if within_runs:
            runs = np.arange(len(sample)) // SAMPLE_RUN
            passed = passed[runs[:, None] == runs]
        # a row and itself pass, and need not be compared
        share = (np.count_nonzero(passed) - len(sample)) / max(1, passed.size)
        cost = projection.width + min(share * _SINGLE, 2.0 * space.store.width)
        if cost < least:
            best, least = projection, cost
    return best


def near(
    one: Tile, other: Tile, radius: Radius, *, upper: bool = False, measured: bool = False
) -> Pairs:
    """Find the pairs of two tiles that are near.

    Parameters
    ----------
    one, other : Tile
        Rows of the same or of two spaces with the same projection.
    radius : Radius
        When they are near.
    upper : bool
        Only pairs in which the second position is larger.
    measured : bool
        Whether each pair's closeness is wanted.
    """
    row, column = _possible(one, other, radius)
    first, second = one.positions[row], other.positions[column]
    if upper:
        wanted = np.flatnonzero(second > first)
        first, second = first[wanted], second[wanted]
    if not len(first):
        return Pairs(first, second, np.empty(0))
    rows, row_of = np.unique(first, return_inverse=True)
    columns, column_of = np.unique(second, return_inverse=True)
    mine, theirs = one.space.store.gather(rows), other.space.store.gather(columns)
    closeness = np.full(len(first), np.nan)
    unsure = np.arange(len(first))
    sure = unsure[:0]
    if 2 * len(rows) * len(columns) * mine.shape[1] < len(first) * _SINGLE:
        high, low = _sharp(one.space, mine, theirs, radius)
        left = high[row_of, column_of]
        near_already = left & low[row_of, column_of]
        if not measured:
            sure = np.flatnonzero(near_already)
            left &= ~near_already
        unsure = np.flatnonzero(left)
    closeness[unsure] = closeness_of(mine, theirs, row_of[unsure], column_of[unsure], radius)
    kept = np.sort(np.concatenate([sure, unsure[closeness[unsure] >= radius.least]]))
    return Pairs(first[kept], second[kept], closeness[kept])


def _possible(
    one: Tile, other: Tile, radius: Radius
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs that the product of the projections does not rule out, as lines of the tiles."""
    scores = workspace.take("near", (len(one.heads), len(other.heads)))
    np.matmul(one.heads, _weights(other.heads).T, out=scores)
    bar = _bar(one.heads, other.heads, one.space.projection, radius)
    some = np.flatnonzero(scores.max(axis=1, initial=-np.inf) >= bar)
    row, column = np.nonzero(scores[some] >= bar[some, None])
    return some[row], column


def _sharp(
    space: Space, mine: NDArray[np.float32], theirs: NDArray[np.float32], radius: Radius
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which pairs may be near, and which are, by the product in all directions.

    Worth its time where many pairs are left, most of which are near.
    """
    everything = Projection(space.projection.origin)
    left, right = space.compared(mine), space.compared(theirs)
    wide, high = everything.rows(left), everything.rows(right)
    scores = wide @ _weights(high).T
    sure: NDArray[np.bool_] = scores >= _sure(wide, high, everything, radius)[:, None]
    if radius.unit:
        some, others = np.flatnonzero(~left.any(axis=1)), np.flatnonzero(~right.any(axis=1))
        sure[some] = False
        sure[:, others] = False
    return scores >= _bar(wide, high, everything, radius)[:, None], sure


def closest(
    parts: list[Pairs],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Of each first position the closest second one, ties to the lowest, and their closeness."""
    one, other, closeness = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("one", "other", "closeness")
    )
    order = np.lexsort((other, -closeness, one))
    first = order[np.unique(one[order], return_index=True)[1]]
    return one[first], other[first], closeness[first]


def _weights(heads: NDArray[np.float32]) -> NDArray[np.float32]:
    """What projected rows are multiplied by for minus half the squared distance, or more."""
    weights = heads.copy()
    weights[:, -2] = -0.5 * heads[:, -1]
    weights[:, -1] = -0.5
    return weights


def _slack(
    one: NDArray[np.float32], other: NDArray[np.float32], projection: Projection
) -> NDArray[np.float64]:
    reach = float(np.sqrt(other[:, -1].max(initial=0.0))) * (1.0 + projection.relative_error)
    # twice: here both sides are projected in float32, and their squares summed
    return 2.0 * projection.slack(one[:, -1], reach)


def _bar(
    one: NDArray[np.float32], other: NDArray[np.float32], projection: Projection, radius: Radius
) -> NDArray[np.float32]:
    """Score that every near pair reaches."""
    widest = -0.5 * (radius.squared + radius.rounding)
    return np.nextafter(
        (widest - _slack(one, other, projection)).astype(np.float32), np.float32(-np.inf)
    )


def _sure(
    one: NDArray[np.float32], other: NDArray[np.float32], projection: Projection, radius: Radius
) -> NDArray[np.float32]:
    """Score in all directions that only near pairs reach."""
    narrowest = -0.5 * (radius.squared - radius.rounding)
    return np.nextafter(
        (narrowest + _slack(one, other, projection)).astype(np.float32), np.float32(np.inf)
    )

"""How far centroids moved between two searches, group by group, and which to search again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.engine.base import Engine

# centroids of a group: fewer make small products, which are slow
_GROUP, _HALVINGS, _ROUNDS = 250, 5, 10
# shares of a group that may be searched for every row
_ACTIVE = (0, 16, 8, 4, 2)
# centroids whose products take as long as the copy of a row
_COPY = 24


def group_count(k: int) -> int:
    """How many groups ``k`` centroids are split into, a power of two."""
    return int(2 ** min(_HALVINGS, max(0, np.log2(max(1, k) / _GROUP).round())))


def grouped(points: NDArray[np.float32]) -> NDArray[np.int32]:
    """Split centroids, shape (k, dim), into groups of near ones.

    Halves at the median of the direction of most variance, then halves of these, and so on.
    """
    parts = [np.arange(len(points))]
    while len(parts) < group_count(len(points)):
        parts = [half for part in parts for half in _halves(points, part)]
    group = np.empty(len(points), np.int32)
    for index, part in enumerate(parts):
        group[part] = index
    return group


def _halves(points: NDArray[np.float32], part: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    cloud = points[part] - points[part].mean(axis=0)
    direction = cloud[np.square(cloud).sum(axis=1).argmax()]
    for _ in range(_ROUNDS):
        direction = (cloud @ direction) @ cloud
        direction /= max(float(np.linalg.norm(direction)), 1e-30)
    order = part[np.argsort(cloud @ direction, kind="stable")]
    return [order[: len(part) // 2], order[len(part) // 2 :]]


@dataclass(frozen=True)
class Moves:
    """How far centroids moved since the last search.

    Attributes
    ----------
    moved : ndarray of float32, shape (k,)
        Distances, not rounded down.
    order : ndarray of int32, shape (k,)
        Centroids group by group, by falling distance in each.
    place : ndarray of int32, shape (k,)
        Where in this order each centroid is.
    group : ndarray of int32, shape (k,)
        Group of each centroid.
    starts : ndarray of int64, shape (groups + 1,)
        Where in the order each group starts.
    weights : ndarray of float32, shape (k, width - tail)
        The centroids' weights in this order.
    changes : ndarray of float32, shape (k, width)
        See :meth:`Projection.steps`.
    reach : float
        Largest distance of a centroid from the projection's origin, before and after.
    """

    moved: NDArray[np.float32]
    order: NDArray[np.int32]
    place: NDArray[np.int32]
    group: NDArray[np.int32]
    starts: NDArray[np.int64]
    weights: NDArray[np.float32]
    changes: NDArray[np.float32]
    reach: float

    @classmethod
    def between(
        cls, before: Centers, after: Centers, group: NDArray[np.int32], engine: Engine
    ) -> Moves:
        """Compare the centroids of two searches, split into these groups."""
        changes, moved = after.projection.steps(before.points, after.points, engine)
        order = np.lexsort((-moved, group)).astype(np.int32)
        place = np.empty_like(order)
        place[order] = np.arange(len(order), dtype=np.int32)
        starts = np.concatenate([[0], np.cumsum(np.bincount(group))])
        weights = np.ascontiguousarray(after.heads.T)[order]
        reach = max(before.reach, after.reach)
        return cls(moved, order, place, group, starts, weights, changes, reach)

    def falls(self, group: int, active: int) -> np.float32:
        """How far the centroids of a group moved at most, but for so many active ones."""
        place = self.starts[group] + active
        return self.moved[self.order[place]] if place < self.starts[group + 1] else np.float32(0.0)

    def active(self, slack: NDArray[np.float32]) -> list[int]:
        """How many centroids of each group to search for every row, so that the work is least.

        Parameters
        ----------
        slack : ndarray of float32, shape (groups, m)
            Lower less upper bounds; a row whose slack the others' moves use up is searched in
            all centroids of the group.
        """
        return [self._active(group, slack[group]) for group in range(len(slack))]

    def _active(self, group: int, slack: NDArray[np.float32]) -> int:
        size = int(self.starts[group + 1] - self.starts[group])
        least, best = float(size), size
        for share in _ACTIVE:
            count = size // share if share else 0
            spent = np.count_nonzero(slack <= self.falls(group, count)) / len(slack)
            work = count + (size - count + _COPY) * spent
            if work < 0.9 * least:
                least, best = work, count
        return best

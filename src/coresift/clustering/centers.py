"""Centroids, prepared for a search, and what their scores prove in spite of rounding.

A score is a float32 bound of minus half the squared distance from above (see
:mod:`coresift.clustering.projection`); rounding is bounded as in Higham, Accuracy and
Stability of Numerical Algorithms, 2nd ed., section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.projection import Projection
from coresift.engine.base import Engine

# a distance whose square is still a float32
SMALL = np.float32(1e-15)


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
    def prepare(
        cls,
        points: NDArray[np.float32],
        projection: Projection | None = None,
        engine: Engine | None = None,
    ) -> Centers:
        """Prepare centroids, float32 of shape (k, dim); by default in all directions."""
        if projection is None:
            projection = Projection(points.mean(axis=0, dtype=np.float64).astype(np.float32))
        return cls(points, projection, *projection.centers(points, engine))

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

    @property
    def margin(self) -> float:
        """Factor within which float32 cannot tell two squared distances apart."""
        return 1.0 + 4.0 * self.projection.relative_error

    def projected(
        self, rows: NDArray[np.float32], at_hand: NDArray[np.float32] | None, start: int
    ) -> NDArray[np.float32]:
        """Projected rows: those from ``start`` where they are at hand."""
        if at_hand is None:
            return self.projection.rows(rows)
        return at_hand[start : start + len(rows)]

    def bar(
        self, squares: NDArray[np.float32], squared: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Score that any centroid nearer than ``squared`` reaches, whatever rounding did.

        Parameters
        ----------
        squares : ndarray of float32, shape (m,)
            Squared norms of projected rows, their last column.
        squared : ndarray, shape (m,)
            Squared distances.
        """
        widest = squared * (1.0 + 2.0 * self.projection.relative_error)
        bar = -0.5 * widest - self.projection.slack(squares, self.reach)
        return bar.astype(np.float32)

    def proved(
        self, squares: NDArray[np.float32], scores: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Squared distances that no centroid with such scores falls below."""
        squared = -2.0 * (scores + self.projection.slack(squares, self.reach))
        return np.maximum(squared, 0.0).astype(np.float32)

    def at_most(self, rough: NDArray[np.float32]) -> NDArray[np.float32]:
        """Upper bounds of distances from their squares in float32."""
        upper: NDArray[np.float32] = np.sqrt(rough) * np.float32(self.margin) + SMALL
        return upper

    def at_least(self, rough: NDArray[np.float32]) -> NDArray[np.float32]:
        """Lower bounds of distances from their squares in float32."""
        lower = np.sqrt(rough) / np.float32(self.margin) - SMALL
        return lower.astype(np.float32, copy=False)

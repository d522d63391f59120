"""Rows to compare others with, of which there come to be more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.projection import Projection

_ROOM = 512


class Growing:
    """Rows that are prepared for a search as they are added.

    Parameters
    ----------
    projection : Projection
        What all rows are projected with.

    Attributes
    ----------
    count : int
        How many there are.
    """

    def __init__(self, projection: Projection) -> None:
        self.count = 0
        self._projection = projection
        self._points = np.empty((0, projection.dim), np.float32)
        self._weights = np.empty((projection.width, 0), np.float32)
        self._reach = 0.0

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Add rows, float32 of shape (m, dim)."""
        stop = self.count + len(vectors)
        if stop > len(self._points):
            room = max(stop, 2 * self.count, _ROOM) - self.count
            self._points = np.pad(self._points[: self.count], ((0, room), (0, 0)))
            self._weights = np.pad(self._weights[:, : self.count], ((0, 0), (0, room)))
        weights, reach = self._projection.centers(vectors)
        self._points[self.count : stop] = vectors
        self._weights[:, self.count : stop] = weights
        self._reach = max(self._reach, reach)
        self.count = stop

    def since(self, first: int, most: int | None = None) -> Centers:
        """Those from one on, in the order they were added; at most so many."""
        part = slice(first, self.count if most is None else min(self.count, first + most))
        return Centers(self._points[part], self._projection, self._weights[:, part], self._reach)

"""Rows none of which is near another: taken in an order, unless near to one taken before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.distances import squared_distances
from coresift.clustering.nearest import closer
from coresift.clustering.projection import Projection
from coresift.selection.duplicates.growing import Growing

# rows that are compared with all those taken at a time, and then with each other
_BLOCK = 512
_TILE = 16


@dataclass(frozen=True)
class Taken:
    """Rows of a pool in the order they were taken.

    Attributes
    ----------
    places : ndarray of int64, shape (j,)
        Positions in the pool.
    squared : ndarray of float64, shape (j,)
        Squared distances to the nearest row taken before or given; infinite where there is none.
    """

    places: NDArray[np.int64]
    squared: NDArray[np.float64]

    @property
    def least(self) -> float:
        """Least squared distance between two rows."""
        return float(self.squared.min(initial=np.inf))


class Independent:
    """Finds such rows of a pool for any distance.

    Parameters
    ----------
    vectors : ndarray of float32, shape (m, dim)
        The pool.
    given : ndarray of float32, shape (g, dim)
        Rows held already, which none may be near to.
    order : ndarray of int64, shape (m,)
        Positions in the pool, the first to be taken first.
    """

    def __init__(
        self,
        vectors: NDArray[np.float32],
        given: NDArray[np.float32],
        order: NDArray[np.int64],
    ) -> None:
        self._order = order
        self._vectors = vectors[order]
        self._projection = Projection(vectors.mean(axis=0, dtype=np.float64).astype(np.float32))
        self._heads = self._projection.rows(self._vectors)
        held = Growing(self._projection)
        held.add(given)
        self._to_given = self._nearest(np.arange(len(order)), held)

    def rows(self, limit: float, most: int) -> Taken:
        """Take rows in the order.

        Parameters
        ----------
        limit : float
            Squared distance; no row is nearer to another than that.
        most : int
            How many rows at most.
        """
        taken = Growing(self._projection)
        places: list[int] = []
        squared: list[float] = []
        for start in range(0, len(self._order), _BLOCK):
            block = np.arange(start, min(start + _BLOCK, len(self._order)))
            far = self._to_given[block] >= limit
            if taken.count and limit > 0.0:
                near, _, _ = closer(
                    self._vectors[block],
                    taken.since(0),
                    np.full(len(block), limit),
                    self._heads[block],
                )
                far[near] = False
            left = block[far]
            for begin in range(0, len(left), _TILE):
                tile = left[begin : begin + _TILE]
                found, distances = self._of_tile(tile, taken, limit, most - len(places))
                taken.add(self._vectors[found])
                places += found.tolist()
                squared += distances
                if len(places) == most:
                    return Taken(self._order[places], np.array(squared))
        return Taken(self._order[places], np.array(squared))

    def _of_tile(
        self, tile: NDArray[np.int64], taken: Growing, limit: float, most: int
    ) -> tuple[NDArray[np.int64], list[float]]:
        """Rows of a tile that are far enough from those taken, and from each other."""
        vectors = self._vectors[tile]
        before = np.minimum(self._nearest(tile, taken), self._to_given[tile])
        one, other = np.tril_indices(len(tile), -1)
        between = np.empty((len(tile), len(tile)))
        between[one, other] = squared_distances(vectors[one], vectors, other.astype(np.int32))
        found: list[int] = []
        squared: list[float] = []
        for place in range(len(tile)):
            least = min(before[place], between[place, found].min(initial=np.inf))
            if least >= limit and len(found) < most:
                found.append(place)
                squared.append(float(least))
        return tile[found], squared

    def _nearest(self, rows: NDArray[np.int64], taken: Growing) -> NDArray[np.float64]:
        """Squared distances of rows, by place in the order, to the nearest of those taken."""
        squared = np.full(len(rows), np.inf)
        if taken.count:
            near, _, found = closer(self._vectors[rows], taken.since(0), squared, self._heads[rows])
            squared[near] = found
        return squared

"""How similar two rows are, from 0 to 1, exactly the same wherever it is computed.

``cosine`` is max(0, x.y / (|x| |y|)). Of the two ways to make a cosine non-negative, cutting off
leaves a row that is at a right angle to all chosen ones uncovered, and agrees with a sparse
similarity, in which all but the nearest count as 0; (1 + cosine) / 2 would call any row half
covered by any other, so that gains are small differences of large sums. submodlib does the
former (its maximum starts at 0), apricot takes the square of the cosine, which calls opposite
rows the same. ``gaussian`` is exp(-|x - y|^2 / (2 h^2)), with h the median distance of two rows.

Coordinates are rounded to multiples of 2^-26 of the norm (under ``gaussian`` of 2^-25 of a bound
on all norms), so that products of two are multiples of 2^-52 or 2^-50 and every sum of them on
the way to a product of rows or a squared distance is exact in float64: a similarity is a
function of the two rows, not of the block, the BLAS or the processor. It is rounded to a
multiple of 2^-24, which float32 holds exactly, and counted in these units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.bandwidth import median_distance
from coresift.clustering.distances import workspace
from coresift.clustering.points import Points

UNITS = 2.0**24
_UNIT_GRID, _GRID = 2.0**26, 2.0**25
_BLOCK = 2048


@dataclass(frozen=True)
class Rows:
    """Rows made ready to be compared.

    Attributes
    ----------
    vectors : ndarray of float64, shape (n, dim)
        Of norm 1 or, under ``gaussian``, at most 1; rounded.
    squares : ndarray of float64, shape (n,)
        Their squared norms, exact.
    """

    vectors: NDArray[np.float64]
    squares: NDArray[np.float64]

    def __len__(self) -> int:
        """How many."""
        return len(self.vectors)

    def __getitem__(self, some: slice | NDArray[np.int64]) -> Rows:
        """Some of them."""
        return Rows(self.vectors[some], self.squares[some])


@dataclass(frozen=True)
class Similarity:
    """A similarity of vectors.

    Attributes
    ----------
    kind : {"cosine", "gaussian"}
        Which.
    bandwidth : float
        Of ``gaussian``: h.
    bound : float
        Of ``gaussian``: a power of two that no norm reaches.
    """

    kind: str
    bandwidth: float = 1.0
    bound: float = 1.0

    @classmethod
    def of(cls, kind: str, points: Points, seed: int) -> Similarity:
        """Similarity of some points."""
        if kind == "cosine":
            return cls(kind)
        return cls(kind, median_distance(points, seed))

    def within(self, *vectors: NDArray[np.float32]) -> Similarity:
        """The same, for vectors that are to be compared with each other."""
        if self.kind == "cosine":
            return self
        largest = max(
            float(np.square(part[start : start + _BLOCK], dtype=np.float64).sum(axis=1).max())
            for part in vectors
            for start in range(0, len(part), _BLOCK)
        )
        return replace(self, bound=2.0 ** math.frexp(max(math.sqrt(largest), 2.0**-500))[1])

    def told(self) -> dict[str, float | int | str]:
        """What a result says of it."""
        said: dict[str, float | int | str] = {"similarity": self.kind}
        if self.kind == "gaussian":
            said["bandwidth"] = self.bandwidth
        return said

    def rows(self, vectors: NDArray[np.float32]) -> Rows:
        """Make vectors ready; under ``cosine`` a zero vector is similar to none."""
        made = np.empty(vectors.shape)
        squares = np.empty(len(vectors))
        for start in range(0, len(vectors), _BLOCK):
            part = slice(start, start + _BLOCK)
            wide = vectors[part].astype(np.float64)
            if self.kind == "cosine":
                norms = np.sqrt(np.square(wide).sum(axis=1))
                wide /= np.where(norms == 0.0, 1.0, norms)[:, None]
                grid = _UNIT_GRID
            else:
                wide /= self.bound
                grid = _GRID
            # a power of two, so that only rounding rounds
            wide *= grid
            np.rint(wide, out=wide)
            wide /= grid
            made[part] = wide
            squares[part] = np.square(wide, out=wide).sum(axis=1)
        return Rows(made, squares)

    def units(self, left: Rows, right: Rows) -> NDArray[np.float32]:
        """Similarities of all pairs in units: integers from 0 to 2^24.

        Returns
        -------
        ndarray of float32, shape (len(left), len(right))
            A workspace of this thread, valid until it asks again.
        """
        shape = len(left), len(right)
        found = workspace.take("products", shape, np.float64)
        np.matmul(left.vectors, right.vectors.T, out=found)
        if self.kind == "gaussian":
            found *= -2.0
            found += left.squares[:, None]
            found += right.squares
            found *= -0.5 * (self.bound / self.bandwidth) ** 2
            np.exp(found, out=found)
        units = workspace.take("similarities", shape)
        np.multiply(found, UNITS, out=units, casting="same_kind")
        if self.kind == "cosine":
            # rounding can take the norm of a row above 1
            np.clip(units, 0.0, UNITS, out=units)
        np.rint(units, out=units)
        return units

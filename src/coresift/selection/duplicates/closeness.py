"""How close two rows are, decided in float64 by their two vectors alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.projection import UNIT

_PART = 1 << 18


@dataclass(frozen=True)
class Radius:
    """When two rows are near.

    Attributes
    ----------
    least : float
        Closeness that they have at least: a cosine similarity, or minus a Euclidean distance.
    unit : bool
        Whether they are compared scaled to norm 1.
    distance : bool
        Whether closeness is minus a distance.
    """

    least: float
    unit: bool
    distance: bool

    @classmethod
    def of(cls, threshold: float | None, epsilon: float | None, cosine: bool) -> Radius:
        """At most a distance, of vectors scaled to norm 1 under ``cosine``, or else a similarity.

        Without either, a similarity of 1.
        """
        if epsilon is not None:
            return cls(-epsilon, unit=cosine, distance=True)
        return cls.similarity(1.0 if threshold is None else threshold)

    @classmethod
    def similarity(cls, threshold: float) -> Radius:
        """At least this cosine similarity."""
        return cls(threshold, unit=True, distance=False)

    @property
    def squared(self) -> float:
        """Squared distance of the vectors that are compared."""
        return self.least * self.least if self.distance else max(0.0, 2.0 - 2.0 * self.least)

    @property
    def cosine(self) -> float:
        """Cosine similarity, of vectors scaled to norm 1."""
        return 1.0 - 0.5 * self.squared

    @property
    def rounding(self) -> float:
        """How far scaling to norm 1 in float32 can move a squared distance, and float64 its own."""
        return 64.0 * UNIT if self.unit else 1e-9 * self.squared

    def shown(self, closeness: NDArray[np.float64]) -> tuple[str, NDArray[np.float64]]:
        """Closeness as users know it: the name and values of a similarity or a distance."""
        return ("distance", -closeness) if self.distance else ("similarity", closeness)


def closeness_of(
    mine: NDArray[np.float32],
    theirs: NDArray[np.float32],
    row: NDArray[np.int64],
    column: NDArray[np.int64],
    radius: Radius,
) -> NDArray[np.float64]:
    """Closeness of pairs of rows, in float64, pair by pair.

    Parameters
    ----------
    mine, theirs : ndarray of float32, shape (m, dim) and (n, dim)
        Vectors as the dump holds them.
    row, column : ndarray of int64, shape (p,)
        Which of each.
    radius : Radius
        What closeness is; it is NaN where a vector has no norm to scale.
    """
    result = np.empty(len(row))
    lengths = (_squares(mine), _squares(theirs)) if radius.unit else None
    step = max(1, _PART // max(1, mine.shape[1]))
    for start in range(0, len(row), step):
        part = slice(start, start + step)
        left = mine[row[part]].astype(np.float64)
        right = theirs[column[part]]
        if lengths is None:
            left -= right
            np.multiply(left, left, out=left)
            np.sqrt(left.sum(axis=1), out=result[part])
        else:
            np.multiply(left, right, out=left)
            with np.errstate(invalid="ignore"):
                # the root of the product, so that a row is at 1 from itself and its multiples
                norms = np.sqrt(lengths[0][row[part]] * lengths[1][column[part]])
                np.divide(left.sum(axis=1), norms, out=result[part])
    if radius.distance:
        if radius.unit:
            np.sqrt(np.maximum(2.0 - 2.0 * result, 0.0), out=result)
        np.negative(result, out=result)
    return result


def _squares(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    np.multiply(wide, wide, out=wide)
    squares: NDArray[np.float64] = wide.sum(axis=1)
    return squares

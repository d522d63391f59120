"""What a selection method returns: rows and what is known of them, never vectors."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# What a row of a selection takes while it is chosen and written: ids, keys, weights, scores,
# clusters, ranks, and copies of them while they are sorted.
ROW_BYTES = 120


@dataclass(frozen=True)
class Dropped:
    """Rows that were dropped, and what for.

    Attributes
    ----------
    row : ndarray of int64, shape (m,)
        Row ids, strictly increasing.
    duplicate_of : ndarray of int64, shape (m,)
        The row that each was dropped for, of the same dump or of the one it was compared with.
    measure : str
        ``similarity`` or ``distance``.
    values : ndarray of float64, shape (m,)
        Cosine similarity or Euclidean distance of the two rows.
    """

    row: NDArray[np.int64]
    duplicate_of: NDArray[np.int64]
    measure: str
    values: NDArray[np.float64]

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """Return the columns of a table of them."""
        return {"row": self.row, "duplicate_of": self.duplicate_of, self.measure: self.values}


@dataclass(frozen=True)
class Selection:
    """The chosen rows of a dump.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Row ids, strictly increasing.
    weight : ndarray of float64, shape (n,)
        How many rows of the full data each row stands for.
    score : ndarray of float64, shape (n,), or None
        What the method ranked by.
    cluster : ndarray of int32, shape (n,), or None
        The cluster each row belongs to.
    rank : ndarray of int32, shape (n,), or None
        Pick order, 0 first.
    rows_in : int
        Rows there were to choose from.
    resolved : dict
        Parameters that the method set itself (an ``auto`` that became a number).
    notes : tuple of str
        What was sampled, skipped or replaced, one line each.
    dropped : Dropped or None
        Rows that were dropped for another one, where that was asked for.
    """

    rows: NDArray[np.int64]
    weight: NDArray[np.float64]
    rows_in: int
    score: NDArray[np.float64] | None = None
    cluster: NDArray[np.int32] | None = None
    rank: NDArray[np.int32] | None = None
    resolved: dict[str, float | int | str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    dropped: Dropped | None = None

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """Return the columns this selection adds to the input's, in the order of the contract."""
        present = {
            "row": self.rows,
            "weight": self.weight,
            "score": self.score,
            "cluster": self.cluster,
            "rank": self.rank,
        }
        return {name: values for name, values in present.items() if values is not None}

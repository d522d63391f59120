"""Coverage: the sum over rows of their similarity to the most similar chosen row.

F(S) = sum_x weight(x) max_{s in S} sim(x, s), the facility-location function: monotone and
submodular for sim >= 0. What a row would add is a sum of integers below 2^53 (similarities are
in units of 2^-24, weights in units that total about 2^28 at most), so it is exact whatever the
order, and the same whether similarities are kept or made again.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from coresift.engine.base import Engine
from coresift.selection.pools.similarity import UNITS, Rows, Similarity

TILE = 512
SPAN = 4096
# bits that weights may total, so that with similarities they stay below 2^53, rounded up too
_WEIGHT_BITS = 28


class Coverage(ABC):
    """How well chosen rows cover all rows.

    Parameters
    ----------
    weight : ndarray of float64, shape (n,)
        How much each row counts, not negative.

    Attributes
    ----------
    best : ndarray of float32, shape (n,)
        Similarity of each row to the most similar one chosen so far, in units.
    scale : float
        What a unit of a gain is worth.
    """

    def __init__(self, weight: NDArray[np.float64]) -> None:
        total = float(weight.sum())
        unit = math.ldexp(1.0, max(math.frexp(total)[1] - _WEIGHT_BITS, -900))
        self.weight = np.rint(weight / unit)
        self.scale = unit / UNITS
        self.best = np.zeros(len(weight), np.float32)

    def __len__(self) -> int:
        """Rows."""
        return len(self.weight)

    def cover(self, similarity: Similarity, rows: Rows, others: Rows, engine: Engine) -> None:
        """Hold other rows from the start."""

        def task(span: slice) -> NDArray[np.float32]:
            best = np.zeros(span.stop - span.start, np.float32)
            for start in range(0, len(others), SPAN):
                units = similarity.units(rows[span], others[start : start + SPAN])
                np.maximum(best, units.max(axis=1), out=best)
            return best

        if len(others):
            self.best = np.concatenate(list(engine.map(task, spans(len(rows), TILE))))

    def add(self, place: int) -> NDArray[np.float32]:
        """Choose a row, and return its similarity to all."""
        column = self.column(place)
        self.expect(column)
        np.maximum(self.best, column, out=self.best)
        return column

    def expect(self, column: NDArray[np.float32]) -> None:  # noqa: B027  # most need not know
        """Be told of a row that is about to be chosen, by its similarity to all."""

    def known(self) -> NDArray[np.float64] | None:
        """What each row would add now, in units, where that is kept; changes with each choice."""
        return None

    @abstractmethod
    def column(self, place: int) -> NDArray[np.float32]:
        """Similarity of a row to all, in units."""

    @abstractmethod
    def gains(self, some: NDArray[np.int64], least: float = -np.inf) -> NDArray[np.float64]:
        """What each of some rows would add now, in units.

        Of those that add less than ``least``, perhaps only a bound from above that is less, too.
        """

    @abstractmethod
    def all_gains(self) -> NDArray[np.float64]:
        """What each row would add now, in units."""


def spans(rows: int, step: int) -> list[slice]:
    """Consecutive rows, so many at a time."""
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def consecutive(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of all elements of some runs, one after the other."""
    place = np.arange(lengths.sum())
    place += np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    return place

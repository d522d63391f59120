"""The similarities that can still add to a coverage, once they are few."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.engine.base import Engine

# elements of a matrix that are looked at in a task
_TILE = 1 << 20


class Above:
    """Similarities that are above what their rows are covered by, row after row.

    Where they are few, what each row would add is kept up to date rather than measured again:
    choosing one changes it only through the rows that are covered better from then on.

    Parameters
    ----------
    matrix : ndarray of float32, shape (n, n)
        All similarities, in units.
    best : ndarray of float32, shape (n,)
        What each row is covered by.
    weight : ndarray of float64, shape (n,)
        How much each counts.
    engine : Engine
        Where to run.

    Attributes
    ----------
    gains : ndarray of float64, shape (n,)
        What each row would add, in units.
    """

    def __init__(
        self,
        matrix: NDArray[np.float32],
        best: NDArray[np.float32],
        weight: NDArray[np.float64],
        engine: Engine,
    ) -> None:
        rows = len(matrix)
        step = max(1, _TILE // rows)

        def task(
            start: int,
        ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
            part = matrix[start : start + step]
            higher = part > best[start : start + step, None]
            counts = np.count_nonzero(higher, axis=1)
            places = np.flatnonzero(higher)
            units = np.take(part, places)
            places -= np.repeat(rows * np.arange(len(part)), counts)
            return counts, places.astype(np.int32), units

        counts, others, units = zip(*engine.map(task, range(0, rows, step)), strict=True)
        self._weight = weight
        self._others, self._units = np.concatenate(others), np.concatenate(units)
        self._begin(np.concatenate(counts))
        owner = self._owners()
        self.gains = self._sums(self._others, (self._units - best[owner]) * weight[owner])

    @staticmethod
    def share(matrix: NDArray[np.float32], best: NDArray[np.float32], sample: int) -> float:
        """Estimate, from some rows, of how many of all similarities these are."""
        rows = slice(None, None, max(1, len(matrix) // sample))
        return float(np.mean(matrix[rows] > best[rows, None]))

    def choose(self, column: NDArray[np.float32], best: NDArray[np.float32]) -> None:
        """Take from the gains what a chosen row takes from them.

        Parameters
        ----------
        column : ndarray of float32, shape (n,)
            Similarity of each row to it.
        best : ndarray of float32, shape (n,)
            What each row was covered by before.
        """
        better = np.flatnonzero(column > best)
        starts = self._starts[better]
        lengths = self._starts[better + 1] - starts
        place = np.arange(lengths.sum())
        place += np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
        units = self._units[place]
        lost = np.minimum(units, np.repeat(column[better], lengths))
        lost -= np.minimum(units, np.repeat(best[better], lengths))
        weight = np.repeat(self._weight[better], lengths)
        self.gains -= self._sums(self._others[place], lost * weight)

    def narrow(self, best: NDArray[np.float32]) -> None:
        """Forget what is not above any more."""
        owner = self._owners()
        still = self._units > best[owner]
        self._others, self._units = self._others[still], self._units[still]
        self._begin(np.bincount(owner[still], minlength=len(best)))

    def _begin(self, counts: NDArray[np.int64]) -> None:
        self._starts = np.concatenate([[0], np.cumsum(counts)])

    def _owners(self) -> NDArray[np.int64]:
        return np.repeat(np.arange(len(self._weight)), np.diff(self._starts))

    def _sums(self, rows: NDArray[np.int32], values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = np.bincount(rows, values, len(self._weight))
        return sums.astype(np.float64, copy=False)

"""The similarities that can still add to a coverage, once they are few."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# similarities that are gone through at a time
_BLOCK = 1 << 22
# a similarity and its row, twice while they are put together
BYTES = 16


@dataclass(frozen=True)
class Higher:
    """Of some consecutive rows, the similarities above what they are covered by.

    Attributes
    ----------
    counts : ndarray of int64, shape (rows,)
        How many each row has.
    others : ndarray of int32, shape (m,)
        The rows that they are similar to, row after row.
    units : ndarray of float32, shape (m,)
        How similar, in units.
    """

    counts: NDArray[np.int64]
    others: NDArray[np.int32]
    units: NDArray[np.float32]

    @classmethod
    def of(cls, units: NDArray[np.float32], best: NDArray[np.float32], first: int = 0) -> Higher:
        """Those of a block of similarities to rows from ``first`` on."""
        higher = units > best[:, None]
        counts = np.count_nonzero(higher, axis=1)
        places = np.flatnonzero(higher)
        values = np.take(units, places)
        places += np.repeat(first - units.shape[1] * np.arange(len(units)), counts)
        return cls(counts, places.astype(np.int32), values)

    @classmethod
    def beside(cls, parts: Sequence[Higher]) -> Higher:
        """The same rows' similarities to all, from those to some each."""
        owner = np.concatenate([np.repeat(np.arange(len(p.counts)), p.counts) for p in parts])
        order = np.argsort(owner, kind="stable")
        others = np.concatenate([part.others for part in parts])[order]
        units = np.concatenate([part.units for part in parts])[order]
        return cls(np.sum([part.counts for part in parts], axis=0), others, units)


class Above:
    """All similarities that are above what their rows are covered by.

    Where they are few, what each row would add is kept up to date rather than measured again:
    choosing one changes it only through the rows that are covered better from then on.

    Parameters
    ----------
    parts : iterable of Higher
        Of all rows, in their order.
    best : ndarray of float32, shape (n,)
        What each row is covered by.
    weight : ndarray of float64, shape (n,)
        How much each counts.

    Attributes
    ----------
    gains : ndarray of float64, shape (n,)
        What each row would add, in units.
    """

    def __init__(
        self, parts: Iterable[Higher], best: NDArray[np.float32], weight: NDArray[np.float64]
    ) -> None:
        self._weight = weight
        self.gains = np.zeros(len(weight))
        every, row = [], 0
        for part in parts:
            stop = row + len(part.counts)
            over = np.repeat(weight[row:stop], part.counts)
            over *= part.units - np.repeat(best[row:stop], part.counts)
            self.gains += self._sums(part.others, over)
            every.append(part)
            row = stop
        self._starts = _starts(np.concatenate([part.counts for part in every]))
        self._others = np.concatenate([part.others for part in every])
        self._units = np.concatenate([part.units for part in every])

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
        counts = np.zeros(len(best), np.int64)
        ends = np.arange(_BLOCK, self._starts[-1] + _BLOCK, _BLOCK)
        rows = np.unique(np.concatenate([[0], np.searchsorted(self._starts, ends)]))
        kept = 0
        for first, last in zip(rows, np.minimum(rows[1:], len(best)), strict=False):
            part = slice(*self._starts[[first, last]])
            owner = np.repeat(np.arange(first, last), np.diff(self._starts[first : last + 1]))
            still = self._units[part] > best[owner]
            counts[first:last] = np.bincount(owner[still] - first, minlength=last - first)
            end = kept + int(np.count_nonzero(still))
            # to the front of the same arrays: what is there has been read
            self._others[kept:end] = self._others[part][still]
            self._units[kept:end] = self._units[part][still]
            kept = end
        self._starts = _starts(counts)
        self._others, self._units = self._others[:kept], self._units[:kept]

    def _sums(self, rows: NDArray[np.int32], values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = np.bincount(rows, values, len(self._weight))
        return sums.astype(np.float64, copy=False)


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts)])

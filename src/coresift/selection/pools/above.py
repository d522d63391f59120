"""The similarities that can still add to a coverage, once they are few."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.selection.pools.coverage import consecutive

# similarities that are gone through at a time
_PIECE = 1 << 20
# a similarity and its row, twice while they are put together
LISTED_BYTES = 16


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
        places = np.flatnonzero(units > best[:, None])
        starts = units.shape[1] * np.arange(len(units) + 1)
        counts = np.diff(np.searchsorted(places, starts))
        values = np.take(units, places)
        places += np.repeat(first - starts[:-1], counts)
        return cls(counts, places.astype(np.int32), values)

    @classmethod
    def beside(cls, parts: Sequence[Higher]) -> Higher:
        """The same rows' similarities to all, from those to some each."""
        if len(parts) == 1:
            return parts[0]
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
    found : Higher
        Of all rows.
    weight : ndarray of float64, shape (n,)
        How much each row counts.
    gains : ndarray of float64, shape (n,)
        What each would add, in units; is changed.
    """

    def __init__(
        self, found: Higher, weight: NDArray[np.float64], gains: NDArray[np.float64]
    ) -> None:
        self.gains = gains
        self._weight = weight
        self._starts = _starts_of(found.counts)
        self._others, self._units = found.others, found.units

    @classmethod
    def of(
        cls,
        parts: Iterable[Higher],
        best: NDArray[np.float32],
        weight: NDArray[np.float64],
        most: int,
    ) -> Above | None:
        """List what is found part by part; None if it is more than ``most``.

        Parameters
        ----------
        parts : iterable of Higher
            Of all rows, in their order.
        best : ndarray of float32, shape (n,)
            What each row is covered by.
        weight : ndarray of float64, shape (n,)
            How much each counts.
        most : int
            Similarities that may be listed.
        """
        gains = np.zeros(len(weight))
        every: list[Higher] = []
        row = listed = 0
        for part in parts:
            listed += len(part.others)
            if listed > most:
                return None
            stop = row + len(part.counts)
            over = np.repeat(weight[row:stop], part.counts)
            over *= part.units - np.repeat(best[row:stop], part.counts)
            gains += _sums(part.others, over, len(gains))
            every.append(part)
            row = stop
        counts = np.concatenate([part.counts for part in every])
        others = np.concatenate([part.others for part in every])
        return cls(
            Higher(counts, others, np.concatenate([part.units for part in every])), weight, gains
        )

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
        lengths = self._starts[better + 1] - self._starts[better]
        for first, last in _pieces(_starts_of(lengths)):
            some, counts = better[first:last], lengths[first:last]
            place = consecutive(self._starts[some], counts)
            units = self._units[place]
            lost = np.minimum(units, np.repeat(column[some], counts))
            lost -= np.minimum(units, np.repeat(best[some], counts))
            weight = np.repeat(self._weight[some], counts)
            self.gains -= _sums(self._others[place], lost * weight, len(self.gains))

    def narrow(self, best: NDArray[np.float32]) -> None:
        """Forget what is not above any more."""
        counts = np.zeros(len(best), np.int64)
        kept = 0
        for first, last in _pieces(self._starts):
            starts = self._starts[first : last + 1]
            part = slice(starts[0], starts[-1])
            covered = np.repeat(best[first:last], np.diff(starts))
            still = starts[0] + np.flatnonzero(self._units[part] > covered)
            counts[first:last] = np.diff(np.searchsorted(still, starts))
            end = kept + len(still)
            # to the front of the same arrays: what is there has been read
            self._others[kept:end] = self._others[still]
            self._units[kept:end] = self._units[still]
            kept = end
        self._starts = _starts_of(counts)
        held = len(self._others)
        self._others, self._units = self._others[:kept], self._units[:kept]
        if 2 * kept < held:
            # let go of the rest of the memory
            self._others, self._units = self._others.copy(), self._units.copy()


def _starts_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each of some runs begins, one after the other, and where the last ends."""
    return np.concatenate([[0], np.cumsum(lengths)])


def _pieces(starts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Consecutive runs, first and last and one, with about as many elements as a piece may have."""
    if 0 < starts[-1] <= _PIECE:
        yield 0, len(starts) - 1
        return
    marks = np.arange(_PIECE, starts[-1] + _PIECE, _PIECE)
    cuts = np.minimum(np.searchsorted(starts, marks), len(starts) - 1)
    yield from itertools.pairwise(dict.fromkeys([0, *cuts.tolist()]))


def _sums(rows: NDArray[np.int32], values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    return np.bincount(rows, values, count).astype(np.float64, copy=False)

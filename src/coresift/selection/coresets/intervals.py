"""Coresets for k-median on a line: rows that cut it into intervals.

Huang, Huang, Huang and Wu, "On Coresets for Clustering in Small Dimensional Euclidean Spaces",
ICML 2023, section 3, after Har-Peled and Kushal, "Smaller Coresets for k-Median and k-Means
Clustering", 2007: rows are sorted and cut into buckets of bounded error, and a bucket is
represented by its mean. A cost is then exact on every bucket that no center, and no point halfway
between two, lies in.

A mean is no row, and the row nearest to it would give this up. So rows are cut at some of them,
and each of the others is shared out to the two it lies between in proportion to its nearness:
number and mean are kept, and a cost is replaced by its linear interpolation between the rows that
were chosen. It is wrong only in intervals with a bend, of which k centers have 2 k - 1, and there
by at most E = sum of 2 (x - a)(b - x) / (b - a) over the rows x between a and b. The cuts make the
largest E as small as it can be.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# within which the least error is found
_TOLERANCE = 1e-3
_TINY = 1e-15


@dataclass(frozen=True)
class Intervals:
    """Rows that were chosen, by their place in the order.

    Attributes
    ----------
    places : ndarray of int64, shape (n,)
        Ascending.
    weight : ndarray of float64, shape (n,)
        Rows that each stands for; they add up to those of all.
    error : float
        Largest error of an interval; of any k centers, costs are wrong by at most 2 k - 1 times
        this.
    """

    places: NDArray[np.int64]
    weight: NDArray[np.float64]
    error: float


def cut(values: NDArray[np.float64], weight: NDArray[np.float64], n: int) -> Intervals:
    """Choose ``n`` of some values.

    Parameters
    ----------
    values : ndarray of float64, shape (m,)
        Ascending.
    weight : ndarray of float64, shape (m,)
        How many rows each stands for, above 0.
    n : int
        At most m.
    """
    if n == 1:
        middle = float((values * weight).sum() / weight.sum())
        place = np.array([np.abs(values - middle).argmin()], np.int64)
        spread = float((np.abs(values - values[place]) * weight).sum())
        return Intervals(place, np.array([weight.sum()]), spread)
    sums = _Sums(values, weight)
    low, high = 0.0, sums.error(0, len(values) - 1)
    places = _cuts(sums, high, n)
    assert places is not None
    least = _TINY * high
    while high - low > _TOLERANCE * high and high > least:
        # it may be smaller by orders of magnitude, since it falls with the square of n
        middle = max(least, high / 4.0) if low == 0.0 else (low + high) / 2.0
        found = _cuts(sums, middle, n)
        if found is None:
            low = middle
        else:
            high, places = middle, found
    places = _filled(sums, places, n)
    errors = [sums.error(a, b) for a, b in itertools.pairwise(places)]
    return Intervals(np.array(places), _shared(values, weight, np.array(places)), max(errors))


class _Sums:
    """Error of an interval, from sums over all rows before each."""

    def __init__(self, values: NDArray[np.float64], weight: NDArray[np.float64]) -> None:
        self.count = len(values)
        middle = float(values[len(values) // 2])
        at = values - middle
        powers = (weight, weight * at, weight * at * at)
        # one number at a time is read faster from these than from arrays
        self._at = at.data
        self._sums = [np.concatenate([[0.0], np.cumsum(p)]).data for p in powers]

    def error(self, first: int, last: int) -> float:
        """E of the rows from one place to another."""
        a, b = self._at[first], self._at[last]
        if b <= a:
            return 0.0
        w, x, xx = (sums[last + 1] - sums[first] for sums in self._sums)
        error: float = 2.0 * ((a + b) * x - a * b * w - xx) / (b - a)
        return max(0.0, error)

    def farthest(self, first: int, error: float) -> int:
        """Last place that an interval from ``first`` can reach within an error."""
        low, step = first + 1, 1
        while low + step < self.count and self.error(first, low + step) <= error:
            low += step
            step *= 2
        high = min(low + step, self.count)
        while high - low > 1:
            middle = (low + high) // 2
            if self.error(first, middle) <= error:
                low = middle
            else:
                high = middle
        return low


def _cuts(sums: _Sums, error: float, n: int) -> list[int] | None:
    """Fewest places with intervals within an error; None where they are more than ``n``."""
    places = [0]
    while places[-1] < sums.count - 1:
        if len(places) == n:
            return None
        places.append(sums.farthest(places[-1], error))
    return places


def _filled(sums: _Sums, places: list[int], n: int) -> list[int]:
    """Places and as many more as are missing, in the middle of intervals of largest error."""

    def interval(a: int, b: int) -> tuple[float, int, int, int]:
        return -sums.error(a, b), a - b, a, b

    open_ones = [interval(a, b) for a, b in itertools.pairwise(places) if b - a > 1]
    heapq.heapify(open_ones)
    added = list(places)
    while len(added) < n:
        _, _, a, b = heapq.heappop(open_ones)
        middle = (a + b) // 2
        added.append(middle)
        for part in ((a, middle), (middle, b)):
            if part[1] - part[0] > 1:
                heapq.heappush(open_ones, interval(*part))
    return sorted(added)


def _shared(
    values: NDArray[np.float64], weight: NDArray[np.float64], places: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Weights of the chosen rows: each row's goes to the two it lies between."""
    right = np.clip(np.searchsorted(places, np.arange(len(values)), side="left"), 1, None)
    a, b = values[places[right - 1]], values[places[right]]
    gap = np.where(b > a, b - a, 1.0)
    # of equal rows each that was chosen stands for itself
    own = (np.arange(len(values)) == places[right]).astype(np.float64)
    part = np.where(b > a, (values - a) / gap, own)
    shares = np.zeros(len(places))
    shares += np.bincount(right, weight * part, minlength=len(places))
    shares += np.bincount(right - 1, weight * (1.0 - part), minlength=len(places))
    return shares

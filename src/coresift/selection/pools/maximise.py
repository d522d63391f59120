"""Greedy maximisation of a coverage: lazily, from samples, or by falling thresholds.

Coverage is submodular: what a row adds only falls as others are chosen, so what it added once
bounds what it adds now. All of these use that, and none of it shows in the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coresift.core import randomness
from coresift.selection.pools.coverage import Coverage

_LEAST, _MOST = 8, 512

Picks = tuple[NDArray[np.int64], NDArray[np.float64]]


class Bonus(Protocol):
    """What a row adds beside coverage; it may rise as well as fall.

    Attributes
    ----------
    values : ndarray of float64, shape (n,)
        What each would add now, in units of coverage.
    """

    values: NDArray[np.float64]

    def __call__(self, place: int, column: NDArray[np.float32]) -> None:
        """A row was chosen whose similarities to all, in units, are ``column``."""


class Greedy:
    """The row that adds most, again and again.

    Minoux, "Accelerated Greedy Algorithms for Maximizing Submodular Set Functions", Optimization
    Techniques, 1978, in batches: rows are measured by falling last known gains, some at a time,
    until these are below the best gain that was measured.

    Parameters
    ----------
    coverage : Coverage
        What is maximised.
    bounds : ndarray of float64, shape (n,)
        Gains, or bounds on them from above.
    exact : bool
        Whether they are gains.
    bonus : Bonus, optional
        What counts beside coverage.
    """

    def __init__(
        self,
        coverage: Coverage,
        bounds: NDArray[np.float64],
        *,
        exact: bool,
        bonus: Bonus | None = None,
    ) -> None:
        self.coverage = coverage
        self.free = np.ones(len(coverage), np.bool_)
        self.bounds = bounds
        self._fresh = np.full(len(coverage), exact)
        self._bonus = bonus
        self._batch = _LEAST

    def first(self) -> int:
        """The free row that adds most; of equals the first."""
        if self._fresh.all():
            return int(np.where(self.free, self._bound(slice(None)), -np.inf).argmax())
        return self.best(np.flatnonzero(self.free))

    def best(self, some: NDArray[np.int64]) -> int:
        """Of some free rows, ascending, the one that adds most; of equals the first."""
        bound = self._bound(some)
        stale = ~self._fresh[some]
        if not stale.any():
            return int(some[bound.argmax()])
        top, most, asked = -1, -np.inf, 0
        for high in _falling(bound, [_LEAST, self._batch]):
            first = high[0]
            if top >= 0 and (bound[first] < most or (bound[first] == most and first > top)):
                break
            part = np.sort(high)
            old = part[stale[part]]
            if len(old):
                # a bonus may rise, and what a row adds without it says little
                self.measure(some[old], most if self._bonus is None else -np.inf)
                bound[old] = self._bound(some[old])
                asked += len(old)
            best = int(part[bound[part].argmax()])
            if bound[best] > most or (bound[best] == most and best < top):
                top, most = best, float(bound[best])
        self._batch = max(_LEAST, min(_MOST, asked // 2))
        return int(some[top])

    def _bound(self, some: NDArray[np.int64] | slice) -> NDArray[np.float64]:
        # rounding a sum is monotone, so a bound and the bonus bound what both add
        bound = self.bounds[some]
        return bound if self._bonus is None else bound + self._bonus.values[some]

    def measure(self, some: NDArray[np.int64], least: float) -> NDArray[np.float64]:
        """What some rows add now; of those that add less than ``least``, a bound that is less."""
        gains = self.bounds[some] = self.coverage.gains(some, least)
        self._fresh[some] = gains >= least
        return gains

    def take(self, place: int) -> float:
        """Choose a row, and return what it added, in units."""
        gain = float(self.bounds[place])
        if self._bonus is not None:
            gain += float(self._bonus.values[place])
        column = self.coverage.add(place)
        if self._bonus is not None:
            self._bonus(place, column)
        self.free[place] = False
        known = self.coverage.known()
        self._fresh[:] = known is not None
        if known is not None:
            self.bounds[:] = known
        return gain


def lazy(coverage: Coverage, n: int, bonus: Bonus | None = None) -> Picks:
    """Choose the row that adds most, ``n`` times: within 1 - 1/e of the best for coverage alone.

    Returns
    -------
    places, gains : ndarray of int64 and float64, shape (n,)
        In the order they were chosen; gains in units.
    """
    state = Greedy(coverage, coverage.all_gains(), exact=True, bonus=bonus)
    return _repeat(state, n, [], [])


def stochastic(
    coverage: Coverage, n: int, rows: NDArray[np.int64], epsilon: float, seed: int
) -> Picks:
    """Choose the row that adds most of a sample, ``n`` times.

    Mirzasoleiman, Badanidiyuru, Karbasi, Vondrák and Krause, "Lazier Than Lazy Greedy", AAAI
    2015, Algorithm 1: samples of (N / n) ln(1 / epsilon) rows, within 1 - 1/e - epsilon of the
    best in expectation.

    Parameters
    ----------
    coverage : Coverage
        What is maximised.
    n : int
        How many to choose.
    rows : ndarray of int64, shape (N,)
        Row ids, which samples go by.
    epsilon : float
        How much may be lost.
    seed : int
        The run's seed.
    """
    state = Greedy(coverage, np.full(len(coverage), np.inf), exact=False)
    size = math.ceil(len(coverage) / n * math.log(1.0 / epsilon))
    places, gains = [], []
    for index in range(n):
        free = np.flatnonzero(state.free)
        if size < len(free):
            keys = randomness.bits(seed, f"stochastic/{index}", rows[free])
            # keys are a permutation of row ids: no two are the same
            free = np.sort(free[np.argpartition(keys, size - 1)[:size]])
        places.append(state.best(free))
        gains.append(state.take(places[-1]))
    return np.array(places, np.int64), np.array(gains)


def threshold(coverage: Coverage, n: int, epsilon: float) -> Picks:
    """Choose rows that add at least a threshold, which falls.

    Badanidiyuru and Vondrák, "Fast Algorithms for Maximizing Submodular Functions", SODA 2014,
    Algorithm 1: from the most that one row adds, d, by steps of 1 - epsilon to epsilon d / n,
    within 1 - 1/e - epsilon of the best. Rows are looked at in their order. The algorithm may
    end with fewer than ``n`` rows; the others are then chosen lazily.
    """
    state = Greedy(coverage, coverage.all_gains(), exact=True)
    places: list[int] = []
    gains: list[float] = []
    most = bar = float(state.bounds.max())
    while bar > 0.0 and bar >= epsilon / n * most:
        start, batch = 0, _LEAST
        while len(places) < n:
            high = start + np.flatnonzero((state.bounds[start:] >= bar) & state.free[start:])
            if not len(high):
                break
            some = high[:batch]
            good = np.flatnonzero(state.measure(some, bar) >= bar)
            start, batch = int(some[-1]) + 1, min(_MOST, 2 * batch)
            if len(good):
                # what the others add is not known any more
                places.append(int(some[good[0]]))
                gains.append(state.take(places[-1]))
                start, batch = places[-1] + 1, _LEAST
        bar *= 1.0 - epsilon
    return _repeat(state, n, places, gains)


def _falling(values: NDArray[np.float64], batches: Sequence[int]) -> Iterator[NDArray[np.int64]]:
    """Positions by falling value, of equals the first: so many, then so many, and then more.

    Values of positions that were given may change.
    """
    sizes = iter(batches)
    batch = next(sizes)
    left, count = np.arange(len(values)), 2 * _MOST
    while len(left):
        mine = values[left]
        high = np.ones(len(left), np.bool_)
        if count < len(left):
            high = mine >= np.partition(mine, len(left) - count)[len(left) - count]
        highest = left[high][np.argsort(-mine[high], kind="stable")]
        start = 0
        while start < len(highest):
            yield highest[start : start + batch]
            start += batch
            batch = next(sizes, min(_MOST, 2 * batch))
        left, count = left[~high], 4 * count


def _repeat(state: Greedy, n: int, places: list[int], gains: list[float]) -> Picks:
    """Choose the best row until there are ``n``."""
    while len(places) < n:
        places.append(state.first())
        gains.append(state.take(places[-1]))
    return np.array(places, np.int64), np.array(gains)

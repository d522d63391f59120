"""Chosen rows exchanged for better ones, as a kernel sees them, and the order to take them in.

KT-SWAP: Dwivedi and Mackey, "Kernel Thinning", Algorithm 1b. With n chosen rows c of equal
weight and a measure P to stand for, n^2 MMD^2 / 2 is, up to a constant,

    sum over pairs of c of k(c, c') / 2 - sum over c of n P(c),    P(x) the mean of k(x, .).

n P is called the pull: where some rows are held already it is less by their similarity, and the
chosen ones make up for what these lack.
"""

from __future__ import annotations

import numpy as np

from coresift.selection.kernel.embedding import first_largest, tie
from coresift.selection.kernel.halving import Places, Values
from coresift.selection.kernel.kernels import Kernel, Rows

# the paper goes over the rows once; where some were exchanged others may then be
PASSES = 10
# candidates whose similarities are all held
_HELD = 2048


class Columns:
    """Similarities of rows to all of some candidates, computed once each.

    Parameters
    ----------
    kernel : Kernel
        The target kernel.
    rows : Rows
        The candidates.
    """

    def __init__(self, kernel: Kernel, rows: Rows) -> None:
        self._kernel = kernel
        self._rows = rows
        self._all = kernel(rows, rows) if len(rows) <= _HELD else None
        self._some: dict[int, Values] = {}

    def of(self, place: int) -> Values:
        """Similarities of the candidate at a place to all, shape (candidates,)."""
        if self._all is not None:
            found: Values = self._all[place]
            return found
        if place not in self._some:
            one = self._rows.part(place, place + 1)
            self._some[place] = self._kernel(self._rows, one)[:, 0]
        return self._some[place]

    def forget(self, place: int) -> None:
        """Let go of a row that is no longer chosen."""
        self._some.pop(place, None)


def objectives(kernel: Kernel, rows: Rows, pull: Values, sets: Places) -> Values:
    """What is to be small of each set of places: n^2 MMD^2 / 2, up to a constant."""
    found = np.empty(len(sets))
    for index, places in enumerate(sets):
        some = rows.take(places)
        found[index] = 0.5 * kernel(some, some).sum() - pull[places].sum()
    return found


def refined(
    columns: Columns, pull: Values, places: Places, terms: float, passes: int = PASSES
) -> Places:
    """Exchange one row after the other for the best candidate, until none is better.

    Parameters
    ----------
    columns : Columns
        Similarities of the candidates.
    pull : ndarray of float64, shape (candidates,)
        What draws a row towards being chosen.
    places : ndarray of int64, shape (n,)
        Candidates that are chosen; what stands there twice is exchanged first, whatever that
        costs.
    terms : float
        Kernel values that a pull adds up, for what counts as equal.
    passes : int
        Most times that all rows are gone over; with 0, only repeats are exchanged.

    Returns
    -------
    ndarray of int64, shape (n,)
        Distinct candidates.
    """
    chosen = places.tolist()
    badness = -pull
    for place in chosen:
        badness += columns.of(place)
    closed = np.zeros(len(pull))
    closed[places] = np.inf
    slack = tie(terms)
    seen: set[int] = set()
    for index, place in enumerate(chosen):
        if place in seen:
            badness -= columns.of(place)
            value = badness + closed
            place = chosen[index] = int((value <= value.min() + slack).argmax())  # noqa: PLW2901
            badness += columns.of(place)
            closed[place] = np.inf
        seen.add(place)
    value = np.empty_like(badness)
    for _ in range(passes):
        changed = False
        for index, place in enumerate(chosen):
            badness -= columns.of(place)
            np.add(badness, closed, out=value)
            least = float(value.min())
            if least < badness[place] - slack:
                closed[place] = 0.0
                columns.forget(place)
                place = chosen[index] = int((value <= least + slack).argmax())  # noqa: PLW2901
                closed[place] = np.inf
                changed = True
            badness += columns.of(place)
        if not changed:
            break
    return np.array(chosen, np.int64)


def ordered(kernel: Kernel, rows: Rows, mean: Values) -> Places:
    """An order in which the first of some rows stand for the same as all of them: herding's."""
    count = len(mean)
    similar = kernel(rows, rows)
    near = np.zeros(count)
    order = np.empty(count, np.int64)
    for index in range(count):
        value = (index + 1) * mean - near
        value[order[:index]] = -np.inf
        order[index] = first_largest(value, index + 1)
        near += similar[order[index]]
    return order

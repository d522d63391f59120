"""Targets that take rows in turn, each its best one that is not yet taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.influence.base import Influence, Resources
from coresift.influence.scores import ROWS, require_values

Array = NDArray[np.float64]
# target, score and row of candidates
_Lists = tuple[NDArray[np.int64], Array, NDArray[np.int64]]

_SPARE = 16
_DEEPER = 4
_ENTRY_BYTES = 24


def take_turns(
    influence: Influence,
    rows: NDArray[np.int64],
    n: int,
    resources: Resources,
    sign: float = 1.0,
) -> tuple[NDArray[np.int64], Array]:
    """Give each target in turn its best row that is not yet taken; ties go to the first row.

    Parameters
    ----------
    influence : Influence
        Of the rows on the targets.
    rows : ndarray of int64, shape (m,)
        Rows there are to choose from, ascending.
    n : int
        Rows to take, at most m.
    resources : Resources
        What the run lends.
    sign : float
        -1 takes the row that harms most.

    Returns
    -------
    rows : ndarray of int64, shape (n,)
        In the order in which they were taken.
    score : ndarray of float64, shape (n,)
        The influence of each on the target that took it.
    """
    require_values(influence, resources)
    there = np.zeros(influence.rows, np.bool_)
    there[rows] = True
    targets = influence.targets
    # others may have taken a target's best rows before it, so its list holds some more
    depth = min(len(rows), _DEEPER * -(-n // targets) + _SPARE)
    while True:
        resources.budget.require(
            3 * _ENTRY_BYTES * targets * depth,
            f"the {depth:,} best rows of {targets:,} targets",
            hint="give fewer target rows, or use --aggregate mean or max",
        )
        lists = _best(influence, there, depth, resources, sign)
        taken = _turns(lists, targets, n, influence.rows)
        if taken is not None:
            row, score = taken
            return row, sign * score
        depth = min(len(rows), _DEEPER * depth)


def _best(
    influence: Influence, there: NDArray[np.bool_], depth: int, resources: Resources, sign: float
) -> _Lists:
    """The ``depth`` best rows of each target, best first."""

    def task(run: tuple[int, int]) -> _Lists:
        kept = np.flatnonzero(there[run[0] : run[1]])
        values = sign * influence.read(*run)[kept]
        if len(values) > depth:
            bar = np.partition(values, len(values) - depth, axis=0)[len(values) - depth]
            place, target = np.nonzero(values >= bar)
        else:
            place, target = np.indices(values.shape).reshape(2, -1)
        return _first((target.astype(np.int64), values[place, target], run[0] + kept[place]), depth)

    rows = influence.rows
    runs = [(start, min(start + ROWS, rows)) for start in range(0, rows, ROWS)]
    held: list[_Lists] = []
    size = 0
    with resources.progress.stage("influence", rows) as stage:
        for run, part in zip(runs, resources.engine.map(task, runs), strict=True):
            held.append(part)
            size += len(part[0])
            if size > 2 * influence.targets * depth:
                held = [_first(_joined(held), depth)]
                size = len(held[0][0])
            stage.advance(run[1] - run[0])
    return _first(_joined(held), depth)


def _joined(parts: list[_Lists]) -> _Lists:
    target, score, row = (np.concatenate(part) for part in zip(*parts, strict=True))
    return target, score, row


def _first(lists: _Lists, depth: int) -> _Lists:
    """The ``depth`` best of each target, best first."""
    target, score, row = lists
    order = np.lexsort((row, -score, target))
    target, score, row = target[order], score[order], row[order]
    starts = np.searchsorted(target, target)
    kept = np.arange(len(target)) - starts < depth
    return target[kept], score[kept], row[kept]


def _turns(
    lists: _Lists, targets: int, n: int, rows: int
) -> tuple[NDArray[np.int64], Array] | None:
    """Rows in the order of the turns; None when a list comes to its end before."""
    target, score, row = lists
    place = np.searchsorted(target, np.arange(targets)).tolist()
    ends = np.searchsorted(target, np.arange(targets), side="right").tolist()
    taken = np.zeros(rows, np.bool_)
    chosen = np.empty(n, np.int64)
    for turn in range(n):
        mine = turn % targets
        while place[mine] < ends[mine] and taken[row[place[mine]]]:
            place[mine] += 1
        if place[mine] == ends[mine]:
            return None
        chosen[turn] = place[mine]
        taken[row[place[mine]]] = True
        place[mine] += 1
    return row[chosen], score[chosen]

"""Thinning a sequence of points of equal weight to a 2^m-th of them, round by round.

KT-SPLIT: Dwivedi and Mackey, "Kernel Thinning", Algorithm 1a. Compress: Shetty, Dwivedi and
Mackey, "Distribution Compression in Near-Linear Time", ICLR 2022, Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.engine.base import Engine
from coresift.selection.kernel.halving import Places, Values, halve
from coresift.selection.kernel.kernels import Kernel, Pooled

# failure probability of the whole thinning, delta in the papers, as in their experiments
_DELTA = 0.5

Coins = Callable[[str, Places], Values]


@dataclass(frozen=True)
class Sequence:
    """Points of equal weight, in order.

    Attributes
    ----------
    kernel : Kernel
        The split kernel.
    rows : Pooled
        The vectors of a pool.
    places : ndarray of int64, shape (points,)
        Which row each point is.
    coins : callable
        Gives independent uniform numbers for a round and some points.
    """

    kernel: Kernel
    rows: Pooled
    places: Places
    coins: Coins

    def halves(
        self, sets: Places, stage: str, chance: float, engine: Engine
    ) -> tuple[Places, Places]:
        """Halve sets of points of shape (sets, size): those kept, and those left."""
        first, second = sets[:, 0::2], sets[:, 1::2]
        coins = self.coins(stage, first)
        kept = halve(self.kernel, self.rows, self.places[sets], coins, chance, engine)
        return np.where(kept, first, second), np.where(kept, second, first)


def thinned(sequence: Sequence, rounds: int, levels: int, engine: Engine) -> tuple[Places, Places]:
    """Compress++: ``levels`` halvings by Compress, and KT-SPLIT for what is left of ``rounds``.

    Parameters
    ----------
    sequence : Sequence
        n 2^rounds points.
    rounds : int
        How often they are halved.
    levels : int
        How often of these by Compress, at most :func:`most_levels`.
    engine : Engine
        Where to run.

    Returns
    -------
    points : ndarray of int64, shape (n 2^(rounds - levels),)
        What Compress left.
    sets : ndarray of int64, shape (2^(rounds - levels), n)
        These, split.
    """
    points = np.arange(len(sequence.places))
    last = rounds - levels
    # shares of the failure probability, Shetty et al., Example 6
    share = last / (last + 2**last * levels) if rounds else 0.0
    if levels:
        points = _compress(sequence, points, levels, _DELTA * (1.0 - share), engine)
    return points, _split(sequence, points, last, _DELTA * share, engine)


def most_levels(size: int, rounds: int) -> int:
    """Most levels of Compress on size 2^rounds points for which all sets can be halved."""
    twos = (size & -size).bit_length() - 1
    return min(rounds, (twos + rounds + 1) // 2)


def _compress(
    sequence: Sequence, points: Places, levels: int, delta: float, engine: Engine
) -> Places:
    """Halve each of 4^(levels - 1) parts; then four that were neighbours together, and so on."""
    sets = points.reshape(4 ** (levels - 1), -1)
    least = sets.shape[1]
    for level in range(levels):
        if level:
            sets = sets.reshape(len(sets) // 4, -1)
        # all sets together fail with delta: those of a level in proportion to their squared size
        chance = delta * sets.shape[1] / (len(points) * least * levels)
        sets, _ = sequence.halves(sets, f"compress/{level}", chance, engine)
    return sets.ravel()


def _split(sequence: Sequence, points: Places, rounds: int, delta: float, engine: Engine) -> Places:
    """All 2^rounds parts of the points, halved again and again."""
    sets = points[None]
    for index in range(rounds):
        chance = delta * 2**index / (len(points) * rounds)
        both = sequence.halves(sets, f"split/{index}", chance, engine)
        sets = np.stack(both, axis=1).reshape(2 * len(sets), -1)
    return sets


def systematic(mass: NDArray[np.float64], count: int, offset: float) -> Places:
    """How often each of some rows stands in a sequence of ``count`` points of equal weight.

    A row of mass p stands there p count / sum(mass) times in the mean over offsets in (0, 1), and
    never a whole time more or less. Rows of equal mass, as many as points, stand there once.
    """
    if (mass == mass[0]).all():
        ends = np.arange(1, len(mass) + 1) * float(count) / len(mass)
    else:
        ends = np.cumsum(mass)
        ends *= count / ends[-1]
    ends[-1] = count
    marks = np.ceil(ends - offset).astype(np.int64)
    marks[1:] -= marks[:-1].copy()
    return marks

"""Kernel halving: one of each pair of points, so that those kept resemble those left.

Dwivedi and Mackey, "Kernel Thinning", JMLR 25, 2024 (COLT 2021), Algorithm 1a with m = 1, and
"Generalized Kernel Thinning", ICLR 2022, for the thresholds. Each half alone is an unbiased
sample of the points.

A pair (x, x') contributes k(x, .) - k(x', .), with the sign s, to the difference psi of the two
halves. Thresholds do not depend on the signs, so they come first. The signs come one after the
other, but what earlier panels of pairs contribute to a later one is a product of matrices, and
many sets are halved at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.engine.base import Engine
from coresift.engine.serial import SerialEngine
from coresift.selection.kernel.kernels import Kernel, Pooled, Rows

Values = NDArray[np.float64]
Places = NDArray[np.int64]

# pairs whose signs are decided between two products of matrices
_PANEL = 128
# kernel values of a panel, and numbers in the vectors of sets that are halved together
_PANEL_VALUES = 1 << 22
_TOGETHER = 1 << 19


def halve(
    kernel: Kernel, rows: Pooled, sets: Places, coins: Values, chance: float, engine: Engine
) -> NDArray[np.bool_]:
    """Whether the first of each pair is kept; of the others the second is.

    Parameters
    ----------
    kernel : Kernel
        The split kernel.
    rows : Pooled
        The vectors.
    sets : ndarray of int64, shape (sets, 2 pairs)
        Places in ``rows``; those at 2i and 2i + 1 are a pair.
    coins : ndarray of float64, shape (sets, pairs)
        Uniform numbers in (0, 1), independent of each other.
    chance : float
        Failure probability of one pair, delta_i in the paper.
    engine : Engine
        Where to run: on some sets at a time, or on panels of one.

    Returns
    -------
    ndarray of bool, shape (sets, pairs)
    """
    count, size = sets.shape
    together = max(1, _TOGETHER // (size * rows.vectors.shape[1]))
    if count <= together:
        return _halved(kernel, rows.take(sets), coins, chance, engine)

    def task(start: int) -> NDArray[np.bool_]:
        some = slice(start, start + together)
        return _halved(kernel, rows.take(sets[some]), coins[some], chance, SerialEngine())

    return np.concatenate(list(engine.map(task, range(0, count, together))))


def _halved(
    kernel: Kernel, points: Rows, coins: Values, chance: float, engine: Engine
) -> NDArray[np.bool_]:
    """As :func:`halve`, of points of shape (sets, 2 pairs)."""
    count, pairs = coins.shape
    bars = thresholds(2.0 - 2.0 * _between_pairs(kernel, points), chance)
    step = max(1, min(_PANEL, _PANEL_VALUES // (4 * pairs * count)))

    def panel(start: int) -> Values:
        stop = min(start + step, pairs)
        return kernel(points.part(2 * start, 2 * stop), points.part(0, 2 * stop))

    # +1 for points of the half that is kept, -1 for those of the other
    sides = np.empty((count, 2 * pairs))
    starts = range(0, pairs, step)
    for start, values in zip(starts, engine.map(panel, starts), strict=True):
        before = 2 * start
        toward = np.matmul(values[..., :before], sides[:, :before, None])[..., 0]
        product = toward[:, 0::2] - toward[:, 1::2]
        own = values[..., before:]
        own = own[:, 0::2] - own[:, 1::2]
        own = own[..., 0::2] - own[..., 1::2]
        for index in range(own.shape[1]):
            place = start + index
            kept = coins[:, place] <= 0.5 * (1.0 - product[:, index] / bars[:, place])
            sign = np.where(kept, 1.0, -1.0)
            sides[:, 2 * place] = sign
            product[:, index + 1 :] += sign[:, None] * own[:, index, index + 1 :]
        sides[:, before + 1 : 2 * place + 2 : 2] = -sides[:, before : 2 * place + 2 : 2]
    return sides[:, 0::2] > 0.0


def _between_pairs(kernel: Kernel, points: Rows) -> Values:
    return kernel.paired(points.part(0, len(points), 2), points.part(1, len(points), 2))


def thresholds(squared: Values, chance: float) -> Values:
    """The thresholds a of all pairs, from ||k(x, .) - k(x', .)||^2 of shape (sets, pairs).

    a = max(b sigma sqrt(2 log(2 / chance)), b^2), and sigma^2 grows by
    b^2 (1 + (b^2 - 2a) sigma^2 / a^2)_+ (get_swap_params in Algorithm 1a). Where x and x' are
    equal a is 1, since it does not matter.
    """
    found = np.empty_like(squared)
    sigma = np.zeros(len(squared))
    factor = 2.0 * np.log(2.0 / chance)
    for index, square in enumerate(np.ascontiguousarray(squared.T)):
        bar = np.maximum(np.sqrt(factor * sigma * square), square)
        bar[bar <= 0.0] = 1.0
        growth = 1.0 + (square - 2.0 * bar) * sigma / bar**2
        sigma += square * np.maximum(growth, 0.0)
        found[:, index] = bar
    return found

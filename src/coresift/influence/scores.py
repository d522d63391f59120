"""One score for each row, out of its influence on several targets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from coresift.influence.base import Influence, Resources
from coresift.influence.products import Products

Array = NDArray[np.float64]

# rows of a task; fixed, so that products are always rounded in the same way
ROWS = 2048


def together(values: Array, how: str) -> Array:
    """The mean or the largest influence over targets.

    Parameters
    ----------
    values : ndarray of float64, shape (m, targets)
        Influence of rows.
    how : {"mean", "max"}
        Which.

    Returns
    -------
    ndarray of float64, shape (m,)
    """
    if values.shape[1] == 1:
        return values[:, 0]
    found: Array = values.max(axis=1) if how == "max" else values.mean(axis=1)
    return found


def require_values(influence: Influence, resources: Resources) -> None:
    """Refuse so many targets that what tasks hold of rows by targets does not fit."""
    # in float64, a copy of it, and the quick one in float32
    held = 20 * ROWS * influence.targets * resources.engine.workers
    resources.budget.require(
        held,
        f"the influence of {ROWS:,} rows at a time on {influence.targets:,} targets",
        hint="give fewer target rows, use --aggregate mean, or raise --memory",
    )


class Scoring:
    """Scores of all rows: float32 products first, and float64 where a choice hangs on them.

    Parameters
    ----------
    influence : Influence
        Of the rows on the targets.
    how : {"mean", "max"}
        How targets are taken together.
    resources : Resources
        What the run lends.
    sign : float
        -1 goes by the harm instead: with ``max``, by that to the target which is harmed most.

    Attributes
    ----------
    score : ndarray of float64, shape (rows,)
        Times the sign: the best are the largest. NaN of rows that are left out.
    off : ndarray of float64, shape (rows,)
        No score is farther off.
    """

    def __init__(
        self, influence: Influence, how: str, resources: Resources, sign: float = 1.0
    ) -> None:
        require_values(influence, resources)
        self._influence = influence
        self._how = how
        self._resources = resources
        self._sign = sign
        self.score = np.full(influence.rows, np.nan)
        self.off = np.zeros(influence.rows)

    def roughly(self) -> None:
        """Score all rows, quickly where there are many targets."""
        influence = self._influence
        self._pass(influence.rough if isinstance(influence, Products) else self._read)

    def exactly(self) -> None:
        """Score all rows in float64."""
        self._pass(self._read)

    def _read(self, start: int, stop: int) -> tuple[Array, Array]:
        values = self._influence.read(start, stop)
        return values, np.zeros(len(values))

    def _pass(self, read: Callable[[int, int], tuple[Array, Array]]) -> None:
        rows, how, sign = self._influence.rows, self._how, self._sign

        def task(run: tuple[int, int]) -> tuple[Array, Array]:
            values, off = read(*run)
            return together(values if sign > 0.0 else -values, how), off

        runs = [(start, min(start + ROWS, rows)) for start in range(0, rows, ROWS)]
        with self._resources.progress.stage("influence", rows) as stage:
            found = self._resources.engine.map(task, runs)
            for (start, stop), (score, off) in zip(runs, found, strict=True):
                self.score[start:stop], self.off[start:stop] = score, off
                stage.advance(stop - start)

    def settle_best(self, rows: NDArray[np.int64], count: int) -> None:
        """Score in float64 each of some rows that may be among the ``count`` best of them."""
        if count <= 0:
            return
        least = self.score[rows] - self.off[rows]
        bar = -np.inf if count >= len(rows) else -np.partition(-least, count - 1)[count - 1]
        self._settle(rows[self.score[rows] + self.off[rows] >= bar])

    def settle_near(self, rows: NDArray[np.int64], bound: float) -> None:
        """Score in float64 each of some rows of which it is not sure whether it reaches a bound."""
        self._settle(rows[np.abs(self.score[rows] - bound) <= self.off[rows]])

    def _settle(self, rows: NDArray[np.int64]) -> None:
        rows = rows[self.off[rows] > 0.0]
        influence, how, sign = self._influence, self._how, self._sign

        def task(some: NDArray[np.int64]) -> Array:
            return together(sign * influence.take(some), how)

        parts = [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]
        for some, score in zip(parts, self._resources.engine.map(task, parts), strict=True):
            self.score[some], self.off[some] = score, 0.0

"""A weight for every row: 8 bytes each, in memory or in scratch, and their exact sum."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.core.exact import Quantum
from coresift.selection.base import Context

_RUN_ROWS = 1 << 20


class Carried:
    """Weights by row id; rows that were not given one have none.

    Parameters
    ----------
    rows : int
        Rows of the dump.
    largest : float
        No weight is larger.
    context : Context
        The run's resources.
    in_tasks : bool
        Whether tasks ask which rows have none.

    Attributes
    ----------
    count : int
        Rows that have a weight.
    """

    def __init__(
        self, rows: int, largest: float, context: Context, *, in_tasks: bool = False
    ) -> None:
        held = 8 * rows < context.budget.left() // 4
        kind = np.dtype(np.float64)
        place = context.scratch if in_tasks else context.scratch.driver
        self._store = place.rows(None, rows, 1, kind, held=held)
        for start, stop in self._runs():
            self._store.write(start, np.full((stop - start, 1), np.nan))
        self._quantum = Quantum.covering(largest, rows)
        # of what the rounding to the first unit leaves
        self._fine = Quantum.covering(self._quantum.unit, rows)
        self._units = self._fine_units = 0.0
        self._factor = 1.0
        self.count = 0

    @property
    def total(self) -> float:
        """Sum of the weights, whatever the order they came in."""
        coarse = self._quantum.value(self._units)
        return (coarse + self._fine.value(self._fine_units)) * self._factor

    def put(self, rows: NDArray[np.int64], weight: NDArray[np.float64]) -> None:
        """Give a weight to rows, ascending, that have none yet."""
        self._store.scatter(rows, weight[:, None])
        units = self._quantum.round(weight)
        self._units += float(units.sum())
        self._fine_units += self._fine.sum(weight - units * self._quantum.unit)
        self.count += len(rows)

    def without(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of some rows, ascending, have no weight yet."""
        run = self._store.read(int(rows[0]), int(rows[-1]) + 1)[:, 0]
        missing: NDArray[np.bool_] = np.isnan(run[rows - rows[0]])
        return missing

    def scale(self, normalize: str) -> None:
        """Bring the weights to a mean or a sum of 1, as ``--normalize`` says.

        Raises
        ------
        InputError
            When all are 0.
        """
        if normalize == "none":
            return
        total = self.total
        if total <= 0.0:
            raise InputError(
                f"--normalize {normalize}: the weights of all rows are 0",
                hint="leave it out, or learn weights that reach some rows",
            )
        self._factor = (self.count if normalize == "mean" else 1.0) / total

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Row ids, ascending, and weights, some at a time."""
        for start, stop in self._runs():
            run = self._store.read(start, stop)[:, 0]
            place = np.flatnonzero(~np.isnan(run))
            if len(place):
                yield start + place, run[place] * self._factor

    def _runs(self) -> Iterator[tuple[int, int]]:
        rows = self._store.rows
        for start in range(0, rows, _RUN_ROWS):
            yield start, min(start + _RUN_ROWS, rows)

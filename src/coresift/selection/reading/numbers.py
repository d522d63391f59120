"""A number of every row, from a column or an expression: 8 bytes a row, in memory or in scratch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.selection.base import Context, Data
from coresift.selection.reading.columns import Block, as_numbers


class RowNumbers:
    """A number of every row, checked when it is looked at.

    Parameters
    ----------
    data : Data
        What to read.
    text : str
        A column, or an expression of columns.
    option : str
        The option that named it.
    context : Context
        The run's resources.
    hint : str
        What to do about a row whose number is missing, not finite, or too small.
    positive : bool
        Refuse 0 too.

    Attributes
    ----------
    largest : float
        No number of a row is larger.
    """

    def __init__(
        self,
        data: Data,
        text: str,
        option: str,
        context: Context,
        *,
        hint: str,
        positive: bool = False,
    ) -> None:
        self._data = data
        self._what = f"{option} {text!r}"
        self._hint = hint
        self._positive = positive
        column = data.column(text, option)
        size = 8 * data.rows
        held = size < context.budget.left() // 2
        self._store = context.scratch.rows(None, data.rows, 1, np.dtype(np.float64), held=held)

        def task(blocks: Iterator[Block]) -> float:
            largest = 0.0
            for block in blocks:
                values = as_numbers(block.values[0], self._what)
                self._store.write(int(block.rows[0]), values[:, None])
                largest = max(largest, float(values[np.isfinite(values)].max(initial=0.0)))
            return largest

        name = option.removeprefix("--")
        self.largest = max(data.map(task, (column,), name, everything=True), default=0.0)

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Numbers of some consecutive rows, ascending, less those that are left out."""
        if not len(rows):
            return np.empty(0)
        start = int(rows[0])
        run = self._store.read(start, int(rows[-1]) + 1)[:, 0]
        return self._checked(rows, run[rows - start].astype(np.float64))

    def gather(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Numbers of any rows, ascending."""
        return self._checked(rows, self._store.gather(rows)[:, 0].astype(np.float64))

    def _checked(
        self, rows: NDArray[np.int64], numbers: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        enough = numbers > 0.0 if self._positive else numbers >= 0.0
        bad = ~(np.isfinite(numbers) & enough)
        if bad.any():
            first = int(bad.argmax())
            row = int(rows[first])
            raise InputError(
                f"{self._data.locate(row)} (row {row}): {self._what} is {numbers[first]:g}",
                hint=self._hint,
            )
        return numbers

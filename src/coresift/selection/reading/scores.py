"""A number for each row: a column of the dump, or an expression of its columns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.core.index import Index
from coresift.selection.base import Data
from coresift.selection.reading.columns import Block, as_numbers

Part = tuple[NDArray[np.int64], NDArray[np.float64]]


class Scores:
    """A number for each row of the dump, read in one pass and held in memory.

    Parameters
    ----------
    data : Data
        What to read.
    text : str
        A column, or an expression of columns.
    option : str
        What stands before it on the command line, for messages: ``--utility``.
    stage : str
        Name of the pass for progress.

    Raises
    ------
    ParameterError
        When the text names no column, cannot be read, or does not give numbers.
    """

    def __init__(self, data: Data, text: str, option: str, stage: str = "score") -> None:
        self._data = data
        self._name = f"{option}{text}" if option.endswith(":") else f"{option} {text!r}"
        column = data.column(text, option)

        def task(blocks: Iterator[Block]) -> Part:
            parts = [(block.rows, as_numbers(block.values[0], self._name)) for block in blocks]
            if not parts:
                return np.empty(0, np.int64), np.empty(0)
            rows, values = zip(*parts, strict=True)
            return np.concatenate(rows), np.concatenate(values)

        self._values = np.full(data.rows, np.nan)
        for rows, values in data.map(task, (column,), stage, everything=True):
            self._values[rows] = values

    def of(self, rows: Index, least: float = -np.inf) -> NDArray[np.float64]:
        """Numbers of some rows, at least ``least``.

        Raises
        ------
        InputError
            At the first of the rows without such a number.
        """
        found = self._values[rows]
        bad = rows[~(found >= least)]
        if len(bad):
            row = int(bad.min())
            value = self._values[row]
            what = "null or not a number" if np.isnan(value) else f"{value:g}, less than {least:g}"
            raise InputError(
                f"{self._data.locate(row)} (row {row}): {self._name} is {what}",
                hint="each row needs a number"
                + (f" of {least:g} or more" if least > -np.inf else "")
                + "; leave such rows out with --where",
            )
        return found

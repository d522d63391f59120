"""A number for each row, read only of the row groups that are needed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.influence.base import Resources
from coresift.io.dump import Dump, Shard
from coresift.io.subset import groups_of
from coresift.selection.reading.columns import Column, as_numbers


class LazyColumn:
    """A column of numbers, or an expression of columns, of some rows at a time.

    A row group is read when one of its rows is first asked for, and then never again: 8 bytes a
    row are kept, in memory or in a scratch file.

    Parameters
    ----------
    dump : Dump
        What to read.
    column : Column
        The column, found in the dump.
    option : str
        What stands before it on the command line, for messages.
    context : Context
        The run's resources.
    """

    def __init__(self, dump: Dump, column: Column, option: str, resources: Resources) -> None:
        self._dump = dump
        self._column = column
        self._name = f"{option} {column.text!r}"
        self._resources = resources
        held = 8 * dump.rows < resources.budget.left() // 2
        self._store = resources.scratch.rows(None, dump.rows, 1, np.dtype(np.float64), held=held)
        self._known: set[int] = set()

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Numbers of some rows, ascending.

        Raises
        ------
        InputError
            At the first of them without a finite number.
        """
        dump, column, name, store = self._dump, self._column, self._name, self._store

        def task(group: Shard) -> int:
            for start, batch in dump.read(group, column.reads):
                store.write(start, as_numbers(column.of(batch), name)[:, None])
            return group.rows

        groups = [g for g in groups_of(dump, rows, column.reads) if g.start not in self._known]
        with self._resources.progress.stage("score", sum(g.rows for g in groups)) as stage:
            for read in self._resources.engine.map(task, groups):
                stage.advance(read)
        self._known.update(group.start for group in groups)
        found: NDArray[np.float64] = store.gather(rows)[:, 0]
        bad = np.flatnonzero(~np.isfinite(found))
        if len(bad):
            row, value = int(rows[bad[0]]), float(found[bad[0]])
            what = "null or not a number" if np.isnan(value) else f"{value:g}, not a finite number"
            raise InputError(
                f"{dump.locate(row)} (row {row}): {name} is {what}",
                hint="each row needs a number; cluster again with a --where that leaves such "
                "rows out",
            )
        return found

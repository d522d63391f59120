"""Rows of a dump that a file names by their ids: a selection, or any table with such a column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.io import compute as pc
from coresift.io.dump import Dump, open_dump
from coresift.io.provenance import Provenance, stored_provenance


@dataclass(frozen=True)
class RowFile:
    """A table with row ids.

    Attributes
    ----------
    path : str
        As the user named it.
    dump : Dump
        The opened file or directory.
    provenance : Provenance or None
        None when coresift did not write it.
    """

    path: str
    dump: Dump
    provenance: Provenance | None

    @classmethod
    def open(cls, path: str, *, may_be_empty: bool = False) -> Self:
        """Read the footers.

        Raises
        ------
        InputError
            When it cannot be read, is another kind of result, or has no column of row ids.
        """
        dump = open_dump([path], may_be_empty=may_be_empty)
        provenance = stored_provenance(dump.schema, path)
        if provenance is not None and provenance.command != "select":
            raise InputError(
                f"{path}: a result of `coresift {provenance.command}`, not a selection",
                hint="give what `coresift select` wrote",
            )
        found = cls(path, dump, provenance)
        if found.row_column not in dump.schema.names:
            raise InputError(
                f"{path}: no column {found.row_column!r} with row ids",
                hint=f"its columns are {', '.join(dump.schema.names[:12])}",
            )
        return found

    @property
    def _prefix(self) -> str:
        return "" if self.provenance is None else str(self.provenance.output.get("prefix") or "")

    @property
    def row_column(self) -> str:
        """Name of the column of row ids."""
        return self._prefix + "row"

    def ids(self, kept: NDArray[np.bool_] | None, rows: int, full: str) -> NDArray[np.int64]:
        """Row ids as the file has them, checked against the dump they are of.

        Parameters
        ----------
        kept : ndarray of bool, shape (rows,), or None
            Rows that there are to choose from; None when all are.
        rows : int
            Rows of the dump.
        full : str
            Its name, for messages.

        Raises
        ------
        InputError
            When a row is not among the kept ones, or stands twice.
        """
        column = self.column(self.row_column)
        if not pa.types.is_integer(column.type):
            raise InputError(
                f"{self.path}: column {self.row_column!r} is {column.type}, not integer"
            )
        largest = pc.max(column).as_py()
        if largest is not None and largest >= rows:
            self._refuse_outside(largest, rows, full)
        ids = self.numbers(column, self.row_column, pa.int64()).astype(np.int64)
        self._check(np.sort(ids), kept, rows, full)
        return ids

    def column(self, name: str) -> pa.ChunkedArray:
        """A column in full."""
        parts = [
            batch.column(name)
            for shard in self.dump.shards([name])
            for _, batch in self.dump.read(shard, [name])
        ]
        return pa.chunked_array(parts, self.dump.schema.field(name).type)

    def numbers(self, values: pa.ChunkedArray, name: str, kind: pa.DataType) -> NDArray[Any]:
        """A column's values as numbers; null is refused."""
        if values.null_count:
            raise InputError(f"{self.path}: {values.null_count:,} nulls in column {name!r}")
        return np.asarray(pc.cast(values, kind, safe=False).to_numpy())

    def _check(
        self, ids: NDArray[np.int64], kept: NDArray[np.bool_] | None, rows: int, full: str
    ) -> None:
        if len(ids) and ids[0] < 0:
            self._refuse_outside(int(ids[0]), rows, full)
        twice = ids[1:][ids[1:] == ids[:-1]]
        if len(twice):
            raise InputError(
                f"{self.path}: row {twice[0]} stands more than once",
                hint="merge its lines, adding their weights if they have some",
            )
        if kept is not None:
            self.require_kept(ids[~kept[ids]], f"the {np.count_nonzero(kept):,} rows", full)

    def _refuse_outside(self, row: int, rows: int, full: str) -> NoReturn:
        raise InputError(
            f"{self.path}: row {row} is not one of the {rows:,} rows of {full}",
            hint="row ids are positions in the dump that the rows were chosen from",
        )

    def require_kept(self, left_out: NDArray[np.int64], kept: str, full: str) -> None:
        """Refuse rows that are left out of the dump.

        Parameters
        ----------
        left_out : ndarray of int64
            These rows, ascending.
        kept, full : str
            The rows that are kept, and the dump's name, for messages.

        Raises
        ------
        InputError
            When there is one.
        """
        if len(left_out):
            more = len(left_out) - 1
            which = f"row {left_out[0]}" + (f" and {more:,} more are" if more else " is")
            raise InputError(
                f"{self.path}: {which} not among {kept} that --where and --invalid keep of {full}",
                hint="give the --where and --invalid that the rows were chosen with",
            )

"""A subset on disk: row ids and weights, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.evaluation.base import RowSet
from coresift.io.dump import Dump, open_dump
from coresift.io.provenance import KEY, Provenance
from coresift.io.vectors import Vectors


@dataclass(frozen=True)
class SubsetFile:
    """A selection, or any Parquet with row ids.

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
    def open(cls, path: str) -> SubsetFile:
        """Read the footers.

        Raises
        ------
        InputError
            When it cannot be read, is another kind of result, or has no column of row ids.
        """
        dump = open_dump([path])
        metadata = dump.schema.metadata or {}
        provenance = None
        if KEY in metadata:
            try:
                provenance = Provenance.from_json(metadata[KEY])
            except (ValueError, TypeError, AttributeError) as error:
                raise InputError(
                    f"{path}: provenance that cannot be read ({error})",
                    hint="select again, or write the file without its metadata",
                ) from error
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

    @property
    def weight_column(self) -> str | None:
        """Name of the column of weights; None without one."""
        name = self._prefix + "weight"
        return name if name in self.dump.schema.names else None

    def read(self, vectors: Vectors, full: str) -> RowSet:
        """Read rows and weights, and check them against the full data.

        Parameters
        ----------
        vectors : Vectors
            The full data's kept rows.
        full : str
            The full data's name, for messages.

        Raises
        ------
        InputError
            When a row is not among the kept ones, or stands twice; when a weight is null,
            negative or not finite, or all are zero.
        """
        rows = self._column(self.row_column)
        if not pa.types.is_integer(rows.type):
            raise InputError(f"{self.path}: column {self.row_column!r} is {rows.type}, not integer")
        ids = self._numbers(rows, self.row_column, pa.int64()).astype(np.int64)
        order = np.argsort(ids, kind="stable")
        ids = ids[order]
        self._check_rows(ids, vectors, full)
        name = self.weight_column
        if name is None:
            return RowSet(ids, np.full(len(ids), vectors.count / len(ids)))
        weights = self._column(name)
        if not (pa.types.is_integer(weights.type) or pa.types.is_floating(weights.type)):
            raise InputError(f"{self.path}: column {name!r} is {weights.type}, not a number")
        weight = self._numbers(weights, name, pa.float64()).astype(np.float64)[order]
        wrong = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0.0)))
        if len(wrong):
            raise InputError(
                f"{self.path}: weight {weight[wrong[0]]:g} of row {ids[wrong[0]]} is not a finite "
                "number of at least 0"
            )
        if not weight.any():
            raise InputError(f"{self.path}: all weights are 0")
        return RowSet(ids, weight)

    def _column(self, name: str) -> pa.ChunkedArray:
        parts = [
            batch.column(name)
            for shard in self.dump.shards([name])
            for _, batch in self.dump.read(shard, [name])
        ]
        return pa.chunked_array(parts)

    def _numbers(self, values: pa.ChunkedArray, name: str, kind: pa.DataType) -> NDArray[Any]:
        if values.null_count:
            raise InputError(f"{self.path}: {values.null_count:,} nulls in column {name!r}")
        return np.asarray(pc.cast(values, kind, safe=False).to_numpy())

    def _check_rows(self, ids: NDArray[np.int64], vectors: Vectors, full: str) -> None:
        outside = ids[(ids < 0) | (ids >= vectors.rows)]
        if len(outside):
            raise InputError(
                f"{self.path}: row {outside[0]} is not one of the {vectors.rows:,} rows of {full}",
                hint="row ids are positions in the dump given to --full",
            )
        twice = ids[1:][ids[1:] == ids[:-1]]
        if len(twice):
            raise InputError(
                f"{self.path}: row {twice[0]} stands more than once",
                hint="merge its lines and add their weights",
            )
        if vectors.kept is not None:
            left_out = ids[~vectors.kept[ids]]
            if len(left_out):
                more = len(left_out) - 1
                which = f"row {left_out[0]}" + (f" and {more:,} more are" if more else " is")
                raise InputError(
                    f"{self.path}: {which} not among the {vectors.count:,} rows that --where and "
                    f"--invalid keep of {full}",
                    hint="evaluate with the --where and --invalid that the rows were chosen with",
                )

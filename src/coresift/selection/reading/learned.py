"""Weights that were learned on a subset, from a column of it or from a file of their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.core.errors import InputError, ParameterError
from coresift.core.memory import Budget
from coresift.io.dump import Dump
from coresift.io.provenance import stored_provenance
from coresift.io.rowfile import RowFile
from coresift.selection.params.carrying import CarryingParams
from coresift.selection.reading.columns import as_numbers, plain
from coresift.selection.reading.joins import (
    LINE_BYTES,
    Lookup,
    Matches,
    SideFile,
    require_each_once,
    require_named,
)


@dataclass(frozen=True)
class Learned:
    """Rows and what was learned on them.

    Attributes
    ----------
    rows : ndarray of int64, shape (s,)
        Row ids, ascending.
    weight : ndarray of float64, shape (s,)
        Finite, not negative, and not all 0.
    side : SideFile or None
        The file the weights come from, if it is not the subset's own.
    notes : tuple of str
        What of it was not used.
    """

    rows: NDArray[np.int64]
    weight: NDArray[np.float64]
    side: SideFile | None
    notes: tuple[str, ...]

    @classmethod
    def read(cls, subset: RowFile, dump: Dump, params: CarryingParams, budget: Budget) -> Learned:
        """Read the subset's rows and the weight of each.

        Raises
        ------
        InputError
            When a row is not one of the dump or stands twice; when a row has no weight, or one
            that is not a finite number of at least 0; when all are 0.
        MismatchError
            When the weights were learned on rows of another dump.
        """
        budget.require(subset.dump.rows * LINE_BYTES, f"the rows of {subset.path}")
        ids = subset.ids(None, dump.rows, dump.source)
        side = _side(subset, params)
        notes: tuple[str, ...] = ()
        if side is None:
            where = subset.path
            column = _whole(subset.column(params.weights))
            weight = as_numbers(column, f"{where}: column {params.weights!r}")
        else:
            where = side.path
            budget.require(side.dump.rows * LINE_BYTES, f"the join with {where}")
            weight, notes = _joined(side, subset, ids, dump, params)
        wrong = ~(np.isfinite(weight) & (weight >= 0.0))
        if wrong.any():
            first = int(wrong.argmax())
            found = "null or not a number" if np.isnan(weight[first]) else f"{weight[first]:g}"
            raise InputError(
                f"{where}: the weight of row {ids[first]} is {found}",
                hint="weights must be finite and not negative",
            )
        if not weight.any():
            raise InputError(f"{where}: all weights are 0")
        order = np.argsort(ids)
        # the sum turns -0 into 0
        return cls(ids[order], weight[order] + 0.0, side, notes)


def _side(subset: RowFile, params: CarryingParams) -> SideFile | None:
    """The file that ``--weights`` names; None where it names a column of the subset."""
    text = params.weights
    names = subset.dump.schema.names
    if text in names:
        for flag, value in (("--weights-column", params.weights_column), ("--on", params.on)):
            if value is not None:
                raise ParameterError(
                    f"{flag} describes a file, and {text!r} is a column of {subset.path}",
                    hint=f"leave it out, or give --weights ./{text} for a file of that name",
                )
        return None
    if not (Path(text).exists() or "://" in text or set(text) & set("*?[")):
        raise InputError(
            f"--weights {text}: neither a column of {subset.path} nor a file",
            hint=f"its columns are {', '.join(names[:12])}",
        )
    return SideFile.open(text, "--weights")


def _joined(
    side: SideFile,
    subset: RowFile,
    ids: NDArray[np.int64],
    dump: Dump,
    params: CarryingParams,
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Weight of each row of the subset, and what lines were not used."""
    column = _weights_column(side, dump, params)
    if params.on is None:
        # the file may have been made from the subset, with its prefix
        on = subset.row_column if subset.row_column in side.names else "row"
        keys: pa.Array = pa.array(ids)
    else:
        on = params.on
        require_named(on, subset.dump.schema.names, "--on", subset.path)
        keys = _whole(subset.column(on))
    side.require(on, "--on" if params.on else "the join by row id")
    lookup = Lookup.of(side, on, keys.type, subset.path)
    notes = require_each_once(
        lookup,
        [Matches.of(lookup, keys, ids)],
        path=side.path,
        what="weight",
        on=on,
        there=subset.path,
        rows="row of the subset",
        hint="give each row of the subset a weight, or leave the row out of it",
    )
    values = side.evaluate(column, "--weights-column")
    return values[lookup.places(keys)], notes


def _weights_column(side: SideFile, dump: Dump, params: CarryingParams) -> str:
    """Name of the column of weights; refuse a file that belongs to another dump."""
    origin = stored_provenance(side.dump.schema, side.path)
    if origin is not None:
        origin.require_input(dump, side.path, "learn the weights on a subset of this dump")
    if params.weights_column is not None:
        side.require(params.weights_column, "--weights-column")
        return params.weights_column
    if origin is not None and origin.command == "select":
        raise InputError(
            f"{side.path}: made from a selection, whose weights say how many rows each stands for",
            hint="name the column that was learned with --weights-column",
        )
    return side.only_number("weight", [params.on or "row"], "--weights-column")


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array."""
    return pa.concat_arrays([plain(part) for part in column.chunks])

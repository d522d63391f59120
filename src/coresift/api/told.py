"""The scores of rows that a bandit asked for, read from the table that a program wrote."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.api.asked import Asked
from coresift.core.errors import InputError, ParameterError
from coresift.engine.base import Engine
from coresift.io.dump import Dump
from coresift.io.subset import take_column
from coresift.selection.reading.joins import Lookup, SideFile, plural, require_named

_OPTION = "--scores"


@dataclass(frozen=True)
class Told:
    """Scores for rows that were asked.

    Attributes
    ----------
    path : str
        Where they were read.
    places : ndarray of int64, shape (m,)
        The rows, by their places among all that were asked.
    scores : ndarray of float64, shape (m,)
        Finite.
    notes : tuple of str
        What was passed over.
    """

    path: str
    places: NDArray[np.int64]
    scores: NDArray[np.float64]
    notes: tuple[str, ...]

    def into(self, asked: Asked, *, replaces: bool) -> list[str]:
        """Put the scores into the state; what is to be said of rows that were told before.

        Raises
        ------
        InputError
            When one was told before with another score, unless that is to be replaced.
        """
        before = asked.score[self.places]
        again = ~np.isnan(before)
        other = again & (before != self.scores)
        if other.any() and not replaces:
            place = int(np.flatnonzero(other)[0])
            raise InputError(
                f"{self.path}: {plural(int(other.sum()), 'row')} told before with another score, "
                f"for example row {asked.row[self.places[place]]}: {self.scores[place]:g}, before "
                f"{before[place]:g}; nothing was taken from it",
                hint="leave them out, or give --replace",
            )
        asked.score[self.places] = self.scores
        notes = []
        same = int((again & ~other).sum())
        if same:
            notes.append(f"{plural(same, 'row')} told before, with the same score")
        if other.any():
            notes.append(f"{plural(int(other.sum()), 'row')} told another score than before")
        late = int((asked.ask[self.places[~again]] < asked.asks - 1).sum())
        if late:
            notes.append(f"{plural(late, 'row')} of earlier batches told")
        return notes


def read_told(
    asked: Asked,
    dump: Dump,
    path: str,
    *,
    score: str | None,
    on: str | None,
    unasked: str,
    engine: Engine,
) -> Told:
    """Read scores and join them with the rows asked.

    Parameters
    ----------
    asked : Asked
        The rows.
    dump : Dump
        What they are of.
    path : str
        A table with a line for each row.
    score, on, unasked
        See :func:`coresift.api.bandit.tell`.
    engine : Engine
        Where to read the dump, if it must be.

    Raises
    ------
    InputError
        When the table lacks a column, has two lines for a row, a score that is infinite, or lines
        of rows that were never asked.
    """
    if unasked not in ("error", "drop"):
        raise ParameterError(f"--unasked {unasked!r} is not one of error, drop")
    side = SideFile.open(path, _OPTION)
    name = on or asked.prefix + "row"
    if on is not None:
        require_named(on, dump.schema.names, "--on", dump.source)
    kind = pa.int64() if on is None else dump.schema.field(on).type
    lookup = Lookup.of(side, name, kind, "the rows asked" if on is None else dump.source)
    values = side.evaluate(score or side.only_number("score", [name], "--score"), "--score")
    lines = lookup.places(_ids(asked, dump, on, engine))
    places = np.flatnonzero(lines >= 0)
    lines = lines[places]
    twice = np.flatnonzero(np.bincount(lines, minlength=1) > 1)
    if len(twice):
        raise InputError(
            f"{path}: {name} {lookup.ids[int(twice[0])].as_py()!r} stands for several rows asked",
            hint="join by a column whose values are distinct, such as row",
        )
    notes = []
    spare = np.setdiff1d(np.arange(len(lookup.ids)), lines)
    if len(spare):
        found = (
            f"{plural(len(spare), 'row')} never asked, for example {name} "
            f"{lookup.ids[int(spare[0])].as_py()!r}"
        )
        if unasked == "error":
            raise InputError(
                f"{path}: {found}; nothing was taken from it",
                hint="is it of another state? --unasked drop takes the others; rows of an "
                "interrupted ask are asked again",
            )
        notes.append(f"{found}: left out")
    scores = values[lines]
    if np.isinf(scores).any():
        place = int(np.flatnonzero(np.isinf(scores))[0])
        raise InputError(
            f"{path}: the score of row {asked.row[places[place]]} is infinite",
            hint="a score is a number; leave it out for a row that has none",
        )
    none = np.isnan(scores)
    if none.any():
        notes.append(f"{plural(int(none.sum()), 'line')} of {path} without a score passed over")
    return Told(path, places[~none], scores[~none], tuple(notes))


def _ids(asked: Asked, dump: Dump, on: str | None, engine: Engine) -> pa.Array:
    """What tells the rows asked, in the order of the asking."""
    if on is None:
        return pa.array(asked.row)
    order = np.argsort(asked.row)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return take_column(dump, asked.row[order], on, engine).take(pa.array(back))

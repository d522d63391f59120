"""Decontamination: drop the rows that are near a row of another dump."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.core.selection import Dropped, Selection
from coresift.selection.base import Context, Data
from coresift.selection.closeness import Radius
from coresift.selection.joins import plural
from coresift.selection.layout import Layout
from coresift.selection.pairs import closest, fitted, near
from coresift.selection.params import DedupParams
from coresift.selection.space import TILE

_ROW_BYTES = 60


def select(data: Data, params: DedupParams, context: Context) -> Selection:
    """Keep the rows that are near no row of ``params.against``, each with weight 1."""
    other = data.other(params.against or "", "--against")
    mine, theirs = Layout.whole(data), Layout.whole(other)
    context.budget.require((mine.count + theirs.count) * _ROW_BYTES, "comparing two dumps")
    radius = Radius.of(params.threshold, params.epsilon, data.cosine)
    space = mine.space(data, radius.unit, context)
    tests = theirs.space(other, radius.unit, context, "against")
    projection = fitted(space, radius, within_runs=False)
    space.project(projection, context.engine)
    tests.project(projection, context.engine)
    nearest = np.full(mine.count, -1, np.int64)
    closeness = np.full(mine.count, -np.inf)

    def task(start: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        tile = space.tile(start, min(start + TILE, mine.count))
        parts = [
            near(tile, tests.tile(low, min(low + TILE, theirs.count)), radius, measured=True)
            for low in range(0, theirs.count, TILE)
        ]
        return closest(parts)

    with context.progress.stage("compare", mine.count) as stage:
        for row, found, close in context.engine.map(task, range(0, mine.count, TILE)):
            nearest[row], closeness[row] = found, close
            stage.advance(TILE)
    gone = np.flatnonzero(nearest >= 0)
    stays = np.flatnonzero(nearest < 0)
    notes = [*mine.notes, f"compared with the {theirs.count:,} rows of {params.against}"]
    zeros = space.zeros + tests.zeros
    if zeros and radius.unit:
        notes.append(f"{plural(zeros, 'zero vector')} similar to none")
    dropped = None
    if params.pairs is not None:
        shown = radius.shown(closeness[gone])
        dropped = Dropped(
            mine.rows[gone].astype(np.int64), theirs.rows[nearest[gone]].astype(np.int64), *shown
        )
    return Selection(
        mine.rows[stays].astype(np.int64),
        np.ones(len(stays)),
        mine.count,
        resolved={"dropped": len(gone), "groups": len(np.unique(nearest[gone]))},
        notes=tuple(notes),
        dropped=dropped,
    )

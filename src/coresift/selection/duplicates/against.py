"""Decontamination: drop the rows that are near a row of other dumps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from coresift.core.selection import Dropped, Selection
from coresift.selection.base import Context, Data
from coresift.selection.duplicates.closeness import Radius
from coresift.selection.duplicates.layout import Layout
from coresift.selection.duplicates.pairs import closest, fitted, near
from coresift.selection.duplicates.space import TILE, Space
from coresift.selection.params.dedup import DedupParams
from coresift.selection.reading.joins import plural

_ROW_BYTES = 60


def select(data: Data, params: DedupParams, context: Context) -> Selection:
    """Keep the rows that are near no row of the dumps ``params.against``, each with weight 1."""
    others = [data.other(path, "--against") for path in params.against or ()]
    mine, theirs = Layout.whole(data), [Layout.whole(other) for other in others]
    most = max(layout.count for layout in theirs)
    context.budget.require((mine.count + most) * _ROW_BYTES, "comparing two dumps")
    radius = Radius.of(params.threshold, params.epsilon, data.cosine)
    space = mine.space(data, radius.unit, context)
    space.project(fitted(space, radius, within_runs=False), context.engine)
    nearest = np.full(mine.count, -1, np.int64)
    closeness = np.full(mine.count, -np.inf)
    notes, zeros = list(mine.notes), space.zeros
    before = 0
    for number, (other, layout) in enumerate(zip(others, theirs, strict=True)):
        tests = layout.space(other, radius.unit, context, f"against-{number}")
        tests.project(space.projection, context.engine)
        for row, found, close in _closest(space, tests, radius, context, f"compare-{number}"):
            closer = close > closeness[row]
            nearest[row[closer]] = layout.rows[found[closer]] + before
            closeness[row[closer]] = close[closer]
        path = (params.against or ())[number]
        notes.append(f"compared with the {layout.count:,} rows of {path}")
        zeros += tests.zeros
        before += other.rows
    if zeros and radius.unit:
        notes.append(f"{plural(zeros, 'zero vector')} similar to none")
    gone = np.flatnonzero(nearest >= 0)
    stays = np.flatnonzero(nearest < 0)
    dropped = None
    if params.pairs is not None:
        shown = radius.shown(closeness[gone])
        dropped = Dropped(mine.rows[gone].astype(np.int64), nearest[gone], *shown)
    return Selection(
        mine.rows[stays].astype(np.int64),
        np.ones(len(stays)),
        mine.count,
        resolved={"dropped": len(gone), "groups": len(np.unique(nearest[gone]))},
        notes=tuple(notes),
        dropped=dropped,
    )


def _closest(
    space: Space, tests: Space, radius: Radius, context: Context, name: str
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
    """Rows of the first that are near one of the second, the closest one, and how close it is."""

    def task(
        start: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        tile = space.tile(start, min(start + TILE, space.count))
        parts = [
            near(tile, tests.tile(low, min(low + TILE, tests.count)), radius, measured=True)
            for low in range(0, tests.count, TILE)
        ]
        return closest(parts)

    with context.progress.stage("compare", space.count) as stage:
        starts = range(0, space.count, TILE)
        for row, found, close in context.scratch.map(name, context.engine, task, starts):
            stage.advance(TILE)
            yield row, found, close

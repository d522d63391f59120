"""The most similar rows of each row, found by comparing all with all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.engine.base import Engine
from coresift.selection.pools.similarity import Rows, Similarity

_STRIPE = 1 << 23
_TILE = 4096


def most_similar(
    similarity: Similarity,
    rows: Rows,
    count: int,
    engine: Engine,
    *,
    of: Rows | None = None,
    itself: bool = True,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The ``count`` most similar rows of each, ties to the first.

    Parameters
    ----------
    similarity : Similarity
        What it goes by.
    rows : Rows
        Rows to be found.
    count : int
        How many; fewer where there are not so many.
    engine : Engine
        Where to run.
    of : Rows, optional
        Rows whose neighbours are wanted: ``rows`` by default.
    itself : bool
        Whether a row may be found as its own neighbour.

    Returns
    -------
    places, units : ndarray of int32 and float32, shape (m, count)
        Positions in ``rows``, ascending, and their similarities in units.
    """
    asked = rows if of is None else of
    count = min(count, len(rows) - (0 if itself else 1))
    step = max(16, min(512, _STRIPE // max(1, len(rows))))

    def task(start: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        mine = asked[start : start + step]
        units = np.empty((len(mine), len(rows)), np.float32)
        for low in range(0, len(rows), _TILE):
            units[:, low : low + _TILE] = similarity.units(mine, rows[low : low + _TILE])
        if not itself:
            units[np.arange(len(mine)), start + np.arange(len(mine))] = -1.0
        return _largest(units, count)

    places = np.empty((len(asked), count), np.int32)
    units = np.empty((len(asked), count), np.float32)
    starts = range(0, len(asked), step)
    for start, found in zip(starts, engine.map(task, starts), strict=True):
        places[start : start + step], units[start : start + step] = found
    return places, units


def _largest(
    units: NDArray[np.float32], count: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Columns of the largest values of each row, the first of equals."""
    if count == 0:
        return np.empty((len(units), 0), np.int32), np.empty((len(units), 0), np.float32)
    last = units.shape[1] - count
    bar = np.partition(units, last, axis=1)[:, last, None]
    among = units >= bar
    for row in np.flatnonzero(among.sum(axis=1) > count):
        ties = np.flatnonzero(units[row] == bar[row])
        above = np.count_nonzero(units[row] > bar[row])
        among[row, ties[count - above :]] = False
    places = np.nonzero(among)[1].reshape(len(units), count)
    return places.astype(np.int32), np.take_along_axis(units, places, axis=1)

"""One score for each row, out of its influence on several targets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.influence.base import Influence, Resources
from coresift.influence.products import Products

Array = NDArray[np.float64]

_ROWS = 2048


def together(values: Array, how: str) -> Array:
    """The mean or the largest influence over targets.

    Parameters
    ----------
    values : ndarray of float64, shape (m, targets)
        Influence of rows.
    how : {"mean", "max"}
        Which.

    Returns
    -------
    ndarray of float64, shape (m,)
    """
    if values.shape[1] == 1:
        return values[:, 0]
    found: Array = values.max(axis=1) if how == "max" else values.mean(axis=1)
    return found


def scores(
    influence: Influence, how: str, resources: Resources, sign: float = 1.0
) -> tuple[Array, Array]:
    """Scores of all rows, and how far off each may be.

    Parameters
    ----------
    influence : Influence
        Of the rows on the targets.
    how : {"mean", "max"}
        How targets are taken together.
    resources : Resources
        What the run lends.
    sign : float
        -1 takes the harm instead: with ``max``, that to the target which is harmed most.

    Returns
    -------
    scores, off : ndarray of float64, shape (rows,)
        NaN of rows that are left out.
    """
    rows = influence.rows

    def task(run: tuple[int, int]) -> tuple[Array, Array]:
        values, off = rough(influence, *run)
        return together(values if sign > 0.0 else -values, how), off

    runs = [(start, min(start + _ROWS, rows)) for start in range(0, rows, _ROWS)]
    found, far = np.empty(rows), np.empty(rows)
    with resources.progress.stage("influence", rows) as stage:
        for (start, stop), part in zip(runs, resources.engine.map(task, runs), strict=True):
            found[start:stop], far[start:stop] = part
            stage.advance(stop - start)
    return found, far


def rough(influence: Influence, start: int, stop: int) -> tuple[Array, Array]:
    """Influence of consecutive rows, and how far off each row's may be."""
    if isinstance(influence, Products):
        return influence.rough(start, stop)
    values = influence.read(start, stop)
    return values, np.zeros(len(values))

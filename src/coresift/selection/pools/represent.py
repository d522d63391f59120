"""Which chosen row stands for which rows: each is counted by its nearest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.distances import squared_distances
from coresift.clustering.nearest import nearest
from coresift.clustering.points import Points
from coresift.core.progress import Progress
from coresift.engine.base import Engine


def represented(
    points: Points,
    rows: NDArray[np.int64],
    vectors: NDArray[np.float32],
    engine: Engine,
    progress: Progress,
    weigh: Callable[[NDArray[np.int64]], NDArray[np.float64]] | None = None,
) -> tuple[NDArray[np.float64], float]:
    """How many rows are nearest to each chosen one, and how far the farthest row is.

    Parameters
    ----------
    points : Points
        All rows.
    rows : ndarray of int64, shape (n,)
        Ids of the chosen ones, in any order; of two that are as near, the first counts.
    vectors : ndarray of float32, shape (n, dim)
        Their vectors.
    engine, progress : Engine, Progress
        Where to run and to report.
    weigh : callable, optional
        How many rows each of some rows stands for; by default itself.

    Returns
    -------
    weight : ndarray of float64, shape (n,)
        Rows that each stands for, itself at least; they add up to all rows.
    radius : float
        Largest distance of a row from its nearest chosen one.
    """
    distinct = _distinct(vectors)
    centers = Centers.prepare(vectors[distinct], engine=engine)
    order = np.argsort(rows)
    ascending = rows[order]
    weight = np.zeros(len(rows))
    radius = 0.0

    def task(run: tuple[int, int]) -> tuple[NDArray[Any], float]:
        ids, block = points.read(*run)
        labels = distinct[nearest(block, centers)]
        # of equal rows each that was chosen stands for itself
        low, high = np.searchsorted(ascending, [ids[0], ids[-1] + 1] if len(ids) else [0, 0])
        labels[np.searchsorted(ids, ascending[low:high])] = order[low:high]
        squared = squared_distances(block, vectors, labels)
        mass = None if weigh is None else weigh(ids)
        counts = np.bincount(labels, mass, minlength=len(rows))
        return counts, float(squared.max(initial=0.0))

    with progress.stage("assign", points.rows) as stage:
        for (start, stop), (counts, farthest) in zip(
            points.runs(), engine.map(task, points.runs()), strict=True
        ):
            weight += counts
            radius = max(radius, farthest)
            stage.advance(stop - start)
    return weight, float(np.sqrt(radius))


def _distinct(vectors: NDArray[np.float32]) -> NDArray[np.int32]:
    """The first of each set of equal rows, ascending: a search would measure all of a set."""
    lines = np.ascontiguousarray(vectors).view(np.dtype((np.void, vectors.strides[0])))
    return np.sort(np.unique(lines[:, 0], return_index=True)[1]).astype(np.int32)

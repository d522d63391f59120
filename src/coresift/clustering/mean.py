"""The mean of all rows, exact: the same in any order, from any split of the rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.points import Points
from coresift.core.exact import Quantum
from coresift.core.progress import Progress
from coresift.engine.base import Engine

_STEP = 2048


def mean_of(
    points: Points,
    engine: Engine,
    progress: Progress,
    weigh: Callable[[NDArray[np.int64]], NDArray[np.float64]] | None = None,
    heaviest: float = 1.0,
) -> NDArray[np.float32]:
    """Mean of the rows.

    Parameters
    ----------
    points : Points
        The rows.
    engine, progress : Engine, Progress
        Where to run and to report.
    weigh : callable, optional
        Gives the weights of the rows of a run, by their ids.
    heaviest : float
        No weight is larger.

    Returns
    -------
    ndarray of float32, shape (dim,)
    """
    quantum = Quantum.covering(points.bound * heaviest, points.count)
    counting = Quantum.covering(heaviest, points.count)

    def task(run: tuple[int, int]) -> tuple[NDArray[np.float64], float]:
        rows, block = points.read(*run)
        weight = None if weigh is None else weigh(rows)
        total = np.zeros(points.dim)
        for start in range(0, len(block), _STEP):
            part: NDArray[np.floating] = block[start : start + _STEP]
            if weight is not None:
                part = part * weight[start : start + _STEP, None]
            total += quantum.round(part).sum(axis=0)
        return total, counting.sum(np.ones(len(rows)) if weight is None else weight)

    total, count = np.zeros(points.dim), 0.0
    with progress.stage("mean", points.rows) as stage:
        for run, (part, of_part) in zip(
            points.runs(), engine.map(task, points.runs()), strict=True
        ):
            total += part
            count += of_part
            stage.advance(run[1] - run[0])
    mean: NDArray[np.float32] = (total * (quantum.unit / counting.value(count))).astype(np.float32)
    return mean

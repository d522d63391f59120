"""k-means++ seeding, exact, with the centers found in batches.

Arthur and Vassilvitskii, "k-means++: The Advantages of Careful Seeding", SODA 2007: each
center is drawn with probability proportional to D^2, the squared distance to the nearest
center so far. Here many candidates are drawn at once from D^2 as it was before the batch,
and each is kept with probability (D^2 now) / (D^2 then), now counting the candidates that
were kept before it: rejection makes the draw the sequential one, and distances are updated
by one matrix product for the whole batch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.nearest import Centers, closer
from coresift.core import randomness
from coresift.core.progress import Progress
from coresift.engine.base import Engine

_LEAST_BATCH, _LARGEST_BATCH = 16, 1024
_RUN = 4096


def plusplus(
    points: NDArray[np.float32],
    weights: NDArray[np.float64],
    k: int,
    seed: int,
    engine: Engine,
    progress: Progress,
) -> NDArray[np.int64]:
    """Draw ``k`` centers among points by k-means++.

    Parameters
    ----------
    points : ndarray of float32, shape (m, dim)
        Points, m >= k.
    weights : ndarray of float64, shape (m,)
        How many rows each point stands for.
    k : int
        Centers to draw.
    seed : int
        The run's seed.
    engine : Engine
        Where the products run.
    progress : Progress
        Where to report.

    Returns
    -------
    ndarray of int64, shape (k,)
        Positions of the centers in the order drawn. Where there are fewer distinct points
        than centers, the last ones repeat points.
    """
    generator = randomness.generator(seed, "k-means++")
    first = _draw(weights, generator.random(1))
    chosen = [first]
    distance = np.full(len(points), np.inf)
    with progress.stage("seed", k) as stage:
        _update(points, distance, first, engine)
        count = 1
        stage.advance(1)
        while count < k:
            mass = weights * distance
            if not mass.any():
                rest = np.setdiff1d(np.arange(len(points)), np.concatenate(chosen))[: k - count]
                chosen.append(rest)
                break
            batch = min(_LARGEST_BATCH, max(_LEAST_BATCH, count // 2))
            candidates = _draw(mass, generator.random(batch))
            kept = _thin(points, distance, candidates, generator.random(batch), k - count)
            chosen.append(kept)
            _update(points, distance, kept, engine)
            count += len(kept)
            stage.advance(len(kept))
    return np.concatenate(chosen)


def _draw(mass: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.int64]:
    """Positions drawn with probability proportional to mass."""
    total = np.cumsum(mass)
    found = np.searchsorted(total, at * total[-1], side="right")
    return np.minimum(found, np.flatnonzero(mass)[-1]).astype(np.int64)


def _update(
    points: NDArray[np.float32],
    distance: NDArray[np.float64],
    added: NDArray[np.int64],
    engine: Engine,
) -> None:
    """Lower ``distance`` to the nearest of the added centers."""
    centers = Centers.prepare(points[added])

    def task(start: int) -> None:
        part = distance[start : start + _RUN]
        rows, _, squared = closer(points[start : start + _RUN], centers, part)
        part[rows] = squared

    for _ in engine.map(task, range(0, len(points), _RUN)):
        pass


def _thin(
    points: NDArray[np.float32],
    distance: NDArray[np.float64],
    candidates: NDArray[np.int64],
    at: NDArray[np.float64],
    most: int,
) -> NDArray[np.int64]:
    """Keep candidates one after the other, each with probability (D^2 now) / (D^2 then)."""
    block = points[candidates]
    then = distance[candidates]
    now = then.copy()
    kept: list[int] = []
    for index in range(len(candidates)):
        if at[index] * then[index] >= now[index]:
            continue
        kept.append(index)
        if len(kept) == most:
            break
        rest = block[index + 1 :].astype(np.float64)
        rest -= block[index]
        rest *= rest
        np.minimum(now[index + 1 :], rest.sum(axis=1), out=now[index + 1 :])
    return candidates[kept]

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

from coresift.clustering.centers import Centers
from coresift.clustering.distances import squared_distances
from coresift.clustering.nearest import closer
from coresift.clustering.projection import Projection
from coresift.core import randomness
from coresift.core.progress import Progress
from coresift.engine.base import Engine

_LEAST_BATCH, _LARGEST_BATCH = 64, 1024
_RUN = 2560


def plusplus(
    points: NDArray[np.float32],
    weights: NDArray[np.float64],
    k: int,
    seed: int,
    projection: Projection,
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
    projection : Projection
        Directions to compare points in.
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
    first = draw(weights, generator.random(1))
    chosen = [first]
    distance = np.full(len(points), np.inf)
    update = _Update(points, projection, distance, engine)
    with progress.stage("seed", k) as stage:
        update.add(first)
        count = 1
        stage.advance(1)
        while count < k:
            mass = weights * distance
            if not mass.any():
                rest = np.setdiff1d(np.arange(len(points)), np.concatenate(chosen))[: k - count]
                chosen.append(rest)
                break
            batch = min(_LARGEST_BATCH, max(_LEAST_BATCH, count))
            candidates = draw(mass, generator.random(batch))
            kept = thin(points, distance, candidates, generator.random(batch), k - count)
            chosen.append(kept)
            update.add(kept)
            count += len(kept)
            stage.advance(len(kept))
    return np.concatenate(chosen)


def draw(mass: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.int64]:
    """Positions drawn with probability proportional to mass.

    Parameters
    ----------
    mass : ndarray of float64, shape (m,)
        Not negative, and not all zero.
    at : ndarray of float64, shape (n,)
        A uniform number for each draw.

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    total = np.cumsum(mass)
    found = np.searchsorted(total, at * total[-1], side="right")
    drawn: NDArray[np.int64] = np.minimum(found, np.flatnonzero(mass)[-1])
    return drawn


class _Update:
    """Keeps ``distance`` at the squared distance to the nearest center."""

    def __init__(
        self,
        points: NDArray[np.float32],
        projection: Projection,
        distance: NDArray[np.float64],
        engine: Engine,
    ) -> None:
        self._points = points
        self._projection = projection
        self._distance = distance
        self._engine = engine
        self._projected = np.empty((len(points), projection.width), np.float32)
        self._fresh = True

    def add(self, added: NDArray[np.int64]) -> None:
        """Lower the distances to those to the added centers, positions among the points."""
        centers = Centers.prepare(self._points[added], self._projection)
        fresh, self._fresh = self._fresh, False

        def task(start: int) -> None:
            part = slice(start, start + _RUN)
            block = self._points[part]
            if fresh:
                self._projected[part] = self._projection.rows(block)
            near, _, squared = closer(block, centers, self._distance[part], self._projected[part])
            self._distance[part][near] = squared

        for _ in self._engine.driver.map(task, range(0, len(self._points), _RUN)):
            pass


def thin(
    points: NDArray[np.float32],
    distance: NDArray[np.float64],
    candidates: NDArray[np.int64],
    at: NDArray[np.float64],
    most: int,
) -> NDArray[np.int64]:
    """Keep candidates one after the other, each with probability (D^2 now) / (D^2 then).

    Distances among candidates come from one product; where its error could change a
    decision, that decision is made in float64.

    Parameters
    ----------
    points : ndarray of float32, shape (m, dim)
        Points.
    distance : ndarray of float64, shape (m,)
        D^2 of each, then.
    candidates : ndarray of int64, shape (c,)
        Positions drawn by it, in the order drawn.
    at : ndarray of float64, shape (c,)
        A uniform number for each.
    most : int
        How many to keep at most.

    Returns
    -------
    ndarray of int64
        Those kept.
    """
    if not len(candidates):
        return candidates
    block = points[candidates]
    then = distance[candidates]
    centers = Centers.prepare(block)
    rows = centers.projection.rows(block)
    between = -2.0 * (rows @ centers.weights).astype(np.float64)
    error = 2.0 * centers.projection.slack(rows[:, -1], centers.reach)
    low, high = then.copy(), then.copy()
    kept: list[int] = []
    for index, bar in enumerate(at * then):
        if bar >= high[index]:
            continue
        if bar >= low[index]:
            near = np.repeat(block[index : index + 1], len(kept), axis=0)
            exact = squared_distances(near, block, np.array(kept, np.int32))
            if bar >= min(then[index], exact.min(initial=np.inf)):
                continue
        kept.append(index)
        if len(kept) == most:
            break
        np.minimum(low, between[index] - error, out=low)
        np.minimum(high, between[index] + error, out=high)
    return candidates[kept]

"""Greedy k-means++: of several candidates for each center, the one that lowers the cost most.

Arthur and Vassilvitskii, "k-means++: The Advantages of Careful Seeding", SODA 2007, section 7,
with 2 + log k candidates as in their code; bounds by Bhattacharya, Eube, Roeglin and Schmidt,
"Noisy, Greedy and Not So Greedy k-means++", ESA 2020. Candidates are drawn ahead of their turn,
by D^2 as it is then, and when their turn comes each is passed over but with probability
(D^2 now) / (D^2 then): so many of them share one matrix product, which says which points each
could bring nearer. These are measured in float64, so that choices do not hang on rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.distances import squared_distances, workspace
from coresift.clustering.plusplus import draw
from coresift.clustering.projection import Projection
from coresift.core import randomness
from coresift.core.progress import Progress
from coresift.engine.base import Engine

_LEAST_AHEAD, _MOST_AHEAD = 32, 1024
_RUN = 2048


def candidates_of(k: int) -> int:
    """How many candidates each of ``k`` centers has."""
    return 2 + int(math.log(k))


def greedy_plusplus(
    points: NDArray[np.float32],
    k: int,
    seed: int,
    projection: Projection,
    engine: Engine,
    progress: Progress,
) -> NDArray[np.int64]:
    """Draw ``k`` centers among points by greedy k-means++.

    Parameters
    ----------
    points : ndarray of float32, shape (m, dim)
        Points, m >= k.
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
    generator = randomness.generator(seed, "greedy k-means++")
    trials = candidates_of(k)
    chosen = [int(generator.integers(len(points)))]
    distance = np.full(len(points), np.inf)
    search = _Search(points, projection, engine)
    first = search.nearer(np.array(chosen), distance)
    distance[first.of(0)[0]] = first.of(0)[1]
    carried = np.empty(0, np.int64)
    with progress.stage("seed", k) as stage:
        stage.advance(1)
        while len(chosen) < k:
            if not distance.any():
                rest = np.setdiff1d(np.arange(len(points)), chosen)[: k - len(chosen)]
                return np.concatenate([np.array(chosen, np.int64), rest])
            ahead = min(_MOST_AHEAD, max(_LEAST_AHEAD, 2 * len(chosen)))
            drawn = np.concatenate([carried, draw(distance, generator.random(ahead))])
            bars = generator.random(len(drawn)) * distance[drawn]
            bars[: len(carried)] = -1.0
            nearer = search.nearer(drawn, distance)
            turn: list[int] = []
            for index, candidate in enumerate(drawn.tolist()):
                if bars[index] >= distance[candidate]:
                    continue
                turn.append(index)
                if len(turn) < trials:
                    continue
                best = max(turn, key=lambda one: (nearer.gain(one, distance), -one))
                rows, squared = nearer.of(best)
                distance[rows] = np.minimum(distance[rows], squared)
                chosen.append(int(drawn[best]))
                turn = []
                stage.advance(1)
                if len(chosen) == k:
                    break
            carried = drawn[turn]
    return np.array(chosen, np.int64)


@dataclass(frozen=True)
class _Nearer:
    """Points that candidates could bring nearer, candidate by candidate.

    Attributes
    ----------
    starts : ndarray of int64, shape (candidates + 1,)
        Where the points of each start.
    rows : ndarray of int64
        Points, ascending for each candidate.
    squared : ndarray of float64
        Their squared distances to it.
    """

    starts: NDArray[np.int64]
    rows: NDArray[np.int64]
    squared: NDArray[np.float64]

    def of(self, candidate: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Points and squared distances of one candidate."""
        part = slice(int(self.starts[candidate]), int(self.starts[candidate + 1]))
        return self.rows[part], self.squared[part]

    def gain(self, candidate: int, distance: NDArray[np.float64]) -> float:
        """By how much a candidate would lower the sum of D^2."""
        rows, squared = self.of(candidate)
        return float(np.maximum(distance[rows] - squared, 0.0).sum())


class _Search:
    """Points, prepared to be compared with many candidates."""

    def __init__(self, points: NDArray[np.float32], projection: Projection, engine: Engine) -> None:
        self._points = points
        self._engine = engine
        # without a tail to measure by, a projection leaves too many points to measure
        projection = projection if projection.tail else Projection(projection.origin)
        self._projection = projection
        self._projected = np.empty((len(points), projection.width), np.float32)

        def task(start: int) -> None:
            part = slice(start, start + _RUN)
            self._projected[part] = projection.rows(points[part])

        for _ in engine.driver.map(task, range(0, len(points), _RUN)):
            pass

    def nearer(self, candidates: NDArray[np.int64], distance: NDArray[np.float64]) -> _Nearer:
        """Find the points that are nearer to a candidate than ``distance`` says."""
        centers = Centers.prepare(self._points[candidates], self._projection)

        def task(start: int) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
            block, bars = self._points[start : start + _RUN], distance[start : start + _RUN]
            heads = self._projected[start : start + _RUN]
            scores = workspace.take("scores", (len(block), len(candidates)))
            np.matmul(heads, centers.weights, out=scores)
            bar = centers.bar(heads[:, -1], np.minimum(bars, 1e30))
            row, place = np.divmod(np.flatnonzero(scores >= bar[:, None]), len(candidates))
            label = place.astype(np.int32)
            squared = squared_distances(block[row], centers.points, label)
            found = np.flatnonzero(squared < bars[row])
            return row[found] + start, label[found], squared[found]

        parts = list(self._engine.driver.map(task, range(0, len(self._points), _RUN)))
        rows, labels, squared = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.argsort(labels, kind="stable")
        counts = np.bincount(labels, minlength=len(candidates))
        starts = np.concatenate([[0], np.cumsum(counts)])
        return _Nearer(starts, rows[order], squared[order])

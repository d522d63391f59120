"""Whether a set keeps to where rows lie, and reaches everywhere they do: by balls around rows.

P-precision and P-recall: Park and Kim, Probabilistic Precision and Recall Towards Reliable
Evaluation of Generative Models, ICCV 2023. Coverage: Naeem et al., Reliable Fidelity and
Diversity Metrics for Generative Models, ICML 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.distances import squared_distances
from coresift.clustering.nearest import nearest
from coresift.clustering.neighbors import neighbors
from coresift.clustering.points import Points, sample_rows
from coresift.engine.base import Engine
from coresift.evaluation.base import Resources, RowSet, Values

MOST_ROWS, LEAST_ROWS = 5_000, 1_000
PURPOSE = "evaluate/balls"
# the paper's: the neighbour that a radius goes to, and what it is scaled by
_NEIGHBOUR, _SCALE = 4, 1.2
# of coverage, by its paper
_COVER_NEIGHBOUR = 5
_TILE = 1_024
# of the squared norms: what a product in float64 may leave of the distance of equal rows
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Balls:
    """Rows in memory, with how far their neighbours are.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Row ids.
    vectors : ndarray of float32, shape (n, dim)
        Their vectors.
    radius : float
        1.2 times the mean distance to the fourth nearest other row, or to the farthest one where
        there are fewer: the radius of the balls of P-precision and P-recall, the same for all.
    squared : ndarray of float64, shape (n,)
        Squared distance to the fifth nearest other row: of the balls of coverage.
    """

    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]
    radius: float
    squared: NDArray[np.float64]

    @classmethod
    def around(cls, rows: NDArray[np.int64], vectors: NDArray[np.float32], engine: Engine) -> Balls:
        """Measure the neighbours of all rows among each other."""
        count = min(_COVER_NEIGHBOUR, len(rows) - 1) + 1
        centers = Centers.prepare(vectors)

        def task(start: int) -> NDArray[np.float64]:
            return neighbors(vectors[start : start + _TILE], centers, count)[1]

        # the nearest is the row itself, or one equal to it
        found = np.concatenate(list(engine.map(task, range(0, len(rows), _TILE))))
        fourth = np.sqrt(found[:, min(_NEIGHBOUR, count - 1)])
        return cls(rows, vectors, _SCALE * float(fourth.mean()), found[:, -1])


def balls(points: Points, sets: Sequence[RowSet], resources: Resources) -> Values:
    """P-precision, P-recall and coverage of each set.

    A uniform sample stands for all rows: as many as the set has, but at least 1,000 and at most
    5,000. Of a set with more than 5,000 rows, so many are drawn.

    ``p_precision`` is how likely a row of the set lies where other rows do, ``p_recall`` how
    likely a row lies where the set does, ``knn_coverage`` the share of rows to which a row of the
    set is as near as their fifth neighbour. A row of the set is itself one of all rows, and would
    always lie in its own ball: it does not count for its own precision, and does for the others.

    Weights count in ``p_precision`` alone, as a mean over the set's rows.

    Parameters
    ----------
    points : Points
        All rows.
    sets : sequence of RowSet
        What to judge.
    resources : Resources
        The run's resources.
    """
    engine = resources.engine.driver
    known: dict[int, Balls] = {}
    found = np.zeros((3, len(sets)))
    with resources.progress.stage("balls", len(sets)) as stage:
        for index, rows_of in enumerate(sets):
            size = min(MOST_ROWS, max(LEAST_ROWS, len(rows_of.rows)))
            if size not in known:
                rows = sample_rows(points, size, resources.seed, PURPOSE)
                known = {size: Balls.around(rows, points.take(rows), engine)}
            everything = known[size]
            drawn = rows_of.at_most(MOST_ROWS, resources.seed, PURPOSE)
            chosen = Balls.around(drawn.rows, points.take(drawn.rows), engine)
            precision, recall = likely(everything, chosen, engine)
            found[0, index] = drawn.shares @ precision
            found[1, index] = recall.mean()
            found[2, index] = covered(everything, chosen, engine).mean()
            stage.advance(1)
    return dict(zip(("p_precision", "p_recall", "knn_coverage"), found, strict=True))


def likely(
    everything: Balls, chosen: Balls, engine: Engine
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How likely each chosen row lies in the support of all, and each of all in that of the chosen.

    A row at distance d of a ball's center lies in it with probability max(0, 1 - d / radius), and
    in the support unless it lies in no ball, balls being independent. Checked against the authors'
    code, of which 1.2 and the fourth neighbour are the defaults.

    Returns
    -------
    precision : ndarray of float64, shape (chosen,)
        Of the chosen rows; the ball around the same row is left out.
    recall : ndarray of float64, shape (everything,)
        Of all rows.
    """
    mean = everything.vectors.mean(axis=0, dtype=np.float64)
    tiles = [
        (a, b)
        for a in range(0, len(everything.rows), _TILE)
        for b in range(0, len(chosen.rows), _TILE)
    ]

    def task(tile: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Products over the tile of the probabilities to lie outside."""
        left, right = slice(tile[0], tile[0] + _TILE), slice(tile[1], tile[1] + _TILE)
        same = everything.rows[left, None] == chosen.rows[right]
        distance = _distances(everything.vectors[left] - mean, chosen.vectors[right] - mean)
        distance[same] = 0.0
        outside = _outside(distance, chosen.radius).prod(axis=1)
        distance[same] = np.inf
        return _outside(distance, everything.radius).prod(axis=0), outside

    precision, recall = np.ones(len(chosen.rows)), np.ones(len(everything.rows))
    for (a, b), (of_chosen, of_all) in zip(tiles, engine.map(task, tiles), strict=True):
        precision[b : b + _TILE] *= of_chosen
        recall[a : a + _TILE] *= of_all
    return 1.0 - precision, 1.0 - recall


def _distances(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.square(left).sum(axis=1)[:, None] + np.square(right).sum(axis=1)
    squared: NDArray[np.float64] = norms - 2.0 * (left @ right.T)
    squared[squared < _ROUNDING * norms] = 0.0
    return np.sqrt(squared, out=squared)


def _outside(distance: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Probability not to lie in a ball; one of radius 0 holds its center."""
    if radius == 0.0:
        return (distance > 0.0).astype(np.float64)
    return np.minimum(distance / radius, 1.0)


def covered(everything: Balls, chosen: Balls, engine: Engine) -> NDArray[np.bool_]:
    """Rows of all whose ball holds a chosen row, shape (everything,); balls are closed.

    The authors' code has open balls. Here chosen rows are among the neighbours that the radius is
    measured to, and an open ball would not hold the fifth.
    """
    centers = Centers.prepare(chosen.vectors)

    def task(start: int) -> NDArray[np.bool_]:
        part = slice(start, start + _TILE)
        block = everything.vectors[part]
        squared = squared_distances(block, centers.points, nearest(block, centers))
        return np.asarray(squared <= everything.squared[part])

    return np.concatenate(list(engine.map(task, range(0, len(everything.rows), _TILE))))

"""Whether two models see a set's rows alike: linear CKA, and neighbours in common.

Kornblith et al., Similarity of Neural Network Representations Revisited, ICML 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.neighbors import neighbors
from coresift.clustering.points import Points
from coresift.evaluation.base import Resources, RowSet, Values

MOST_ROWS = 2_000
NEIGHBOURS = 10
Take = Callable[[NDArray[np.int64]], tuple[NDArray[np.float32], NDArray[np.bool_]]]
_PURPOSE = "evaluate/agreement"


def agreement(points: Points, other: Take, sets: Sequence[RowSet], resources: Resources) -> Values:
    """Linear CKA of two columns of vectors, and the mean Jaccard index of the ten nearest rows.

    Both are taken over each set's rows, or 2,000 of them, drawn uniformly: of a uniform set they
    say how far the models agree on the data, of the subset how far on what was chosen. Rows
    without a vector in the other column are left out. Weights do not count.

    Parameters
    ----------
    points : Points
        All rows.
    other : callable
        Takes ids, ascending, and gives the other vectors and which of the rows have one.
    sets : sequence of RowSet
        What to judge.
    resources : Resources
        The run's resources.
    """
    drawn = [rows_of.at_most(MOST_ROWS, resources.seed, _PURPOSE).rows for rows_of in sets]
    union = np.unique(np.concatenate(drawn))
    vectors, there = other(union)

    def both(rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        place = np.searchsorted(union, rows)
        place = place[there[place]]
        return points.take(union[place]), vectors[place]

    def task(pair: tuple[NDArray[np.float32], NDArray[np.float32]]) -> tuple[float, float]:
        return cka(*pair), jaccard(*pair)

    found = np.zeros((2, len(sets)))
    with resources.progress.stage("agreement", len(sets)) as stage:
        pairs = resources.engine.driver.map(task, map(both, drawn))
        for index, values in enumerate(pairs):
            found[:, index] = values
            stage.advance(1)
    return {"agree_cka": found[0], "agree_jaccard": found[1]}


def cka(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """Linear CKA of two sets of features of the same rows, from 0 to 1 (section 3).

    1 where neither has any variance, 0 where only one has.
    """
    a, b = _centred(left), _centred(right)
    norm = np.sqrt((a * a).sum() * (b * b).sum())
    if norm == 0.0:
        return float(not a.any() and not b.any())
    return float((a * b).sum() / norm)


def _centred(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Products of rows less their mean, shape (n, n), scaled to be of order 1."""
    wide = features.astype(np.float64)
    wide -= wide.mean(axis=0) if len(wide) else 0.0
    # of equal rows the mean leaves rounding errors
    wide[:, (features == features[:1]).all(axis=0)] = 0.0
    largest = np.abs(wide).max(initial=0.0)
    if largest > 0.0:
        wide /= largest
    return wide @ wide.T


def jaccard(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """Mean share of the nearest other rows by either features that are so by both.

    1 for a single row, which has no other.
    """
    count = min(NEIGHBOURS, len(left) - 1)
    if count < 1:
        return 1.0
    near = [_nearest_others(features, count) for features in (left, right)]
    common = (near[0][:, :, None] == near[1][:, None, :]).sum(axis=(1, 2))
    return float((common / (2.0 * count - common)).mean())


def _nearest_others(features: NDArray[np.float32], count: int) -> NDArray[np.int32]:
    """The nearest rows but the row itself, shape (n, count)."""
    found = neighbors(features, Centers.prepare(features), count + 1)[0]
    itself = found == np.arange(len(found))[:, None]
    # among many equal rows it may not be listed: then the last goes
    itself[~itself.any(axis=1), -1] = True
    others: NDArray[np.int32] = found[~itself].reshape(len(found), count)
    return others

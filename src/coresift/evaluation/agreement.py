"""Whether two models see a set's rows alike: linear CKA, and neighbours in common.

Kornblith et al., Similarity of Neural Network Representations Revisited, ICML 2019.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.neighbors import neighbors
from coresift.clustering.points import Points
from coresift.evaluation.base import Resources, RowSet, Values

MOST_ROWS = 2_000
NEIGHBOURS = 10
_PURPOSE = "evaluate/agreement"


def agreement(
    points: Points, other: Points, sets: Sequence[RowSet], resources: Resources
) -> Values:
    """Linear CKA of the two columns, and the mean Jaccard index of the ten nearest rows.

    Both are taken over each set's rows, or 2,000 of them, drawn uniformly: of a uniform set they
    say how far the models agree on the data, of the subset how far on what was chosen. Rows
    without a vector in the other column are left out. Weights do not count.

    Parameters
    ----------
    points, other : Points
        All rows, as each column has them.
    sets : sequence of RowSet
        What to judge.
    resources : Resources
        The run's resources.
    """
    there = other.kept_rows()

    def task(pair: tuple[NDArray[np.float32], NDArray[np.float32]]) -> tuple[float, float]:
        return cka(*pair), jaccard(*pair)

    def both(rows_of: RowSet) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        rows = rows_of.rows
        if len(there) < other.rows:
            rows = rows[np.isin(rows, there, assume_unique=True)]
        drawn = RowSet(rows, np.ones(len(rows))).at_most(MOST_ROWS, resources.seed, _PURPOSE)
        return points.take(drawn.rows), other.take(drawn.rows)

    found = np.zeros((2, len(sets)))
    with resources.progress.stage("agreement", len(sets)) as stage:
        pairs = resources.engine.driver.map(task, (both(rows_of) for rows_of in sets))
        for index, values in enumerate(pairs):
            found[:, index] = values
            stage.advance(1)
    return {"agree_cka": found[0], "agree_jaccard": found[1]}


def cka(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """Linear CKA of two sets of features of the same rows, from 0 to 1 (section 3, equation 3).

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
    wide[:, np.ptp(features, axis=0) == 0.0] = 0.0
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
    return found[~itself].reshape(len(found), count)

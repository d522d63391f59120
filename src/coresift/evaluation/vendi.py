"""The effective number of different rows in a set.

Friedman and Dieng, The Vendi Score: A Diversity Evaluation Metric for Machine Learning, 2023.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.points import Points
from coresift.evaluation.base import Resources, RowSet, Values

MOST_ROWS, FEWER_ROWS = 5_000, 2_048
_PURPOSE = "evaluate/vendi"
_TILE = 1_024
# relative to 1, the sum of the eigenvalues: what rounding makes of a zero
_ROUNDING = 1e-14


def most_rows(dim: int) -> int:
    """Rows of a set to look at: so many that eigenvalues of at most 2,048 are needed."""
    return MOST_ROWS if dim <= FEWER_ROWS else FEWER_ROWS


def vendi(points: Points, sets: Sequence[RowSet], resources: Resources) -> Values:
    """Vendi score of each set, with the cosine as the kernel.

    From 1, all rows in one direction, to the number of rows, all at right angles. It counts rows,
    whatever they weigh: as do entropies of classes. Of sets with more than 5,000 rows (2,048
    where there are more than 2,048 dimensions) so many are drawn uniformly.

    Parameters
    ----------
    points : Points
        All rows.
    sets : sequence of RowSet
        What to judge.
    resources : Resources
        The run's resources.
    """
    most = most_rows(points.dim)

    def task(vectors: NDArray[np.float32]) -> float:
        return effective_number(vectors)

    def drawn(rows_of: RowSet) -> NDArray[np.float32]:
        return points.take(rows_of.at_most(most, resources.seed, _PURPOSE).rows)

    found = np.zeros(len(sets))
    with resources.progress.stage("vendi", len(sets)) as stage:
        scores = resources.engine.driver.map(task, (drawn(rows_of) for rows_of in sets))
        for index, score in enumerate(scores):
            found[index] = score
            stage.advance(1)
    return {"vendi_score": found}


def effective_number(vectors: NDArray[np.float32]) -> float:
    """Exponential of the entropy of the eigenvalues of the kernel over n.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, dim)
        A vector of zeros is at right angles to all others, and like all other zeros.
    """
    count, dim = vectors.shape
    squared = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    zeros = int(np.count_nonzero(squared == 0.0))
    scale = np.sqrt(1.0 / np.where(squared > 0.0, squared * count, np.inf))
    # the products of columns have the same eigenvalues as those of rows, but for zeros
    side = np.zeros((min(count, dim),) * 2)
    if count <= dim:
        wide = vectors * scale[:, None]
        side = wide @ wide.T
    else:
        for start in range(0, count, _TILE):
            part = slice(start, start + _TILE)
            wide = vectors[part] * scale[part, None]
            side += wide.T @ wide
    values = np.append(np.linalg.eigvalsh(side), zeros / count)
    values = values[values > _ROUNDING]
    return float(np.exp(-(values * np.log(values)).sum()))

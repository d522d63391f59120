"""What the metrics are given: the row sets to judge, and the run's resources."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.points import Points, sample_rows
from coresift.clustering.projection import Projection
from coresift.core import randomness
from coresift.core.memory import Budget
from coresift.core.progress import Progress
from coresift.engine.base import Engine
from coresift.io.store import Scratch

_PROJECTION_ROWS = 4096
# In fewer dimensions, measuring the candidates of a projection costs more than it saves.
_RUN_BYTES = 4 << 20

Values = dict[str, NDArray[np.float64]]
"""Values of some metrics by name, one for each row set."""

BETTER = {
    "kmeans_cost_error_mean": "lower",
    "kmeans_cost_error_max": "lower",
    "coreset_error_mean": "lower",
    "coreset_error_max": "lower",
    "coverage_mean": "lower",
    "coverage_max": "lower",
    "mmd": "lower",
    "clusters_hit": "higher",
    "label_entropy": "higher",
    "label_min_share": "higher",
    "probe_accuracy": "higher",
    "probe_accuracy_full": "higher",
    "p_precision": "higher",
    "p_recall": "higher",
    "knn_coverage": "higher",
    "sliced_wasserstein": "lower",
    "vendi_score": "higher",
    "duplicates_equal": "lower",
    "duplicates_near": "lower",
    "knn_accuracy": "higher",
    "agree_cka": "higher",
    "agree_jaccard": "higher",
    "influence_effect": "higher",
    "lds": "higher",
    "lds_exact": "higher",
    "lds_kfac": "higher",
    "lds_fisher": "higher",
    "lds_diagonal": "higher",
    "lds_identity": "higher",
    "lds_kernel": "higher",
}


@dataclass(frozen=True)
class Resources:
    """What a run lends to the metrics.

    Attributes
    ----------
    engine : Engine
        Where to run.
    budget : Budget
        What may be held.
    scratch : Scratch
        Where to put what does not fit.
    progress : Progress
        Where to report.
    seed : int
        The seed.
    """

    engine: Engine
    budget: Budget
    scratch: Scratch
    progress: Progress
    seed: int = 0


@dataclass(frozen=True)
class RowSet:
    """Some of the rows, weighted.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Row ids, strictly increasing.
    weight : ndarray of float64, shape (n,)
        How many rows each stands for.
    """

    rows: NDArray[np.int64]
    weight: NDArray[np.float64]

    @classmethod
    def uniform(cls, points: Points, size: int, seed: int, index: int) -> RowSet:
        """Return the uniform subset number ``index`` of ``size`` rows."""
        rows = sample_rows(points, size, seed, f"evaluate/random/{index}")
        return cls(rows, np.full(len(rows), points.count / len(rows)))

    def at_most(self, size: int, seed: int, purpose: str) -> RowSet:
        """Return ``size`` of the rows, uniform, with their weights; all if there are no more.

        They are the rows of smallest keys, so that equal sets have equal samples, and those of
        a set are in that of any larger set from which no more rows are drawn.
        """
        if len(self.rows) <= size:
            return self
        keys = randomness.bits(seed, purpose, self.rows)
        chosen = np.sort(np.lexsort((self.rows, keys))[:size])
        return RowSet(self.rows[chosen], self.weight[chosen])

    @property
    def shares(self) -> NDArray[np.float64]:
        """Weights scaled to sum to 1; equal ones where all are 0, as in a sample they may be."""
        total = self.weight.sum()
        if total == 0.0:
            return np.full(len(self.rows), 1.0 / len(self.rows))
        return np.asarray(self.weight / total, np.float64)

    def within(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Positions of this set's rows in a run of all rows' ids, and their weights."""
        if not len(rows):
            return np.empty(0, np.int64), np.empty(0)
        low, high = np.searchsorted(self.rows, [rows[0], rows[-1] + 1])
        return np.searchsorted(rows, self.rows[low:high]), self.weight[low:high]


def grid(points: Points) -> list[tuple[int, int]]:
    """Runs of positions of about 4 MB of float32 vectors, which cover all rows.

    They depend on the dimensions alone, unlike ``points.runs()``, so that sums by run, added in
    the order of runs, are the same whatever the batches and the memory.
    """
    step = max(256, _RUN_BYTES // (4 * points.dim))
    return [(start, min(start + step, points.rows)) for start in range(0, points.rows, step)]


class Search:
    """Prepares centers for :func:`coresift.clustering.nearest.nearest` over some points.

    Directions are chosen for speed; results do not depend on them.

    Parameters
    ----------
    points : Points
        What will be searched from.
    """

    def __init__(self, points: Points) -> None:
        self._points = points

    @cached_property
    def _projection(self) -> Projection:
        points = self._points
        return Projection.fit(points.take(sample_rows(points, _PROJECTION_ROWS, 0, "projection")))

    def directions(self, k: int) -> Projection:
        """Directions to search ``k`` centers in."""
        return self._projection.suited(k)

    def prepare(self, centers: NDArray[np.float32]) -> Centers:
        """Prepare centers, shape (k, dim)."""
        return Centers.prepare(centers, self.directions(len(centers)))


@dataclass(frozen=True)
class Metric:
    """A metric of the subset beside its mean over uniform subsets.

    Attributes
    ----------
    value : float
        Of the subset.
    random : float
        Mean over uniform subsets of as many rows.
    random_std : float or None
        Their sample standard deviation; None of a single one.
    better : str
        ``higher`` or ``lower``.
    """

    value: float
    random: float
    random_std: float | None
    better: str


def summarise(values: Mapping[str, NDArray[np.float64]]) -> dict[str, Metric]:
    """Metrics from values of the subset, which stands first, and of the uniform subsets."""
    metrics = {}
    for name, found in values.items():
        uniform = found[1:].tolist()
        # statistics is exact: equal values have themselves as mean and no deviation
        spread = statistics.stdev(uniform) if len(uniform) > 1 else None
        metrics[name] = Metric(float(found[0]), statistics.mean(uniform), spread, BETTER[name])
    return metrics

"""How well weighted rows tell the k-means cost of any centers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.nearest import Centers, nearest, squared_distances
from coresift.clustering.points import Points, sample_rows
from coresift.core import randomness
from coresift.core.exact import Quantum
from coresift.evaluation.base import Resources, RowSet, Search, Values
from coresift.evaluation.grouping import Grouping

PERTURBATIONS = (0.25, 0.5, 1.0, 2.0)
RANDOM_CENTERS = 4
# Centers, what they are projected to, and copies made on the way.
_ELEMENT_BYTES = 20


def center_sets(points: Points, grouping: Grouping, seed: int) -> Iterator[NDArray[np.float32]]:
    """Centers to compare costs at, each of shape (k, dim).

    The centroids; copies of them moved by Gaussian noise, whose root mean square length is
    0.25, 0.5, 1 and 2 times that of the distances within the cluster; and four sets of k rows
    drawn uniformly.
    """
    yield grouping.centroids
    k, dim = grouping.centroids.shape
    for index, scale in enumerate(PERTURBATIONS):
        noise = randomness.generator(seed, "evaluate/noise", index).standard_normal((k, dim))
        noise *= (scale / np.sqrt(dim)) * grouping.radius[:, None]
        yield (grouping.centroids + noise).astype(np.float32)
    for index in range(RANDOM_CENTERS):
        rows = sample_rows(points, k, seed, f"evaluate/centers/{index}")
        yield points.take(rows)


@dataclass(frozen=True)
class _Judge:
    """Centers, and the units in which sums of squared distances to them are taken."""

    centers: Centers
    full: Quantum
    sets: tuple[Quantum, ...]

    @classmethod
    def of(cls, centers: Centers, points: Points, sets: Sequence[RowSet]) -> _Judge:
        reach = float(np.sqrt(np.square(centers.points, dtype=np.float64).sum(axis=1).max()))
        bound = (points.bound + reach) ** 2
        return cls(
            centers,
            Quantum.covering(bound, points.count),
            tuple(
                Quantum.covering(bound * float(rows.weight.max()), len(rows.rows)) for rows in sets
            ),
        )

    def relative_errors(self, units: NDArray[np.float64]) -> NDArray[np.float64]:
        """Relative error of each set's cost, from sums in units: of all rows, then by set."""
        full = self.full.value(units[0])
        found = np.array(
            [quantum.value(unit) for quantum, unit in zip(self.sets, units[1:], strict=True)]
        )
        difference = np.abs(found - full)
        if full == 0.0:
            return np.where(difference == 0.0, 0.0, np.inf)
        return np.asarray(difference / full, np.float64)


def kmeans_cost_error(
    points: Points, sets: Sequence[RowSet], grouping: Grouping, resources: Resources
) -> Values:
    """Relative error of the weighted k-means cost: mean and largest over the center sets.

    Parameters
    ----------
    points : Points
        All rows.
    sets : sequence of RowSet
        What to judge.
    grouping : Grouping
        Where the centers come from, see :func:`center_sets`.
    resources : Resources
        The run's resources.
    """
    search = Search(points)
    together = max(
        1, resources.budget.left() // 4 // (_ELEMENT_BYTES * max(1, grouping.centroids.size))
    )
    errors: list[NDArray[np.float64]] = []
    group: list[_Judge] = []
    for centers in center_sets(points, grouping, resources.seed):
        group.append(_Judge.of(search.prepare(centers), points, sets))
        if len(group) >= together:
            errors += _errors(points, sets, group, resources)
            group = []
    if group:
        errors += _errors(points, sets, group, resources)
    by_set = np.stack(errors)
    return {
        "kmeans_cost_error_mean": by_set.mean(axis=0),
        "kmeans_cost_error_max": by_set.max(axis=0),
    }


def _errors(
    points: Points, sets: Sequence[RowSet], group: Sequence[_Judge], resources: Resources
) -> list[NDArray[np.float64]]:
    """One pass: the errors at each of some center sets."""

    def task(run: tuple[int, int]) -> tuple[int, NDArray[np.float64]]:
        rows, block = points.read(*run)
        units = np.zeros((len(group), 1 + len(sets)))
        places = [rows_of.within(rows) for rows_of in sets]
        for of_centers, judge in zip(units, group, strict=True):
            labels = nearest(block, judge.centers)
            squared = squared_distances(block, judge.centers.points, labels)
            of_centers[0] = judge.full.sum(squared)
            for index, (place, weight) in enumerate(places):
                of_centers[1 + index] = judge.sets[index].sum(squared[place] * weight)
        return run[1] - run[0], units

    total = np.zeros((len(group), 1 + len(sets)))
    with resources.progress.stage("cost", points.rows) as stage:
        for rows, units in resources.engine.map(task, points.runs()):
            total += units
            stage.advance(rows)
    return [judge.relative_errors(units) for judge, units in zip(group, total, strict=True)]

"""How well weighted rows tell the k-means cost of any centers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.distances import squared_distances
from coresift.clustering.nearest import nearest
from coresift.clustering.points import Points, sample_rows
from coresift.core import randomness
from coresift.evaluation.base import Resources, RowSet, Search, Values, grid
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
    sought = center_sets(points, grouping, resources.seed)
    errors = [
        np.abs(error(cost)) for cost in costs(points, sets, sought, Search(points), resources)
    ]
    by_set = np.stack(errors)
    return {
        "kmeans_cost_error_mean": by_set.mean(axis=0),
        "kmeans_cost_error_max": by_set.max(axis=0),
    }


def error(cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the sets' costs are above that of all rows, which stands first, in shares of it."""
    # where all rows lie on centers, those of a set do
    above: NDArray[np.float64] = (cost[1:] - cost[0]) / (cost[0] or 1.0)
    return above


def costs(
    points: Points,
    sets: Sequence[RowSet],
    sought: Iterable[NDArray[np.float32]],
    search: Search,
    resources: Resources,
    power: int = 2,
) -> Iterator[NDArray[np.float64]]:
    """Costs at some centers: of all rows, and as each set tells them.

    Parameters
    ----------
    points : Points
        All rows.
    sets : sequence of RowSet
        Weighted rows of them.
    sought : iterable of ndarray of float32, shape (k, dim)
        Centers. As many are looked at in a pass as fit into the budget.
    search : Search
        Prepares them.
    resources : Resources
        The run's resources.
    power : int
        What distances are raised to: 2 for k-means, 1 for k-median.

    Yields
    ------
    ndarray of float64, shape (1 + sets,)
    """
    group: list[Centers] = []
    for centers in sought:
        group.append(search.prepare(centers))
        room = resources.budget.left() // 4 // (_ELEMENT_BYTES * max(1, centers.size))
        if len(group) >= room:
            yield from _pass(points, sets, group, resources, power)
            group = []
    if group:
        yield from _pass(points, sets, group, resources, power)


def _pass(
    points: Points,
    sets: Sequence[RowSet],
    group: Sequence[Centers],
    resources: Resources,
    power: int,
) -> NDArray[np.float64]:
    """One pass: the costs at each of some center sets."""

    def task(run: tuple[int, int]) -> tuple[int, NDArray[np.float64]]:
        rows, block = points.read(*run)
        found = np.zeros((len(group), 1 + len(sets)))
        places = [rows_of.within(rows) for rows_of in sets]
        for cost, centers in zip(found, group, strict=True):
            term = squared_distances(block, centers.points, nearest(block, centers))
            if power == 1:
                np.sqrt(term, out=term)
            cost[0] = term.sum()
            for index, (place, weight) in enumerate(places):
                cost[1 + index] = (term[place] * weight).sum()
        return run[1] - run[0], found

    total = np.zeros((len(group), 1 + len(sets)))
    with resources.progress.stage("cost", points.rows) as stage:
        for rows, found in resources.engine.map(task, grid(points)):
            total += found
            stage.advance(rows)
    return total

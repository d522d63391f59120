"""How far rows are from the nearest row of a set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.distances import squared_distances
from coresift.clustering.nearest import closer, nearest
from coresift.clustering.points import Points
from coresift.evaluation.base import Resources, RowSet, Search, Values, grid

_LARGEST_SLAB = 8192
_LEAST_SLAB = 256
# A slab's rows, what they are projected to, and copies made on the way.
_ELEMENT_BYTES = 20

Pieces = list[tuple[int, NDArray[np.int64]]]


def coverage(
    points: Points, targets: Points, sets: Sequence[RowSet], resources: Resources
) -> Values:
    """Mean and largest Euclidean distance to the nearest row of each set.

    A set is searched in slabs of rows that fit the budget; the least distance over slabs is
    that over all, so that slabs leave no trace.

    Parameters
    ----------
    points : Points
        All rows, which the sets are of.
    targets : Points
        The rows that distances are taken from: all of them, or a sample.
    sets : sequence of RowSet
        What to judge.
    resources : Resources
        The run's resources.
    """
    search = Search(targets)
    fits = resources.budget.left() // 8 // (_ELEMENT_BYTES * points.dim)
    slab = max(_LEAST_SLAB, min(_LARGEST_SLAB, fits))
    total = np.zeros(len(sets))
    largest = np.zeros(len(sets))

    def finish(index: int, squared: NDArray[np.float64]) -> None:
        distance = np.sqrt(squared)
        total[index] += distance.sum()
        largest[index] = max(largest[index], float(distance.max(initial=0.0)))

    passes = list(_passes(sets, slab))
    with resources.progress.stage("coverage", targets.rows * len(passes)) as stage:
        running: NDArray[np.float64] | None = None
        for pieces, first, last in passes:
            centers = [search.prepare(points.take(rows)) for _, rows in pieces]
            if first and not last:
                running = np.full(targets.rows, np.inf)
            for run, found in _pass(targets, centers, running, resources):
                for (index, _), squared in zip(pieces, found, strict=True):
                    if last:
                        finish(index, squared)
                stage.advance(run[1] - run[0])
            if last:
                running = None
    return {
        "coverage_mean": total / targets.count,
        "coverage_max": largest,
    }


def _passes(sets: Sequence[RowSet], slab: int) -> Iterator[tuple[Pieces, bool, bool]]:
    """Pieces to search in each pass: several small sets, or a part of a large one.

    With them, whether they are the first and the last pieces of their sets.
    """
    together: Pieces = []
    held = 0
    for index, rows_of in enumerate(sets):
        rows = rows_of.rows
        if len(rows) > slab:
            for start in range(0, len(rows), slab):
                stop = start + slab
                yield [(index, rows[start:stop])], start == 0, stop >= len(rows)
            continue
        if held + len(rows) > slab:
            yield together, True, True
            together, held = [], 0
        together.append((index, rows))
        held += len(rows)
    if together:
        yield together, True, True


def _pass(
    targets: Points,
    centers: Sequence[Centers],
    running: NDArray[np.float64] | None,
    resources: Resources,
) -> Iterator[tuple[tuple[int, int], list[NDArray[np.float64]]]]:
    """Squared distances of each run to each of some centers, or the least so far."""

    def task(run: tuple[int, int]) -> tuple[tuple[int, int], list[NDArray[np.float64]]]:
        rows, block = targets.read(*run)
        if running is None:
            return run, [
                squared_distances(block, one.points, nearest(block, one)) for one in centers
            ]
        least = running[run[0] : run[0] + len(rows)].copy()
        if len(rows) and np.isinf(least[0]):
            least = squared_distances(block, centers[0].points, nearest(block, centers[0]))
        else:
            place, _, squared = closer(block, centers[0], least)
            least[place] = squared
        return run, [least]

    for run, found in resources.engine.map(task, grid(targets)):
        if running is not None:
            running[run[0] : run[0] + len(found[0])] = found[0]
        yield run, found

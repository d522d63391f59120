"""The sliced Wasserstein distance between weighted rows and all rows.

Rabin et al., Wasserstein Barycenter and Its Application to Texture Mixing, 2011; Bonneel et al.,
Sliced and Radon Wasserstein Barycenters of Measures, 2015.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.points import Points, Sample, sample_rows
from coresift.core import randomness
from coresift.evaluation.base import Resources, RowSet, Values, grid

MOST_ROWS = 100_000
DIRECTIONS = 64
_PURPOSE = "evaluate/sliced"
_TILE = 1_024


def sliced_wasserstein(points: Points, sets: Sequence[RowSet], resources: Resources) -> Values:
    """Mean over 64 random directions of how far mass moves in them, from each set to all rows.

    Weights are scaled to sum to 1. Beyond 100,000 rows, so many are drawn uniformly, of all rows
    and of a set.

    Parameters
    ----------
    points : Points
        All rows.
    sets : sequence of RowSet
        What to judge.
    resources : Resources
        The run's resources.
    """
    everything = sample_rows(points, MOST_ROWS, resources.seed, _PURPOSE)
    drawn = [rows_of.at_most(MOST_ROWS, resources.seed, _PURPOSE) for rows_of in sets]
    rows = np.unique(np.concatenate([everything, *(rows_of.rows for rows_of in drawn)]))
    source = points
    if len(rows) < points.count:
        source = Sample(points, rows, resources.budget, resources.scratch)
    lines = projected(source, directions(points.dim, resources.seed), resources)
    places = [np.searchsorted(rows, one) for one in (everything, *(some.rows for some in drawn))]
    shares = [np.full(len(everything), 1.0 / len(everything))]
    shares += [rows_of.shares for rows_of in drawn]

    def task(line: NDArray[np.float32]) -> NDArray[np.float64]:
        """Integral of the difference of the distribution functions."""
        order = np.argsort(line, kind="stable")
        steps = np.diff(line[order].astype(np.float64))
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        moved = np.zeros(len(sets))
        for index in range(len(sets)):
            mass = np.zeros(len(order))
            mass[rank[places[0]]] = shares[0]
            mass[rank[places[1 + index]]] -= shares[1 + index]
            moved[index] = np.abs(np.cumsum(mass)[:-1]) @ steps
        return moved

    total = np.zeros(len(sets))
    with resources.progress.stage("sliced", len(lines)) as stage:
        for moved in resources.engine.driver.map(task, lines):
            total += moved
            stage.advance(1)
    return {"sliced_wasserstein": total / len(lines)}


def directions(dim: int, seed: int) -> NDArray[np.float64]:
    """Directions, uniform on the sphere, shape (dim, 64)."""
    found = randomness.generator(seed, _PURPOSE).standard_normal((dim, DIRECTIONS))
    found /= np.sqrt(np.square(found).sum(axis=0))
    return found


def projected(
    points: Points, along: NDArray[np.float64], resources: Resources
) -> NDArray[np.float32]:
    """Where rows lie along directions, shape (directions, count)."""

    def task(run: tuple[int, int]) -> NDArray[np.float32]:
        block = points.read(*run)[1]
        found = np.empty((along.shape[1], len(block)), np.float32)
        for start in range(0, len(block), _TILE):
            part = slice(start, start + _TILE)
            found[:, part] = (block[part].astype(np.float64) @ along).T
        return found

    lines = np.empty((along.shape[1], points.count), np.float32)
    place = 0
    with resources.progress.stage("project", points.rows) as stage:
        for run, found in zip(grid(points), resources.engine.map(task, grid(points)), strict=True):
            lines[:, place : place + found.shape[1]] = found
            place += found.shape[1]
            stage.advance(run[1] - run[0])
    return lines

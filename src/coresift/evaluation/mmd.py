"""The maximum mean discrepancy between weighted rows and all rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.bandwidth import median_distance
from coresift.clustering.points import Points, Sample
from coresift.core import randomness
from coresift.evaluation.base import Resources, RowSet, Values, grid

EXACT_ROWS = 10_000
FREQUENCIES = 1_024
_TILE = 1_024


@dataclass(frozen=True)
class Mmd:
    """What was found, and how.

    Attributes
    ----------
    values : Values
        ``mmd`` of each row set; not squared.
    method : str
        ``exact``, or ``random_fourier_features``.
    bandwidth : float
        Of the Gaussian kernel exp(-|x - y|^2 / (2 bandwidth^2)).
    """

    values: Values
    method: str
    bandwidth: float


def mmd(points: Points, sets: Sequence[RowSet], resources: Resources) -> Mmd:
    """Distance of the sets from all rows under a Gaussian kernel.

    Weights are scaled to sum to 1. The bandwidth is the median distance between 1,000 rows
    drawn uniformly. Up to 10,000 rows the sum over all pairs is taken (the V-statistic);
    beyond, the kernel is approximated by 1,024 random frequencies, that is 2,048 features
    (Rahimi and Recht 2007).

    Parameters
    ----------
    points : Points
        All rows.
    sets : sequence of RowSet
        What to judge.
    resources : Resources
        The run's resources.
    """
    bandwidth = median_distance(points, resources.seed)
    if points.count <= EXACT_ROWS:
        values, method = _exact(points, sets, bandwidth, resources), "exact"
    else:
        values, method = _features(points, sets, bandwidth, resources), "random_fourier_features"
    return Mmd({"mmd": values}, method, bandwidth)


def _exact(
    points: Points, sets: Sequence[RowSet], bandwidth: float, resources: Resources
) -> NDArray[np.float64]:
    """Norm of each set's measure less that of all rows, by tiles of the kernel's matrix.

    Taking the difference of the measures first leaves nothing to cancel later.
    """
    ids = points.kept_rows()
    held = Sample(points, ids, resources.budget, resources.scratch.driver)
    signed = np.full((len(sets), len(ids)), 1.0 / len(ids))
    for index, rows_of in enumerate(sets):
        signed[index, np.searchsorted(ids, rows_of.rows)] -= rows_of.shares
    starts = list(range(0, len(ids), _TILE))
    tiles = [(a, b) for a in starts for b in starts if a <= b]

    def rows(start: int) -> NDArray[np.float64]:
        return held.read(start, min(start + _TILE, len(ids)))[1].astype(np.float64)

    def task(tile: tuple[int, int]) -> tuple[int, NDArray[np.float64]]:
        """Rows done with and the products of a tile."""
        left, right = rows(tile[0]), rows(tile[1])
        squared = np.square(left).sum(axis=1)[:, None] + np.square(right).sum(axis=1)
        squared -= 2.0 * (left @ right.T)
        if tile[0] == tile[1]:
            np.fill_diagonal(squared, 0.0)
        np.maximum(squared, 0.0, out=squared)
        kernel = np.exp(squared * (-0.5 / bandwidth**2), out=squared)
        mine = signed[:, tile[0] : tile[0] + len(left)]
        # one by one, so that what a set has does not depend on how many others there are
        measure = np.stack([line @ kernel for line in mine])
        product = (measure * signed[:, tile[1] : tile[1] + len(right)]).sum(axis=1)
        done = len(left) if tile[1] == starts[-1] else 0
        return done, product if tile[0] == tile[1] else 2.0 * product

    total = np.zeros(len(sets))
    with resources.progress.stage("mmd", len(ids)) as stage:
        for done, product in resources.engine.driver.map(task, tiles):
            total += product
            stage.advance(done)
    return np.sqrt(np.maximum(total, 0.0))


def _features(
    points: Points, sets: Sequence[RowSet], bandwidth: float, resources: Resources
) -> NDArray[np.float64]:
    """Distance of the mean features."""
    generator = randomness.generator(resources.seed, "evaluate/mmd")
    frequencies = generator.standard_normal((points.dim, FREQUENCIES)) / bandwidth

    def task(run: tuple[int, int]) -> tuple[int, NDArray[np.float64]]:
        rows, block = points.read(*run)
        sums = np.zeros((1 + len(sets), 2, FREQUENCIES))
        for start in range(0, len(rows), _TILE):
            part = slice(start, start + _TILE)
            angles = block[part].astype(np.float64) @ frequencies
            places = [rows_of.within(rows[part]) for rows_of in sets]
            for wave, features in enumerate((np.cos(angles), np.sin(angles))):
                sums[0, wave] += features.sum(axis=0)
                for index, (place, weight) in enumerate(places):
                    sums[1 + index, wave] += weight @ features[place]
        return run[1] - run[0], sums

    total = np.zeros((1 + len(sets), 2, FREQUENCIES))
    with resources.progress.stage("mmd", points.rows) as stage:
        for done, sums in resources.engine.map(task, grid(points)):
            total += sums
            stage.advance(done)
    masses = np.array([rows_of.weight.sum() for rows_of in sets])
    difference = total[1:] / masses[:, None, None] - total[0] / points.count
    return np.asarray(np.sqrt(np.square(difference).sum(axis=(1, 2)) / FREQUENCIES), np.float64)

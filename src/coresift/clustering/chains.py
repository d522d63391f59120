"""AFK-MC2: each center is the end of a Markov chain of proposals.

Bachem, Lucic, Hassani and Krause, "Fast and Provably Good Seedings for k-Means", NeurIPS 2016,
algorithm 1. A proposal is drawn with probability q = D^2(., c) / (2 sum D^2(., c)) + 1 / (2 n)
for the first center c; a chain of them goes from x to y with probability
min(1, D^2(y) q(x) / (D^2(x) q(y))) and ends near the distribution D^2 of k-means++, whatever
the data. The proposals of several centers are compared with the earlier centers together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.distances import squared_distances
from coresift.clustering.points import Points, sample_rows
from coresift.clustering.projection import Projection
from coresift.clustering.proposals import Proposals, distances, vectors_of
from coresift.core import randomness
from coresift.core.memory import Budget
from coresift.core.progress import Progress
from coresift.engine.base import Engine
from coresift.io.store import Scratch

# the longest chain of the paper's experiments
_LENGTH = 200
_TOGETHER = 16


def seed_by_chains(
    points: Points,
    k: int,
    seed: int,
    projection: Projection,
    engine: Engine,
    scratch: Scratch,
    budget: Budget,
    progress: Progress,
) -> NDArray[np.float32]:
    """Draw ``k`` centers among all rows by chains of 200 proposals.

    Parameters
    ----------
    points : Points
        All rows to train on.
    k : int
        Centers.
    seed : int
        The run's seed.
    projection : Projection
        Directions to compare rows in.
    engine, scratch, budget, progress
        The run's resources.

    Returns
    -------
    ndarray of float32, shape (k, dim)
        In the order drawn.
    """
    generator = randomness.generator(seed, "afk-mc2")
    first = points.take(sample_rows(points, 1, seed, "seeding"))
    proposals = Proposals.around(points, first[0], None, engine, scratch, budget, progress)
    centers = np.empty((k, points.dim), np.float32)
    centers[0] = first[0]
    count = 1
    with progress.stage("seed", k) as stage:
        stage.advance(1)
        while count < k:
            chains = min(_TOGETHER, k - count)
            rows, mass = proposals.draw(generator.random(chains * _LENGTH))
            block = vectors_of(points, rows)
            distance = distances(block, centers[:count], projection, engine)
            at = generator.random((chains, _LENGTH))
            for chain in range(chains):
                start, stop = chain * _LENGTH, (chain + 1) * _LENGTH
                ratio = distance[start:stop] / np.maximum(mass[start:stop], np.finfo(float).tiny)
                end = start + _end(ratio.tolist(), at[chain].tolist())
                centers[count] = block[end]
                later = block[stop:]
                added = squared_distances(later, block, np.full(len(later), end, np.int32))
                distance[stop:] = np.minimum(distance[stop:], added)
                count += 1
            stage.advance(chains)
    return centers


def _end(ratio: list[float], at: list[float]) -> int:
    """Where a chain ends, given D^2 / q of each proposal and a uniform number."""
    here = 0
    for proposal in range(1, len(ratio)):
        if at[proposal] * ratio[here] < ratio[proposal] or ratio[here] == 0.0:
            here = proposal
    return here

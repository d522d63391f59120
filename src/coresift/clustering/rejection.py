"""RS-k-means++: seeding from all rows by rejection sampling, with few looks at a row.

Shah, Agrawal and Jaiswal, "A New Rejection Sampling Approach to k-means++ With Improved
Trade-Offs", 2025. With rows shifted to mean zero, |x - c|^2 <= 2 (|x|^2 + |c|^2) for the first
center c. So a row proposed with probability proportional to |x|^2 + |c|^2, which is known once
and for all, and accepted with probability D^2 / (2 (|x|^2 + |c|^2)), is drawn by D^2, as
k-means++ draws: only proposals are ever compared with the centers. They are taken in batches;
what a batch accepts is thinned as in :mod:`coresift.clustering.plusplus`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.distances import squared_distances
from coresift.clustering.mean import mean_of
from coresift.clustering.plusplus import thin
from coresift.clustering.points import Points, sample_rows
from coresift.clustering.projection import Projection
from coresift.clustering.proposals import Proposals, distances, vectors_of
from coresift.core import randomness
from coresift.core.memory import Budget
from coresift.core.progress import Progress
from coresift.engine.base import Engine
from coresift.io.store import Scratch

_LEAST_BATCH = 512
_BATCH_BYTES = 32 << 20
# proposals for one center before it is drawn uniformly: the paper's second form
_PATIENCE = 8192


def seed_by_rejection(
    points: Points,
    k: int,
    seed: int,
    projection: Projection,
    engine: Engine,
    scratch: Scratch,
    budget: Budget,
    progress: Progress,
) -> tuple[NDArray[np.float32], int]:
    """Draw ``k`` centers among all rows by D^2.

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
    centers : ndarray of float32, shape (k, dim)
        In the order drawn.
    uniform : int
        How many were drawn uniformly, no proposal having been accepted.
    """
    generator = randomness.generator(seed, "rs-k-means++")
    first = points.take(sample_rows(points, 1, seed, "seeding"))
    mean = mean_of(points, engine, progress)
    floor = squared_distances(first, mean[None], np.zeros(1, np.int32))[0]
    proposals = Proposals.around(points, mean, float(floor), engine, scratch, budget, progress)
    centers = np.empty((k, points.dim), np.float32)
    centers[0] = first[0]
    count, waited, uniform = 1, 0, 0
    largest = max(_LEAST_BATCH, _BATCH_BYTES // (4 * points.dim))
    with progress.stage("seed", k) as stage:
        stage.advance(1)
        while count < k:
            size = min(largest, max(_LEAST_BATCH, 4 * count), max(1, _PATIENCE - waited))
            rows, mass = proposals.draw(generator.random(size))
            block = vectors_of(points, rows)
            distance = distances(block, centers[:count], projection, engine)
            maybe = np.flatnonzero(generator.random(size) * 2.0 * mass < distance)
            kept = thin(block, distance, maybe, generator.random(len(maybe)), k - count)
            waited = 0 if len(kept) else waited + size
            if waited >= _PATIENCE:
                block = points.take(proposals.kept[generator.integers(points.count, size=1)])
                kept = np.zeros(1, np.int64)
                uniform, waited = uniform + 1, 0
            centers[count : count + len(kept)] = block[kept]
            count += len(kept)
            stage.advance(len(kept))
    return centers, uniform

"""Where k-means starts from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.greedy import greedy_plusplus
from coresift.clustering.plusplus import plusplus
from coresift.clustering.points import Points, sample_rows
from coresift.clustering.projection import Projection
from coresift.core.memory import Budget
from coresift.core.progress import Progress
from coresift.engine.base import Engine

SEEDINGS = ("k-means++", "greedy-k-means++", "rs-k-means++", "afk-mc2", "k-means||", "random")
# from here on a sample takes longer than rejection from all rows, and is worse
LARGE_K = 5_000
_SAMPLE_PER_CENTER = 5
_LEAST_SAMPLE = 5_000
# what greedy k-means++ holds for each row: candidates ahead, the rows they are near to
_PAIR_BYTES = 1024


def default_seeding_rows(k: int) -> int:
    """Rows that k-means++ looks at by default: 5 for each center, at least 5,000."""
    return max(_LEAST_SAMPLE, _SAMPLE_PER_CENTER * k)


def seed_by_sample(
    points: Points,
    k: int,
    rows: int,
    seed: int,
    projection: Projection,
    engine: Engine,
    budget: Budget,
    progress: Progress,
    *,
    greedy: bool = False,
) -> NDArray[np.float32]:
    """k-means++, or the greedy one, on a uniform sample of ``rows`` rows.

    Returns
    -------
    ndarray of float32, shape (k, dim)
    """
    chosen = sample_rows(points, max(k, rows), seed, "seeding")
    budget.require(
        len(chosen) * ((points.dim + projection.width) * 4 + (_PAIR_BYTES if greedy else 0)),
        f"k-means++ on {len(chosen):,} rows",
        hint="look at fewer rows with --seeding-rows, or use --seeding 'k-means||'",
    )
    sample = points.take(chosen)
    if greedy:
        return sample[greedy_plusplus(sample, k, seed, projection, engine, progress)]
    return sample[plusplus(sample, np.ones(len(sample)), k, seed, projection, engine, progress)]


def seed_at_random(points: Points, k: int, seed: int) -> NDArray[np.float32]:
    """``k`` rows drawn uniformly without replacement, shape (k, dim)."""
    return points.take(sample_rows(points, k, seed, "seeding"))

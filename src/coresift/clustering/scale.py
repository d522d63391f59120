"""The scale of some rows: the distance between two of them."""

from __future__ import annotations

import numpy as np

from coresift.clustering.points import Points, sample_rows

SCALE_ROWS = 1_000


def median_distance(points: Points, seed: int, purpose: str) -> float:
    """Median distance between two of 1,000 rows; of two that differ, where that is zero."""
    from scipy.spatial.distance import pdist

    sample = points.take(sample_rows(points, SCALE_ROWS, seed, purpose))
    distances = pdist(sample.astype(np.float64))
    found = float(np.median(distances)) if len(distances) else 0.0
    if found == 0.0 and distances.any():
        found = float(np.median(distances[distances > 0.0]))
    return found or 1.0

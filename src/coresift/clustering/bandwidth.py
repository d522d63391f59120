"""How far apart rows are, for kernels that need a scale."""

from __future__ import annotations

import numpy as np

from coresift.clustering.points import Points, sample_rows

BANDWIDTH_ROWS = 1_000


def median_distance(points: Points, seed: int) -> float:
    """Median distance between two of 1,000 rows; of two that differ, where that is zero.

    The rows are the same whoever asks: a selection made by this scale is judged by it.
    """
    from scipy.spatial.distance import pdist

    sample = points.take(sample_rows(points, BANDWIDTH_ROWS, seed, "evaluate/bandwidth"))
    distances = pdist(sample.astype(np.float64))
    found = float(np.median(distances)) if len(distances) else 0.0
    if found == 0.0 and distances.any():
        found = float(np.median(distances[distances > 0.0]))
    return found or 1.0

"""Some points of each cluster, the closest to its centroid or random ones.

Up to half of all points are taken, so they are not sorted: a key for each point lies in a file
if need be, and the largest key to take from each cluster is found digit by digit.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.assign import Assigning
from coresift.clustering.kmeans import FitOptions, KMeans
from coresift.clustering.points import Points
from coresift.core import randomness
from coresift.core.smallest import ranks
from coresift.io.store import RowStore

RESAMPLINGS = ("closest", "random")
_CHUNK = 1 << 18
_KEY_BITS = 32
_COUNTS_BITS = 22


def resampled(
    points: Points,
    model: KMeans,
    size: int,
    resampling: str,
    purpose: str,
    run: FitOptions,
) -> NDArray[np.int64]:
    """Rows of up to ``size`` points of each cluster, ascending.

    Parameters
    ----------
    points : Points
        All points.
    model : KMeans
        Centroids, and labels if there are some.
    size : int
        Points of each cluster.
    resampling : str
        ``closest`` or ``random``; ties go to the first row.
    purpose : str
        What random keys are for.
    run : FitOptions
        The run's resources.
    """
    totals = Assigning(
        points, model.centroids, model.labels, run["engine"], run["progress"], run["scratch"]
    )
    held = 8 * points.count < run["budget"].left() // 4
    store = RowStore(points.count, 2, np.dtype(np.uint32), None if held else run["scratch"])
    place = 0
    for part in totals:
        if resampling == "random":
            bits = randomness.bits(run["seed"], purpose, part.row)
            keys = (bits >> np.uint64(_KEY_BITS)).astype(np.uint32)
        else:
            # of floats that are not negative the bits have the order of the values
            keys = part.distance.view(np.uint32)
        store.write(place, np.stack([part.cluster.astype(np.uint32), keys], axis=1))
        place += len(keys)
    return points.kept_rows()[_taken(store, len(model.centroids), size)]


def _taken(store: RowStore, clusters: int, size: int) -> NDArray[np.bool_]:
    """Which rows of a store of clusters and keys have one of the smallest keys of their cluster."""
    bits = max(1, min(_KEY_BITS // 4, _COUNTS_BITS - (clusters - 1).bit_length()))
    bar = np.zeros(clusters, np.int64)
    left = np.full(clusters, size)
    top = _KEY_BITS
    while top > 0:
        low = max(0, top - bits)
        counts = np.zeros((clusters, 1 << (top - low)), np.int64)
        for _, cluster, key in _chunks(store):
            mine = key >> top == bar[cluster]
            digit = (key[mine] >> low) & (counts.shape[1] - 1)
            places = cluster[mine] * counts.shape[1] + digit
            counts += np.bincount(places, minlength=counts.size).reshape(counts.shape)
        before = np.cumsum(counts, axis=1)
        # the digit within which the cluster's number is reached; the last where it never is
        digit = np.minimum((before < left[:, None]).sum(axis=1), counts.shape[1] - 1)
        reached = np.take_along_axis(before - counts, digit[:, None], axis=1)[:, 0]
        left -= reached
        bar = (bar << (top - low)) | digit
        top = low
    taken = np.zeros(store.rows, np.bool_)
    for start, cluster, key in _chunks(store):
        taken[start : start + len(key)] = key < bar[cluster]
        ties = np.flatnonzero(key == bar[cluster])
        ties = ties[np.argsort(cluster[ties], kind="stable")]
        owner = cluster[ties]
        within = ties[ranks(owner) < left[owner]]
        taken[start + within] = True
        left -= np.bincount(cluster[within], minlength=clusters)
    return taken


def _chunks(store: RowStore) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Where some rows start, their clusters and their keys."""
    for start in range(0, store.rows, _CHUNK):
        block = store.read(start, min(start + _CHUNK, store.rows)).astype(np.int64)
        yield start, block[:, 0], block[:, 1]

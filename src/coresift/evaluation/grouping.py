"""The clustering that row sets are judged by: saved, or trained for the purpose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.assign import Assigning
from coresift.clustering.kmeans import KMeans, KMeansParams, fit
from coresift.clustering.points import Points
from coresift.clustering.saved import Assignments, SavedClustering
from coresift.evaluation.base import Resources, RowSet, Values

_CLUSTERS = 100
_ROWS_PER_CLUSTER = 10
_ITERATIONS = 10
_TRAIN_ROWS = 200_000


@dataclass(frozen=True)
class Grouping:
    """A clustering of all rows, and which of its clusters each row set hits.

    Attributes
    ----------
    centroids : ndarray of float32, shape (k, dim)
        Centroids.
    size : ndarray of int64, shape (k,)
        Rows of each cluster.
    cost : ndarray of float64, shape (k,)
        Sum of squared distances of each cluster.
    hit : ndarray of bool, shape (sets, k)
        Whether a row of the set lies in the cluster.
    notes : tuple of str
        What was sampled.
    """

    centroids: NDArray[np.float32]
    size: NDArray[np.int64]
    cost: NDArray[np.float64]
    hit: NDArray[np.bool_]
    notes: tuple[str, ...] = ()

    @classmethod
    def of_saved(cls, clustering: SavedClustering, sets: Sequence[RowSet]) -> Grouping:
        """Read a saved clustering's assignments."""
        hit = _hits(clustering.assignments(), sets, clustering.k)
        return cls(clustering.centroids, clustering.size, clustering.cost, hit)

    @classmethod
    def trained(
        cls, points: Points, sets: Sequence[RowSet], resources: Resources, *, spherical: bool
    ) -> Grouping:
        """Train a reference k-means: 100 clusters, or one for 10 rows if that is fewer."""
        model, assigning = train(points, _CLUSTERS, resources, spherical=spherical)
        hit = _hits(assigning, sets, len(model.centroids))
        notes = tuple(f"reference k-means: {note}" for note in model.notes)
        return cls(model.centroids, assigning.size, assigning.cost, hit, notes)

    @property
    def radius(self) -> NDArray[np.float64]:
        """Root mean square distance of each cluster's rows from its centroid, shape (k,)."""
        return np.sqrt(self.cost / np.maximum(self.size, 1))

    def clusters_hit(self) -> Values:
        """Share of the clusters with a row that hold one of the set."""
        occupied = self.size > 0
        return {"clusters_hit": self.hit[:, occupied].sum(axis=1) / np.count_nonzero(occupied)}


def train(
    points: Points, clusters: int, resources: Resources, *, spherical: bool
) -> tuple[KMeans, Assigning]:
    """Train a k-means to look at rows by: so many clusters, or one for 10 rows if that is fewer."""
    params = KMeansParams(
        min(clusters, max(1, points.count // _ROWS_PER_CLUSTER)),
        iterations=_ITERATIONS,
        train_rows=_TRAIN_ROWS if points.count > _TRAIN_ROWS else None,
    )
    model = fit(
        points,
        params,
        spherical=spherical,
        device="cpu",
        seed=resources.seed,
        engine=resources.engine,
        budget=resources.budget,
        scratch=resources.scratch,
        progress=resources.progress,
    )
    return model, Assigning(
        points, model.centroids, model.labels, resources.engine, resources.progress
    )


def _hits(parts: Iterable[Assignments], sets: Sequence[RowSet], k: int) -> NDArray[np.bool_]:
    hit = np.zeros((len(sets), k), np.bool_)
    for part in parts:
        for index, rows in enumerate(sets):
            hit[index, part.cluster[rows.within(part.row)[0]]] = True
    return hit

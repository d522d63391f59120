"""Each row's cluster and distance, and where a selection has more or fewer rows than its share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.points import Points
from coresift.clustering.saved import Assignments, SavedClustering
from coresift.evaluation.base import Resources, RowSet
from coresift.evaluation.grouping import train

_CLUSTERS = 50


@dataclass(frozen=True)
class Clusters:
    """A clustering, row by row.

    Attributes
    ----------
    label : ndarray of int32, shape (ids,)
        Cluster of each row of the dump by its id; -1 for one that is not kept.
    distance : ndarray of float32, shape (ids,)
        Euclidean distance to its centroid; NaN for one that is not kept.
    size : ndarray of int64, shape (k,)
        Rows of each cluster.
    chosen : ndarray of int64, shape (k,), or None
        Selected rows of each cluster; None without a selection.
    source : str
        Where the clustering comes from, for people.
    """

    label: NDArray[np.int32]
    distance: NDArray[np.float32]
    size: NDArray[np.int64]
    chosen: NDArray[np.int64] | None
    source: str

    @classmethod
    def of_saved(cls, found: SavedClustering, rows: int, chosen: RowSet | None) -> Clusters:
        """Read a clustering's assignments; ``rows`` are those of the dump."""
        return cls._gathered(found.assignments(), rows, found.k, chosen, str(found.path))

    @classmethod
    def trained(
        cls, points: Points, chosen: RowSet | None, resources: Resources, *, spherical: bool
    ) -> Clusters:
        """Train a k-means to look at: 50 clusters, or one for 10 rows if that is fewer."""
        model, parts = train(points, _CLUSTERS, resources, spherical=spherical)
        k = len(model.centroids)
        source = f"a k-means with k={k} made for this report"
        return cls._gathered(parts, points.rows, k, chosen, source)

    @classmethod
    def _gathered(
        cls, parts: Iterable[Assignments], rows: int, k: int, chosen: RowSet | None, source: str
    ) -> Clusters:
        label, distance = np.full(rows, -1, np.int32), np.full(rows, np.nan, np.float32)
        for part in parts:
            label[part.row], distance[part.row] = part.cluster, part.distance
        size = np.bincount(label[label >= 0], minlength=k).astype(np.int64)
        counts = None
        if chosen is not None:
            counts = np.bincount(label[chosen.rows], minlength=k).astype(np.int64)
        return cls(label, distance, size, counts, source)

    @property
    def expected(self) -> NDArray[np.float64]:
        """Rows of each cluster in a uniform subset of the selection's size, on average."""
        assert self.chosen is not None
        share = int(self.chosen.sum()) / max(1, int(self.size.sum()))
        return self.size.astype(np.float64) * share

    @property
    def surprise(self) -> NDArray[np.float64]:
        """How far each cluster's selected rows are from :attr:`expected`, in deviations.

        The deviation is that of the number of a cluster's rows in a uniform subset (that of a
        hypergeometric distribution), so that a cluster of few rows does not stand out by chance.
        """
        assert self.chosen is not None
        rows, taken = int(self.size.sum()), int(self.chosen.sum())
        share = self.size / max(1, rows)
        spread = np.sqrt(self.expected * (1.0 - share) * (rows - taken) / max(1, rows - 1))
        found = np.zeros(len(self.size))
        np.divide(self.chosen - self.expected, spread, out=found, where=spread > 0.0)
        return found

    def largest(self, count: int) -> list[int]:
        """Clusters of most rows, the largest first."""
        order = np.argsort(-self.size, kind="stable")[:count]
        return [int(cluster) for cluster in order if self.size[cluster]]

    def over(self, count: int) -> list[int]:
        """Clusters of which the selection has too many rows, the most surprising first."""
        surprise = self.surprise
        order = np.argsort(-surprise, kind="stable")[:count]
        return [int(cluster) for cluster in order if surprise[cluster] > 1.0]

    def under(self, count: int) -> list[int]:
        """Clusters of which the selection has too few rows, the most surprising first."""
        surprise = self.surprise
        order = np.argsort(surprise, kind="stable")[:count]
        return [int(cluster) for cluster in order if surprise[cluster] < -1.0]

    def by_distance(self, cluster: int) -> NDArray[np.int64]:
        """Rows of a cluster, the nearest to its centroid first."""
        rows = np.flatnonzero(self.label == cluster)
        return rows[np.argsort(self.distance[rows], kind="stable")]

"""Sums of rows by cluster, exact: the same in any order, from any split of the rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.core.exact import Quantum

_STEP = 64


@dataclass(frozen=True)
class ClusterSums:
    """Changes to the sums of some clusters.

    Attributes
    ----------
    clusters : ndarray of int64, shape (t,)
        Clusters, ascending.
    sums : ndarray of float64, shape (t, dim)
        Sums of rows, in units of the quantum.
    counts : ndarray of int64, shape (t,)
        Numbers of rows.
    """

    clusters: NDArray[np.int64]
    sums: NDArray[np.float64]
    counts: NDArray[np.int64]

    def merged(self, other: ClusterSums) -> ClusterSums:
        """These and other changes."""
        clusters = np.union1d(self.clusters, other.clusters)
        both = ClusterSums(
            clusters,
            np.zeros((len(clusters), self.sums.shape[1])),
            np.zeros(len(clusters), np.int64),
        )
        for part in (self, other):
            place = np.searchsorted(clusters, part.clusters)
            both.sums[place] += part.sums
            both.counts[place] += part.counts
        return both

    def add_to(self, sums: NDArray[np.float64], counts: NDArray[np.int64]) -> None:
        """Add to the sums and counts of all clusters."""
        sums[self.clusters] += self.sums
        counts[self.clusters] += self.counts


def moved_rows(
    block: NDArray[np.float32],
    before: NDArray[np.int32],
    after: NDArray[np.int32],
    quantum: Quantum,
) -> ClusterSums:
    """What rows that went from one cluster to another change; -1 is no cluster.

    Parameters
    ----------
    block : ndarray of float32, shape (m, dim)
        Rows.
    before, after : ndarray of int32, shape (m,)
        Labels.
    quantum : Quantum
        Unit of the sums.
    """
    changed = np.flatnonzero(before != after)
    arrived = changed[after[changed] >= 0]
    gone = changed[before[changed] >= 0]
    row = np.concatenate([arrived, gone])
    cluster = np.concatenate([after[arrived], before[gone]]).astype(np.int64)
    sign = np.concatenate([np.ones(len(arrived)), -np.ones(len(gone))])
    order = np.argsort(cluster, kind="stable")
    row, cluster, sign = row[order], cluster[order], sign[order]
    clusters, place, counts = np.unique(cluster, return_inverse=True, return_counts=True)
    sums = np.zeros((len(clusters), block.shape[1]))
    scale = 1.0 / quantum.unit
    for start in range(0, len(row), _STEP):
        part = slice(start, start + _STEP)
        units = np.multiply(block[row[part]], scale, dtype=np.float64)
        np.rint(units, out=units)
        first, last = int(place[part][0]), int(place[part][-1])
        # few rows by few clusters: a dense product is faster than a sparse one, and as exact
        hot = np.zeros((last + 1 - first, len(units)))
        hot[place[part] - first, np.arange(len(units))] = sign[part]
        sums[first : last + 1] += hot @ units
    counts = np.bincount(place, weights=sign, minlength=len(clusters)).astype(np.int64)
    return ClusterSums(clusters, sums, counts)

"""Bisecting k-means: the cluster of largest cost is split in two, until there are k.

Steinbach, Karypis and Kumar, "A Comparison of Document Clustering Techniques", KDD Workshop on
Text Mining 2000; the cluster to split is that of largest cost (Savaresi and Boley, 2001). A row
is compared with 2 centroids about log2(k) times, not with k. All rows are assigned to the
nearest of the final centroids, which can only lower the cost.
"""

from __future__ import annotations

import heapq
from dataclasses import replace
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.assign import Assigning
from coresift.clustering.kmeans import (
    FitOptions,
    KMeans,
    KMeansParams,
    fit,
    require_rows,
    training_rows,
)
from coresift.clustering.points import Points, Sample
from coresift.core.progress import Silent

# a cluster, as a heap has it: the costliest first, then the oldest
_Leaf = tuple[float, int]


def fit_bisecting(points: Points, params: KMeansParams, **run: Unpack[FitOptions]) -> KMeans:
    """Train by splitting; each split is k-means with two clusters.

    Parameters
    ----------
    points : Points
        All rows.
    params : KMeansParams
        What to do; iterations, tol and seeding are those of each split.
    **run
        See :func:`coresift.clustering.kmeans.fit`.

    Returns
    -------
    KMeans
        Its ``costs`` are those after each split.

    Raises
    ------
    ParameterError
        When there are fewer rows than clusters, or values too large to be squared.
    ResourceError
        When the budget does not hold what has to be in memory.
    """
    params.check()
    require_rows(points, params)
    quiet: FitOptions = {**run, "progress": Silent()}
    training, notes = training_rows(points, params, run)
    told = replace(params, train_rows=None)
    whole = fit(training, replace(told, k=1), **quiet)
    members: dict[int, NDArray[np.int64]] = {0: training.kept_rows()}
    centroids: dict[int, NDArray[np.float32]] = {0: whole.centroids[0]}
    totals = Assigning(training, whole.centroids, whole.labels, run["engine"], Silent())
    for _ in totals:
        pass
    total = totals.total_cost
    leaves: list[_Leaf] = [(-total, 0)]
    costs: list[float] = []
    with run["progress"].stage("split", params.k) as stage:
        stage.advance(1)
        while len(members) < params.k and leaves[0][0] < 0.0:
            cost, leaf = heapq.heappop(leaves)
            rows = members.pop(leaf)
            del centroids[leaf]
            part = (
                training
                if len(rows) == training.count
                else Sample(training, rows, run["budget"], run["scratch"])
            )
            model = fit(part, replace(told, k=2), **quiet)
            halves = Assigning(part, model.centroids, model.labels, run["engine"], Silent())
            labels = np.concatenate([piece.cluster for piece in halves])
            total += cost + float(halves.cost.sum())
            for half in range(2):
                number = 2 * len(costs) + half + 1
                members[number] = rows[labels == half]
                centroids[number] = model.centroids[half]
                heapq.heappush(leaves, (-float(halves.cost[half]), number))
            costs.append(total)
            stage.advance(1)
    found = np.stack([centroids[number] for number in sorted(centroids)])
    if len(found) < params.k:
        # fewer distinct vectors than clusters: the others are empty
        found = np.concatenate([found, np.repeat(found[:1], params.k - len(found), axis=0)])
    return KMeans(found, tuple(costs), False, 0, None, "blas", notes)

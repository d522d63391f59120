"""Bisecting k-means: the cluster of largest cost is split in two, until there are k.

Steinbach, Karypis and Kumar, "A Comparison of Document Clustering Techniques", KDD Workshop on
Text Mining 2000; the cluster to split is that of largest cost (Savaresi and Boley, 2001). A row
is compared with 2 centroids about log2(k) times, not with k. All rows are assigned to the
nearest of the final centroids, which can only lower the cost.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from typing import Self, Unpack

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
from coresift.io.store import Scratch


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
    training, notes = training_rows(points, params, run)
    told = replace(params, train_rows=None)
    scratch = run["scratch"]
    with run["progress"].stage("split", params.k) as stage, scratch.aside() as forgetful:
        # a split is done again from its start
        quiet: FitOptions = {**run, "progress": Silent(), "scratch": forgetful}
        tree = _Tree.load(scratch, training.kept_rows()) or _Tree.root(training, told, quiet)
        stage.advance(len(tree.members))
        while len(tree.members) < params.k and tree.leaves[0][0] < 0.0:
            if scratch.due:
                tree.save(scratch, training.kept_rows())
            tree.split(training, told, quiet)
            stage.advance(1)
    found = np.stack([tree.centroids[number] for number in sorted(tree.centroids)])
    if len(found) < params.k:
        # fewer distinct vectors than clusters: the others are empty
        found = np.concatenate([found, np.repeat(found[:1], params.k - len(found), axis=0)])
    return KMeans(found, tuple(tree.totals), False, 0, None, "blas", notes)


@dataclass
class _Tree:
    """The leaves, by number in the order they were made, and the cost after each split.

    ``leaves`` is a heap of cost, negative, and number: the costliest first, then the oldest.
    """

    members: dict[int, NDArray[np.int64]]
    centroids: dict[int, NDArray[np.float32]]
    leaves: list[tuple[float, int]]
    total: float
    totals: list[float]

    @classmethod
    def root(cls, points: Points, params: KMeansParams, run: FitOptions) -> Self:
        """All rows in one leaf."""
        whole = fit(points, replace(params, k=1), **run)
        totals = Assigning(points, whole.centroids, whole.labels, run["engine"], Silent())
        for _ in totals:
            pass
        cost = totals.total_cost
        return cls({0: points.kept_rows()}, {0: whole.centroids[0]}, [(-cost, 0)], cost, [])

    def split(self, points: Points, params: KMeansParams, run: FitOptions) -> None:
        """Split the costliest leaf."""
        cost, leaf = heapq.heappop(self.leaves)
        rows = self.members.pop(leaf)
        del self.centroids[leaf]
        part = (
            points
            if len(rows) == points.count
            else Sample(points, rows, run["budget"], run["scratch"])
        )
        model = fit(part, replace(params, k=2), **run)
        halves = Assigning(part, model.centroids, model.labels, run["engine"], Silent())
        labels = np.concatenate([piece.cluster for piece in halves])
        self.total += cost + float(halves.cost.sum())
        for half in range(2):
            number = 2 * len(self.totals) + half + 1
            self.members[number] = rows[labels == half]
            self.centroids[number] = model.centroids[half]
            heapq.heappush(self.leaves, (-float(halves.cost[half]), number))
        self.totals.append(self.total)

    def save(self, scratch: Scratch, rows: NDArray[np.int64]) -> None:
        """Remember all of it."""
        leaf = np.empty(len(rows), np.int32)
        numbers = [number for _, number in self.leaves]
        for number in numbers:
            leaf[np.searchsorted(rows, self.members[number])] = number
        scratch.save(
            "tree",
            leaf=leaf,
            numbers=numbers,
            centroids=[self.centroids[number] for number in numbers],
            keys=[key for key, _ in self.leaves],
            total=self.total,
            totals=self.totals,
        )

    @classmethod
    def load(cls, scratch: Scratch, rows: NDArray[np.int64]) -> Self | None:
        """What an interrupted run saved, if any."""
        saved = scratch.load("tree")
        if saved is None:
            return None
        numbers = saved["numbers"].tolist()
        return cls(
            {number: rows[saved["leaf"] == number] for number in numbers},
            dict(zip(numbers, saved["centroids"], strict=True)),
            list(zip(saved["keys"].tolist(), numbers, strict=True)),
            float(saved["total"]),
            saved["totals"].tolist(),
        )

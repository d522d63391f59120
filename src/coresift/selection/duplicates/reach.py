"""Which rows are compared with which: all, those of a cluster, or those near its border.

Rows x and y of clusters a and b that lie within a radius r of each other lie on either side of
the hyperplane between the centroids of a and b, so their distances to it add up to at most r,
and one of them is within r / 2 of it. The distance of x is

    (|x - c_b|^2 - |x - c_a|^2) / (2 |c_a - c_b|),

so a row need only be compared with the clusters whose border is that near: no pair is lost.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.distances import squared_distances, workspace
from coresift.core.progress import Progress
from coresift.engine.base import Engine
from coresift.io.store import Arrays, Scratch
from coresift.io.vectors import normalise
from coresift.selection.duplicates.closeness import Radius
from coresift.selection.duplicates.pairs import Pairs, fitted, near
from coresift.selection.duplicates.space import TILE, Space, Tile

_SCORES = 1 << 21
_RUNS, _SAMPLE_RUN = 16, 64
# comparing across borders looks at pairs from both sides, and at few of them at a time
_MOST = 0.3
_TINY = 1e-30


@dataclass(frozen=True)
class Clusters:
    """Where the clusters lie in a space.

    Attributes
    ----------
    starts : ndarray of int64, shape (k + 1,)
        Position at which each cluster starts; the last is the number of rows.
    centroids : ndarray of float32, shape (k, dim), or None
        None where all rows are one cluster.
    cosine : bool
        Whether they are centroids of vectors scaled to norm 1.
    """

    starts: NDArray[np.int64]
    centroids: NDArray[np.float32] | None
    cosine: bool

    def of(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Cluster of each position."""
        return np.searchsorted(self.starts, positions, side="right") - 1


class Search:
    """All near pairs of a space that a reach takes in.

    Parameters
    ----------
    space : Space
        The rows.
    clusters : Clusters
        Where their clusters lie.
    probe : int or "all"
        Other clusters that a row is compared with, those of nearest border.
    engine, scratch, progress : Engine, Scratch, Progress
        Where to run, to remember pairs, and to report.
    """

    def __init__(
        self,
        space: Space,
        clusters: Clusters,
        probe: int | Literal["all"],
        engine: Engine,
        scratch: Scratch,
        progress: Progress,
    ) -> None:
        self.space = space
        self._clusters = clusters
        self.probe = probe
        self._engine = engine
        self._scratch = scratch
        self._progress = progress

    @property
    def whole(self) -> bool:
        """Whether no pair is out of reach."""
        return self._clusters.centroids is None or self.probe == "all"

    def pairs(self, radius: Radius, *, measured: bool = False) -> Iterator[Pairs]:
        """Pairs of positions, some of them twice, in an order that only the space decides."""
        within = self._clusters.centroids is not None and self.probe == 0
        self.space.project(fitted(self.space, radius, within), self._engine)

        def inside(job: tuple[int, int, int]) -> Arrays:
            start, stop, end = job
            one = self.space.tile(start, stop)
            return _joined(
                [
                    near(one, self.space.tile(*span), radius, upper=True, measured=measured)
                    for span in _spans(start, end)
                ]
            ).arrays

        scratch = self._scratch.step(f"pairs-{radius.least.hex()}")
        borders = self._borders(radius)
        ends = self._clusters.starts.tolist()
        if borders is None and self.probe == "all":
            ends = [0, self.space.count]
        jobs = [
            (start, stop, last)
            for first, last in itertools.pairwise(ends)
            for start, stop in _spans(first, last)
        ]
        with self._progress.stage("compare", self.space.count) as stage:
            found = scratch.map("within", self._engine, inside, jobs)
            for (start, stop, _), arrays in zip(jobs, found, strict=True):
                stage.advance(stop - start)
                yield Pairs(*arrays)
        if borders is None:
            return
        runs = borders.runs()
        with self._progress.stage("compare across clusters", self.space.count) as stage:
            task = _Across(self.space, borders, radius, measured)
            found = scratch.map("across", self._engine, task, runs)
            for run, arrays in zip(runs, found, strict=True):
                stage.advance(run[1] - run[0])
                yield Pairs(*arrays)

    def _borders(self, radius: Radius) -> Borders | None:
        """Where to look across clusters; None for nowhere, or where all are compared anyway."""
        if self._clusters.centroids is None or self.probe == 0:
            return None
        borders = Borders(self.space, self._clusters, self.probe, radius)
        return None if self.probe == "all" and borders.share() > _MOST else borders


class Borders:
    """Clusters whose border is near to a row."""

    def __init__(
        self, space: Space, clusters: Clusters, probe: int | Literal["all"], radius: Radius
    ) -> None:
        assert clusters.centroids is not None
        self._space = space
        self.clusters = clusters
        self._centers = Centers.prepare(clusters.centroids)
        self._half = 0.5 * space.reach(radius, clusters.cosine)
        k = self._centers.k
        self._probe = None if probe == "all" or probe >= k - 1 else probe

    def runs(self) -> list[tuple[int, int]]:
        """Runs of positions to look at together."""
        step = max(64, min(4 * TILE, _SCORES // self._centers.k))
        return list(_spans(0, self._space.count, step))

    def share(self) -> float:
        """Estimate of the share of all rows that a row is compared with."""
        sizes = np.diff(self.clusters.starts)
        runs = list(_spans(0, self._space.count, _SAMPLE_RUN))
        chosen = [runs[i] for i in np.unique(np.linspace(0, len(runs) - 1, _RUNS).astype(int))]
        compared = sum(int(sizes[self.of(*run)[1]].sum()) for run in chosen)
        rows = sum(stop - start for start, stop in chosen)
        return compared / float(rows * self._space.count)

    def of(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of a run, counted from its start, and the other clusters they are compared with."""
        vectors = self._space.store.read(start, stop)
        if self.clusters.cosine:
            vectors = normalise(vectors)
        own = self.clusters.of(np.arange(start, stop))
        centers = self._centers
        rows = centers.projection.rows(vectors)
        scores = workspace.take("borders", (len(rows), centers.k))
        np.matmul(rows, centers.weights, out=scores)
        mine = scores[np.arange(len(rows)), own]
        slack = 2.0 * centers.projection.slack(rows[:, -1], centers.reach)
        apart = self._apart(own)
        # from |x - c_b|^2 - |x - c_a|^2 to the distance of the border
        np.subtract(mine[:, None], scores, out=scores)
        wide = (np.float32(self._half * (1.0 + 1e-5)) * apart) + slack[:, None].astype(np.float32)
        wide[np.arange(len(rows)), own] = -np.inf
        row, cluster = np.nonzero(scores <= wide)
        if self._probe is None:
            return row, cluster
        distance = scores[row, cluster] / np.maximum(apart[row, cluster], _TINY)
        error = slack[row] / np.maximum(apart[row, cluster], _TINY)
        kept = self._nearest(vectors, own, row, cluster, distance, error)
        return row[kept], cluster[kept]

    def _apart(self, own: NDArray[np.int64]) -> NDArray[np.float32]:
        """Distances of each row's centroid from all others."""
        points = self._centers.points.astype(np.float64)
        clusters, place = np.unique(own, return_inverse=True)
        squares = np.einsum("ij,ij->i", points, points)
        squared = squares[clusters, None] + squares - 2.0 * (points[clusters] @ points.T)
        apart: NDArray[np.float32] = np.sqrt(np.maximum(squared, 0.0)).astype(np.float32)
        return apart[place]

    def _nearest(
        self,
        vectors: NDArray[np.float32],
        own: NDArray[np.int64],
        row: NDArray[np.int64],
        cluster: NDArray[np.int64],
        distance: NDArray[np.float64],
        error: NDArray[np.float64],
    ) -> NDArray[np.bool_]:
        """The ``probe`` clusters of nearest border of each row; ties by number.

        Where rounding leaves open which they are, distances are computed again in float64, so
        that the choice is the same on every machine.
        """
        probe = self._probe or 0
        counts = np.bincount(row, minlength=len(vectors))
        starts = np.concatenate([[0], np.cumsum(counts)])
        order = np.lexsort((distance, row))
        place = np.arange(len(row)) - starts[row]
        kept = np.ones(len(row), np.bool_)
        kept[order] = place < probe
        full = np.flatnonzero(counts > probe)
        last, following = order[starts[full] + probe - 1], order[starts[full] + probe]
        worst = np.maximum.reduceat(error, starts[full]) if len(full) else error[:0]
        close = distance[following] - distance[last] <= 2.0 * worst
        for index in np.flatnonzero(close).tolist():
            line = int(full[index])
            whole = np.arange(starts[line], starts[line + 1])
            clusters = cluster[whole]
            exact = self._exactly(vectors[line], int(own[line]), clusters)
            kept[whole] = False
            kept[whole[np.lexsort((clusters, exact))[:probe]]] = True
        return kept

    def _exactly(
        self, vector: NDArray[np.float32], own: int, clusters: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        points = self._centers.points
        labels = np.concatenate([[own], clusters]).astype(np.int32)
        block = np.broadcast_to(vector, (len(labels), len(vector)))
        squared = squared_distances(block, points, labels)
        between = squared_distances(np.broadcast_to(points[own], block.shape), points, labels)
        apart = np.sqrt(between[1:])
        distance: NDArray[np.float64] = (squared[1:] - squared[0]) / np.maximum(apart, _TINY)
        return distance


@dataclass(frozen=True)
class _Across:
    """Pairs of rows of different clusters, found from the side that is nearer to the border."""

    space: Space
    borders: Borders
    radius: Radius
    measured: bool

    def __call__(self, run: tuple[int, int]) -> Arrays:
        row, cluster = self.borders.of(*run)
        one = self.space.tile(*run)
        order = np.argsort(cluster, kind="stable")
        row = row[order]
        clusters, first = np.unique(cluster[order], return_index=True)
        bounds = [*first.tolist(), len(row)]
        found: list[Pairs] = []
        for index, number in enumerate(clusters.tolist()):
            rows = row[bounds[index] : bounds[index + 1]]
            some = Tile(self.space, one.positions[rows], one.heads[rows])
            start, stop = self.borders.clusters.starts[number : number + 2].tolist()
            found.extend(
                near(some, self.space.tile(*span), self.radius, measured=self.measured)
                for span in _spans(start, stop)
            )
        return _joined(found).arrays


def _spans(start: int, stop: int, step: int = TILE) -> Iterator[tuple[int, int]]:
    for low in range(start, stop, step):
        yield low, min(low + step, stop)


def _joined(parts: list[Pairs]) -> Pairs:
    parts = [part for part in parts if len(part.one)]
    if not parts:
        empty = np.empty(0, np.int64)
        return Pairs(empty, empty, np.empty(0))
    return Pairs(
        np.concatenate([part.one for part in parts]),
        np.concatenate([part.other for part in parts]),
        np.concatenate([part.closeness for part in parts]),
    )

"""How many pairs of rows a deduplication compares, and how long that takes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.nearest import nearest
from coresift.clustering.saved import SavedClustering
from coresift.io.dump import Dump, open_dump
from coresift.io.store import RowStore, Scratch
from coresift.planning.plan import Growth
from coresift.selection.base import Context
from coresift.selection.duplicates.closeness import Radius
from coresift.selection.duplicates.pairs import fitted, near
from coresift.selection.duplicates.reach import Borders, Clusters
from coresift.selection.duplicates.space import TILE, Space
from coresift.selection.params.dedup import DedupParams

# of a search for the threshold that leaves --target rows
_GUESS = 0.9
_TILES = 4
_ROW_BYTES = 80
_FEW = 64


@dataclass(frozen=True)
class PairsPlan:
    """What comparing pairs takes.

    Attributes
    ----------
    seconds : float
        On this machine.
    growth : {"rows", "pairs"}
        How that grows.
    row_bytes : int
        What is held for each row beside its vector.
    notes : tuple of str
        What was assumed.
    """

    seconds: float
    growth: Growth
    row_bytes: int
    notes: tuple[str, ...]


def plan_pairs(
    dump: Dump, params: DedupParams, sample: NDArray[np.float32], context: Context
) -> PairsPlan:
    """Count pairs by the sizes of clusters, and time some tiles of a sample.

    Parameters
    ----------
    dump : Dump
        The input.
    params : DedupParams
        What would run.
    sample : ndarray of float32, shape (m, dim)
        Rows from all over the dump.
    context : Context
        The resources there are, and the clustering.
    """
    cosine = dump.options.metric == "cosine"
    rows, clustering = dump.rows, context.clustering
    if params.target is None:
        radius, notes = Radius.of(params.threshold, params.epsilon, cosine), []
    else:
        radius = Radius.similarity(_GUESS)
        notes = [f"--target is planned at a similarity of {_GUESS}"]
    labels = np.zeros(len(sample), np.int64)
    if clustering is not None:
        labels = nearest(sample, Centers.prepare(clustering.centroids)).astype(np.int64)
        order = np.argsort(labels, kind="stable")
        sample, labels = sample[order], labels[order]
    space = _space(sample, radius, context.scratch)
    within = clustering is not None and params.probe == 0
    projection = fitted(space, radius, within)
    start = time.perf_counter()
    space.project(projection, context.engine)
    project = (time.perf_counter() - start) / space.count * rows
    pair = _pair_seconds(space, radius, context, TILE)
    held = _ROW_BYTES + 4 * projection.width
    if params.against is not None:
        others = sum(open_dump([path]).rows for path in params.against)
        return PairsPlan(project + pair * rows * others, "rows", held, tuple(notes))
    if clustering is None:
        return PairsPlan(project + pair * 0.5 * rows * rows, "pairs", held, tuple(notes))
    # each tile is compared with itself and those after it; a task costs something by itself
    sizes = clustering.size.astype(np.float64)
    tiles = np.maximum(1.0, np.ceil(sizes / TILE))
    task = _pair_seconds(space, radius, context, _FEW) * _FEW * _FEW
    spent = project + float((0.5 * pair * sizes * (sizes + sizes / tiles) + tiles * task).sum())
    if params.probe != 0:
        spent += _across(space, labels, clustering, params, radius, pair, rows, cosine=cosine)
    notes.append(
        f"clusters of {int(clustering.size.mean()):,} rows on the mean; with more clusters of the "
        "same size pairs grow with the rows"
    )
    # beyond that, all pairs are compared in one piece
    return PairsPlan(min(spent, project + pair * 0.5 * rows * rows), "pairs", held, tuple(notes))


def _space(sample: NDArray[np.float32], radius: Radius, scratch: Scratch) -> Space:
    store = RowStore(len(sample), sample.shape[1], np.dtype(np.float32), None)
    store.write(0, sample)
    norms = np.sqrt(np.einsum("ij,ij->i", sample, sample, dtype=np.float64))
    shortest, longest = float(norms.min()), float(norms.max())
    return Space(store, radius.unit, scratch, shortest=shortest, longest=longest)


def _pair_seconds(space: Space, radius: Radius, context: Context, tile: int) -> float:
    """Seconds for each pair of rows of two tiles that are compared, all workers busy."""
    ends = range(0, space.count, tile)
    spans = [(start, min(start + tile, space.count)) for start in ends][:_TILES]

    def task(job: tuple[tuple[int, int], tuple[int, int]]) -> int:
        one, other = job
        near(space.tile(*one), space.tile(*other), radius)
        return (one[1] - one[0]) * (other[1] - other[0])

    jobs = [(one, other) for one in spans for other in spans]
    start = time.perf_counter()
    pairs = sum(context.engine.map(task, jobs))
    return (time.perf_counter() - start) / pairs


def _across(
    space: Space,
    labels: NDArray[np.int64],
    clustering: SavedClustering,
    params: DedupParams,
    radius: Radius,
    pair: float,
    rows: int,
    *,
    cosine: bool,
) -> float:
    """Seconds for the rows of other clusters that rows are compared with."""
    starts = np.searchsorted(labels, np.arange(clustering.k + 1))
    clusters = Clusters(starts.astype(np.int64), clustering.centroids, cosine)
    probe: int | Literal["all"] = "all" if params.probe == "all" else int(params.probe)
    borders = Borders(space, clusters, probe, radius)
    compared = 0.0
    start = time.perf_counter()
    for run in borders.runs():
        compared += float(clustering.size[borders.of(*run)[1]].sum())
    spent = time.perf_counter() - start
    return (spent + compared * pair) * rows / space.count

"""Semantic deduplication: of rows nearer to each other than a threshold, one is kept.

Abbas, Tirumala, Simig, Ganguli, Morcos, "SemDeDup: Data-Efficient Learning at Web-Scale
Through Semantic Deduplication", 2023. Published is the search inside each cluster of a
spherical k-means (``--probe 0``), the threshold on cosine similarity, the row farthest from
its centroid as the one to keep (``--keep farthest``), and the linkage ``semdedup``; here pairs
are by default found whatever their clusters, and a row is dropped only for one that is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coresift.core.errors import ParameterError
from coresift.core.index import Index
from coresift.core.selection import Dropped, Selection
from coresift.core.size import Size
from coresift.io.store import GrowingStore
from coresift.selection.base import Context, Data
from coresift.selection.duplicates import against
from coresift.selection.duplicates.closeness import Radius
from coresift.selection.duplicates.layout import Layout
from coresift.selection.duplicates.linkage import Components, Greedy, Linkage, SemDeDup
from coresift.selection.duplicates.reach import Clusters, Search
from coresift.selection.duplicates.recall import Recall
from coresift.selection.duplicates.space import Space, closeness_between
from coresift.selection.duplicates.threshold import Linked, floors, leaving
from coresift.selection.params.dedup import DedupParams
from coresift.selection.reading.joins import plural
from coresift.selection.reading.scores import Scores

# of a row: where it lies, its rank, what it stands behind, and itself in the result
_ROW_BYTES, _SORTED_ROW_BYTES = 48, 88
_CHUNK = 8192


def select(data: Data, size: Size | None, params: DedupParams, context: Context) -> Selection:
    """Drop the rows that are near duplicates of another row.

    ``weight`` is how many rows a kept row stands for, itself and those that were dropped for it:
    the weights add up to the rows of the dump. With ``against`` it is 1.
    """
    if size is not None:
        raise ParameterError("dedup takes no size", hint="say how many to leave with --target N")
    if params.against is not None:
        return against.select(data, params, context)
    clustering = context.clustering
    if clustering is None and params.probe != "all":
        raise ParameterError(
            "--probe is about clusters, and there are none", hint="add --clusters DIR"
        )
    rows = data.rows if clustering is None else clustering.rows
    context.budget.require(
        rows * (_ROW_BYTES if params.keep == "first" else _SORTED_ROW_BYTES),
        f"deduplicating {rows:,} rows",
    )
    if clustering is None:
        layout = Layout.whole(data)
    else:
        layout = Layout.by_cluster(data, clustering, params.keep in ("closest", "farthest"))
    order = _Order.of(data, layout, params)
    radius = Radius.of(params.threshold, params.epsilon, data.cosine)
    space = layout.space(data, radius.unit, context)
    centroids = None if clustering is None else clustering.centroids
    clusters = Clusters(layout.starts, centroids, data.cosine)
    probe: int | Literal["all"] = "all" if params.probe == "all" else int(params.probe)
    search = Search(space, clusters, probe, context.engine, context.scratch, context.progress)
    work = _Work(search, order, params.linkage, Recall(layout.rows, context.seed), context)
    resolved: dict[str, float | int | str] = {}
    if params.target is None:
        kept = work.kept(radius)
    else:
        target = Size.parse(params.target).resolve(layout.count, flag="--target")
        radius, kept = work.leaving(target)
        resolved["threshold"] = radius.least
    notes = [*layout.notes, *work.notes(radius, resolved)]
    stays = kept == np.arange(layout.count, dtype=kept.dtype)
    gone = np.flatnonzero(~stays)
    resolved |= {"dropped": len(gone), "groups": len(np.unique(kept[gone]))}
    dropped = None
    if params.pairs is not None:
        ends = np.stack([order.position[gone], order.position[kept[gone]]]).astype(np.int64)
        dropped = _dropped(space, layout, ends, radius)
    weight = np.ones(layout.count)
    np.add.at(weight, kept[gone], 1.0)
    chosen, weight = layout.rows[order.position[stays]].astype(np.int64), weight[stays]
    if params.keep != "first":
        ascending = np.argsort(chosen)
        chosen, weight = chosen[ascending], weight[ascending]
    return Selection(
        chosen, weight, layout.count, resolved=resolved, notes=tuple(notes), dropped=dropped
    )


@dataclass(frozen=True)
class _Order:
    """Which rows to keep rather than others: 0 is the best; ties go to the first in the dump.

    Attributes
    ----------
    rank : ndarray of int, shape (n,)
        Of the row at each position.
    position : ndarray of int, shape (n,)
        Of each rank.
    """

    rank: Index
    position: Index

    @classmethod
    def of(cls, data: Data, layout: Layout, params: DedupParams) -> _Order:
        """By the order of the dump, by distance or by score."""
        kind = layout.rows.dtype
        if params.keep == "first":
            if layout.count == data.rows:
                return cls(layout.rows, layout.place)
            there = layout.place >= 0
            dense = np.cumsum(there, dtype=kind) - 1
            return cls(dense[layout.rows], layout.place[there])
        key: NDArray[np.floating]
        if params.score is not None:
            key = -Scores(data, params.score, "--keep best:").of(layout.rows)
        elif layout.distance is None:
            raise ParameterError(
                f"--keep {params.keep} is about centroids, and there are none",
                hint="add --clusters DIR",
            )
        else:
            key = layout.distance if params.keep == "closest" else -layout.distance
        position = np.lexsort((layout.rows, key)).astype(kind)
        rank = np.empty(layout.count, kind)
        rank[position] = np.arange(layout.count, dtype=kind)
        return cls(rank, position)


class _Work:
    """Pairs, found and linked."""

    def __init__(
        self,
        search: Search,
        order: _Order,
        linkage: str,
        recall: Recall,
        context: Context,
    ) -> None:
        self._search = search
        self._rank = order.rank
        self._linkage = linkage
        self._recall = recall
        self._context = context

    def kept(self, radius: Radius) -> Index:
        """Rank of the row that each rank stands behind."""
        linkage = self._new()
        for late, early, _ in self._pairs(radius, measured=False):
            linkage.add(late, early)
        return linkage.kept()

    def leaving(self, target: int) -> tuple[Radius, Index]:
        """Find the radius that leaves ``target`` rows, and the same for it."""
        context = self._context
        found = leaving(
            target,
            len(self._rank),
            floors(self._search.space, self._recall.sample, target, context.engine),
            lambda radius: self._pairs(radius, measured=True),
            self._new,
            lambda kind: GrowingStore(kind, self._limit, context.scratch),
        )
        return Radius.similarity(found.least), found.kept

    def notes(self, radius: Radius, resolved: dict[str, float | int | str]) -> Iterator[str]:
        """What was not compared; puts the recall into ``resolved``."""
        search = self._search
        if search.space.zeros and radius.unit:
            yield f"{plural(search.space.zeros, 'zero vector')} kept, similar to none"
        if not search.whole:
            near, found = self._recall.of(radius, search.space, self._context.engine)
            resolved |= {"recall": found / near if near else 1.0, "recall_pairs": near}
            rows = plural(len(self._recall.sample), "row")
            yield (
                f"--probe {search.probe} reaches {found:,} of the {near:,} near pairs of a sample "
                f"of {rows}"
            )

    @property
    def _limit(self) -> int:
        return max(1 << 20, self._context.budget.left() // 4)

    def _new(self) -> Linkage:
        count = len(self._rank)
        if self._linkage == "semdedup":
            return SemDeDup(count)
        if self._linkage == "components":
            return Components(count)
        return Greedy(count, self._limit, self._context.scratch)

    def _pairs(self, radius: Radius, *, measured: bool) -> Linked:
        pairs = self._search.pairs(radius, measured=measured)
        for found in pairs if self._search.whole else self._recall.watch(pairs):
            one, other = self._rank[found.one], self._rank[found.other]
            yield np.maximum(one, other), np.minimum(one, other), found.closeness


def _dropped(space: Space, layout: Layout, ends: NDArray[np.int64], radius: Radius) -> Dropped:
    """Dropped rows and what for, from the positions of both."""
    row, other = ends[:, np.argsort(layout.rows[ends[0]])]
    values = np.empty(len(row))
    for start in range(0, len(row), _CHUNK):
        part = slice(start, start + _CHUNK)
        values[part] = closeness_between(space, row[part], other[part], radius)
    kept = layout.rows[other].astype(np.int64)
    return Dropped(layout.rows[row].astype(np.int64), kept, *radius.shown(values))

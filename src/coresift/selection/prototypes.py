"""Self-supervised prototypes: hard or easy rows by their distance to the nearest centroid.

Sorscher et al., "Beyond Neural Scaling Laws: Beating Power Law Scaling via Data Pruning",
NeurIPS 2022, section 5: rows near a centroid are easy, those far from all are hard; keep the
hard ones where data is plenty and the easy ones where it is scarce.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.clustering.saved import Assignments, SavedClustering
from coresift.core.errors import ParameterError
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.core.smallest import Smallest, SmallestPerGroup
from coresift.io.store import RowStore
from coresift.selection.base import Context, Data
from coresift.selection.columns import Block, plain
from coresift.selection.joins import plural
from coresift.selection.params.prototypes import PrototypesParams


def select(data: Data, size: Size | None, params: PrototypesParams, context: Context) -> Selection:
    """Choose the rows farthest from their centroid, or nearest to it.

    ``score`` is the distance to the centroid, ``rank`` its order, ``weight`` 1. With ``floor``
    f each cluster (or value of ``by``) first keeps, as its best rows, a share f of what it would
    keep if all were cut alike, rounded down.
    """
    clustering = context.clustering
    if clustering is None:
        raise ParameterError(
            "prototypes needs a clustering", hint="run `coresift cluster`, give --clusters DIR"
        )
    if size is None:
        raise ParameterError("prototypes needs a size", hint="give -n 5000 or -n 10%")
    n = size.resolve(clustering.rows)
    groups = _Groups(data, clustering, params.by, context)
    kept = _floors(groups.count, n, clustering.rows, params.floor)
    sign = 1.0 if params.order == "easy" else -1.0
    best, floor = Smallest(n), SmallestPerGroup(kept)
    with context.progress.stage("choose", clustering.rows) as stage:
        for part in clustering.assignments():
            key = part.distance.astype(np.float64) * sign
            best.add(key, part.row)
            of_floor = groups.of(part)
            some = np.flatnonzero(kept[of_floor] > 0)
            floor.add(of_floor[some], key[some], part.row[some])
            stage.advance(len(part.row))
    _, certain_keys, certain = floor.result()
    keys, rows = best.result()
    others = np.flatnonzero(~np.isin(rows, certain))[: n - len(certain)]
    rows = np.concatenate([certain, rows[others]])
    distance = np.abs(np.concatenate([certain_keys, keys[others]]).astype(np.float64))
    rank = np.empty(n, np.int32)
    rank[np.lexsort((rows, sign * distance))] = np.arange(n, dtype=np.int32)
    order = np.argsort(rows)
    return Selection(
        rows[order],
        np.ones(n),
        clustering.rows,
        score=distance[order],
        cluster=_clusters_of(clustering, rows[order]),
        rank=rank[order],
        resolved={"groups": len(kept), "kept_by_floor": len(certain)},
        notes=tuple(_notes(kept, params)),
    )


def _notes(kept: NDArray[np.int64], params: PrototypesParams) -> Iterator[str]:
    without = int(np.count_nonzero(kept == 0))
    if params.floor > 0.0 and without:
        what = "cluster" if params.by is None else "group"
        yield f"{plural(without, what)} of {len(kept):,} too small for a row by --floor"


def _floors(count: NDArray[np.int64], n: int, rows: int, floor: float) -> NDArray[np.int64]:
    """Rows that each group keeps at least, in whole numbers so that no machine rounds apart."""
    share = Fraction(str(floor))
    return np.array(
        [int(group) * n * share.numerator // (rows * share.denominator) for group in count],
        np.int64,
    )


def _clusters_of(clustering: SavedClustering, rows: NDArray[np.int64]) -> NDArray[np.int32]:
    """Clusters of some rows, ascending."""
    found = np.empty(len(rows), np.int32)
    for part in clustering.assignments():
        if len(part.row):
            low, high = np.searchsorted(rows, [part.row[0], part.row[-1] + 1])
            found[low:high] = part.cluster[np.searchsorted(part.row, rows[low:high])]
    return found


class _Groups:
    """What the floor is for: clusters, or the values of a column (4 bytes a row)."""

    def __init__(
        self, data: Data, clustering: SavedClustering, by: str | None, context: Context
    ) -> None:
        self.count = clustering.size
        self._codes: RowStore | None = None
        if by is None:
            return
        column = data.column(by, "--by")
        scratch = None if 4 * data.rows < context.budget.left() // 2 else context.scratch
        self._codes = RowStore(data.rows, 1, np.dtype(np.int32), scratch)
        values: dict[object, int] = {}

        def task(blocks: Iterator[Block]) -> list[tuple[int, pa.DictionaryArray]]:
            return [
                (int(block.rows[0]), plain(block.values[0]).dictionary_encode("encode"))
                for block in blocks
            ]

        for parts in data.map(task, (column,), "groups", everything=True):
            for start, encoded in parts:
                known = [values.setdefault(v, len(values)) for v in encoded.dictionary.to_pylist()]
                codes = np.array(known, np.int32)[encoded.indices.to_numpy(zero_copy_only=False)]
                self._codes.write(start, codes[:, None])
        self.count = np.zeros(len(values), np.int64)
        for part in clustering.assignments():
            self.count += np.bincount(self.of(part), minlength=len(values))

    def of(self, part: Assignments) -> NDArray[np.int64]:
        """Group of each row."""
        if self._codes is None or not len(part.row):
            return part.cluster.astype(np.int64)
        start = int(part.row[0])
        run = self._codes.read(start, int(part.row[-1]) + 1)[:, 0]
        return run[part.row - start].astype(np.int64)

"""Self-supervised prototypes: hard or easy rows by their distance to the nearest centroid.

Sorscher et al., "Beyond Neural Scaling Laws: Beating Power Law Scaling via Data Pruning",
NeurIPS 2022, section 5: rows near a centroid are easy, those far from all are hard; keep the
hard ones where data is plenty and the easy ones where it is scarce.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.clustering.saved import Assignments, SavedClustering
from coresift.core.errors import ParameterError
from coresift.core.progress import Stage
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.io.store import RowStore
from coresift.selection.base import Context, Data
from coresift.selection.draws.scored import draw, require_size
from coresift.selection.draws.stream import ScoreBlock, Scored
from coresift.selection.params.prototypes import PrototypesParams
from coresift.selection.reading.columns import Block, plain
from coresift.selection.reading.joins import plural

Result = TypeVar("Result")


def select(data: Data, size: Size | None, params: PrototypesParams, context: Context) -> Selection:
    """Choose the rows farthest from their centroid, or nearest to it, or draw them by that.

    ``score`` is the distance to the centroid; what ``rank`` and ``weight`` mean is said in
    :mod:`coresift.selection.draws.scored`. With ``floor`` f each cluster (or value of ``by``) first
    keeps, as its best rows, a share f of what it would keep if all were cut alike, rounded down.
    """
    clustering = context.clustering
    if clustering is None:
        raise ParameterError(
            "prototypes needs a clustering", hint="run `coresift cluster`, give --clusters DIR"
        )
    require_size(size, params, "prototypes")
    n = clustering.rows if size is None else size.resolve(clustering.rows)
    groups = _Groups(data, clustering, params.by, context)
    kept = _floors(groups.count, n, clustering.rows, params.floor)

    def blocks(progress: Stage) -> Iterator[ScoreBlock]:
        for part in clustering.assignments():
            yield ScoreBlock(part.row, part.distance.astype(np.float64), groups.of(part))
            progress.advance(len(part.row))

    def over(task: Callable[[Iterator[ScoreBlock]], Result], stage: str) -> Iterator[Result]:
        with context.progress.stage(stage, clustering.rows) as progress:
            yield task(blocks(progress))

    easy = params.order == "easy"
    scored = Scored(data, "the distance to the centroid", over, easy, len(kept))
    drawn = draw(scored, size, params, context, least=kept)
    return replace(
        drawn,
        cluster=_clusters_of(clustering, drawn.rows),
        resolved={"groups": len(kept), **drawn.resolved},
        notes=(*drawn.notes, *_notes(kept, params)),
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

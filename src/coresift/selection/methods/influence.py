"""Rows that help a target most, or harm it, by the influence of training on them.

Koh and Liang, "Understanding Black-box Predictions via Influence Functions", ICML 2017: score =
g_row . H^-1 g_target; Pruthi et al., "Estimating Training Data Influence by Tracing Gradient
Descent" (TracIn), NeurIPS 2020: the sum over checkpoints; Xia et al., "LESS: Selecting Influential
Data for Targeted Instruction Tuning", ICML 2024: cosine, and the largest over tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.saved import SavedClustering
from coresift.core.errors import InputError, ParameterError
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.influence.scores import Scoring
from coresift.influence.turns import take_turns
from coresift.selection.base import Context, Data
from coresift.selection.draws.scored import draw, require_size
from coresift.selection.draws.stream import ScoreBlock, Scored
from coresift.selection.influences.influenced import Opened, open_influence
from coresift.selection.params.influence import InfluenceParams
from coresift.selection.reading.joins import plural
from coresift.selection.reading.strata import allocate

Result = TypeVar("Result")
_RUN = 1 << 18
# a score, how far off it may be, a cluster, and what of them is sorted
_ROW_BYTES = 60


def select(data: Data, size: Size | None, params: InfluenceParams, context: Context) -> Selection:
    """Choose the rows of highest influence, or of lowest, or draw them by it.

    ``score`` is the influence: positive where training on the row lowers the target's loss, as
    far as one step of gradient descent tells. ``rank`` and ``weight`` are those of
    :mod:`coresift.selection.draws.scored`; with ``--aggregate round-robin`` ``score`` is the
    influence on the target that took the row, and ``rank`` the order in which rows were taken.
    """
    require_size(size, params, "influence")
    if size is not None:
        size.resolve(data.rows)  # more than there is, told before gradients are read
    if params.per_cluster and context.clustering is None:
        raise ParameterError(
            "--per-cluster needs a clustering",
            hint="run `coresift cluster PATH... -k K -o DIR`, then give --clusters DIR",
        )
    context.budget.require(_ROW_BYTES * data.rows, f"scores of {data.rows:,} rows")
    opened = open_influence(data, params, context)
    there = _There.of(opened, context.clustering)
    if params.aggregate == "round-robin":
        drawn = _in_turns(opened, there, size, params, context)
    else:
        drawn = _by_score(data, opened, there, size, params, context)
    cluster = there.cluster
    return replace(
        drawn,
        cluster=None if cluster is None else cluster[drawn.rows],
        resolved={**opened.resolved, **drawn.resolved},
        notes=(*opened.notes, *there.notes, *drawn.notes),
    )


@dataclass(frozen=True)
class _There:
    """The rows to choose from.

    Attributes
    ----------
    rows : ndarray of int64, shape (count,)
        Their ids, ascending.
    cluster : ndarray of int32, shape (rows of the dump,), or None
        The cluster of each row, -1 of one that is in none.
    notes : list of str
        What was left out.
    """

    rows: NDArray[np.int64]
    cluster: NDArray[np.int32] | None
    notes: list[str]

    @classmethod
    def of(cls, opened: Opened, clustering: SavedClustering | None) -> _There:
        kept = opened.kept()
        if clustering is None:
            return cls(np.flatnonzero(kept), None, [])
        cluster = np.full(len(kept), -1, np.int32)
        for part in clustering.assignments():
            cluster[part.row] = part.cluster
        alone = int(np.count_nonzero(kept & (cluster < 0)))
        rows = np.flatnonzero(kept & (cluster >= 0))
        if not len(rows):
            raise InputError(f"no row with a gradient is in a cluster of {clustering.path}")
        return cls(
            rows, cluster, [f"{plural(alone, 'row')} in no cluster left out"] if alone else []
        )


def _by_score(
    data: Data,
    opened: Opened,
    there: _There,
    size: Size | None,
    params: InfluenceParams,
    context: Context,
) -> Selection:
    lowest = params.sign == "harm"
    sign = -1.0 if lowest else 1.0
    bound = None if params.threshold is None else sign * params.threshold
    scoring = Scoring(opened.influence, params.how, context, sign)
    if params.draw == "top":
        scoring.roughly()
    else:
        scoring.exactly()
    if bound is not None:
        scoring.settle_near(there.rows, bound)
    group = least = None
    reach = there.rows if bound is None else there.rows[scoring.score[there.rows] >= bound]
    if params.per_cluster and there.cluster is not None:
        group = there.cluster
        counts = np.bincount(group[reach])
        n = len(reach) if size is None else size.resolve(len(reach))
        least = np.array(allocate(n, counts.tolist(), "equal"), np.int64)
        places = np.argsort(group[reach], kind="stable")
        for share, rows in zip(least, np.split(reach[places], np.cumsum(counts)[:-1]), strict=True):
            scoring.settle_best(rows, int(share))
    elif size is None or size.count is None or size.count <= len(reach):
        scoring.settle_best(reach, len(reach) if size is None else size.resolve(len(reach)))
    score = sign * scoring.score

    def over(task: Callable[[Iterator[ScoreBlock]], Result], stage: str) -> Iterator[Result]:
        with context.progress.stage(stage, len(there.rows)) as progress:
            for start in range(0, len(there.rows), _RUN):
                rows = there.rows[start : start + _RUN]
                codes = None if group is None else group[rows].astype(np.int64)
                yield task(iter([ScoreBlock(rows, score[rows], codes)]))
                progress.advance(len(rows))

    groups = 1 if least is None else len(least)
    scored = Scored(data, "the influence", over, lowest, groups)
    return draw(scored, size, params, context, least=least)


def _in_turns(
    opened: Opened, there: _There, size: Size | None, params: InfluenceParams, context: Context
) -> Selection:
    """Each target takes its best row that is not yet taken, in turn."""
    if size is None:
        raise ParameterError("--aggregate round-robin needs a size", hint="give -n 5000 or -n 10%")
    sign = -1.0 if params.sign == "harm" else 1.0
    n = size.resolve(len(there.rows))
    rows, score = take_turns(opened.influence, there.rows, n, context, sign)
    order = np.argsort(rows)
    return Selection(
        rows[order],
        np.ones(n),
        len(there.rows),
        score=score[order] + 0.0,
        rank=order.astype(np.int32),
        resolved={"targets": opened.influence.targets},
    )

"""Rows that help a target most, or harm it, by the influence of training on them.

Koh and Liang, "Understanding Black-box Predictions via Influence Functions", ICML 2017: score =
g_row . H^-1 g_target; Pruthi et al., "Estimating Training Data Influence by Tracing Gradient
Descent" (TracIn), NeurIPS 2020: the sum over checkpoints; Xia et al., "LESS: Selecting Influential
Data for Targeted Instruction Tuning", ICML 2024: cosine, and the largest over tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.influence.scores import scores
from coresift.selection.base import Context, Data
from coresift.selection.influenced import open_influence
from coresift.selection.params.influence import InfluenceParams
from coresift.selection.rules import ScoreBlock
from coresift.selection.scored import Scored, draw, require_size

Result = TypeVar("Result")
_RUN = 1 << 18


def select(data: Data, size: Size | None, params: InfluenceParams, context: Context) -> Selection:
    """Choose the rows of highest influence, or of lowest, or draw them by it.

    ``score`` is the influence: positive where training on the row lowers the target's loss, as
    far as its own loss and the target's go down together. ``rank`` and ``weight`` are those of
    :mod:`coresift.selection.scored`.
    """
    require_size(size, params, "influence")
    if size is not None:
        size.resolve(data.rows)  # more than there is, told before gradients are read
    opened = open_influence(data, params, context)
    sign = 1.0 if params.sign == "help" else -1.0
    found, _ = scores(opened.influence, params.how, context, sign)
    kept = np.flatnonzero(opened.kept())
    drawn = draw(_scored(data, kept, sign * found, sign, context), size, params, context)
    return replace(
        drawn,
        resolved={**opened.resolved, **drawn.resolved},
        notes=(*opened.notes, *drawn.notes),
    )


def _scored(
    data: Data, kept: NDArray[np.int64], found: NDArray[np.float64], sign: float, context: Context
) -> Scored:
    def over(task: Callable[[Iterator[ScoreBlock]], Result], stage: str) -> Iterator[Result]:
        with context.progress.stage(stage, len(kept)) as progress:
            for start in range(0, len(kept), _RUN):
                rows = kept[start : start + _RUN]
                yield task(iter([ScoreBlock(rows, found[rows])]))
                progress.advance(len(rows))

    return Scored(data, "the influence", over, lowest=sign < 0.0)

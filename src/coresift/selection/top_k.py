"""The rows of highest or lowest score, over all or per group, or drawn by their scores."""

from __future__ import annotations

from dataclasses import replace

from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.selection.base import Context, Data
from coresift.selection.params.top_k import TopKParams
from coresift.selection.score_column import open_scores
from coresift.selection.scored import draw, require_size


def select(data: Data, size: Size | None, params: TopKParams, context: Context) -> Selection:
    """Choose the rows of best score, or draw them by another rule; ties go to the earlier row.

    What ``score``, ``weight`` and ``rank`` mean is said in :mod:`coresift.selection.scored`.
    With ``--threshold`` only rows that reach it are there to choose from, and all of them are
    taken without a size.
    """
    require_size(size, params, "top-k")
    if size is not None and params.per is None:
        size.resolve(data.rows)  # more than there is, told before the dump is read
    scored, notes = open_scores(data, params, context)
    drawn = draw(scored, size, params, context, per_group=params.per is not None)
    return replace(drawn, notes=(*notes, *drawn.notes))

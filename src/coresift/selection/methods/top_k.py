"""The rows of highest or lowest score, over all or per group, or drawn by their scores."""

from __future__ import annotations

from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.selection.base import Context, Data
from coresift.selection.params.top_k import TopKParams
from coresift.selection.reading.score_column import draw_by_column


def select(data: Data, size: Size | None, params: TopKParams, context: Context) -> Selection:
    """Choose the rows of best score, or draw them by another rule; ties go to the earlier row.

    What ``score``, ``weight`` and ``rank`` mean is said in :mod:`coresift.selection.draws.scored`.
    With ``--threshold`` only rows that reach it are there to choose from, and all of them are
    taken without a size.
    """
    return draw_by_column(data, size, params, context)

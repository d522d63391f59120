"""Stochastic batch acquisition: rows at random, the more likely the higher they score.

Kirsch et al., "Stochastic Batch Acquisition: A Simple Baseline for Deep Active Learning", TMLR
2023, section 3: the rows of best score are alike, and learning one changes the scores of the
others; noise on the scores makes up for it, at the cost of the best.
"""

from __future__ import annotations

from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.selection.base import Context, Data
from coresift.selection.params.stochastic import StochasticParams
from coresift.selection.reading.score_column import draw_by_column


def select(data: Data, size: Size | None, params: StochasticParams, context: Context) -> Selection:
    """Draw rows one after the other, without replacement, in proportion to f(score)^coldness.

    f is the score, its exponential, or one over its rank, as ``draw`` says. ``score`` is the
    row's score, ``rank`` 0 the row drawn first, of its group with ``--per``, and ``weight`` 1.
    """
    return draw_by_column(data, size, params, context)

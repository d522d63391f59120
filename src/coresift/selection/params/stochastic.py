"""Options of ``stochastic``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from coresift.selection.option import option
from coresift.selection.params.draw import GUMBEL
from coresift.selection.params.score import ScoreParams


@dataclass(frozen=True)
class StochasticParams(ScoreParams):
    """Options of ``stochastic``."""

    method: ClassVar[str] = "stochastic"

    draw: str = option(
        "Draw one row after the other in proportion to its score (power, for scores of 0 or "
        "more), the exponential of its score (softmax), or one over its rank (softrank).",
        default="power",
        choices=GUMBEL,
    )

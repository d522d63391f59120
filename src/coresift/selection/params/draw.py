"""Options of methods that give each row a score, and draw rows by it."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.core.errors import ParameterError
from coresift.selection.option import Params, option

GUMBEL = ("power", "softmax", "softrank")
# the rules that go by the seed
RANDOM = (*GUMBEL, "weighted", "threshold")


@dataclass(frozen=True)
class DrawParams(Params):
    """How rows are drawn by their scores."""

    draw: str = option(
        "How rows are drawn by their scores: the best; at random one after the other, in "
        "proportion to the score (power), its exponential (softmax) or one over its rank "
        "(softrank); with probabilities of inclusion in proportion to it (weighted), which "
        "weights make up for; or evenly among those that reach --threshold.",
        default="top",
        choices=("top", *RANDOM),
    )
    coldness: float = option(
        "How closely power, softmax and softrank follow the scores, as an exponent: 0 draws all "
        "rows alike, a large one the best.",
        kind="number",
        default=1.0,
        minimum=0.0,
        metavar="BETA",
    )
    threshold: float | None = option(
        "Only rows with at least this score (where low ones are preferred: at most) are there to "
        "draw from; -n may then be left out.",
        kind="number",
    )

    def check(self) -> None:
        """Refuse a coldness or a threshold that the rule has no use for, or lacks."""
        super().check()
        if self.coldness != 1.0 and self.draw not in GUMBEL:
            raise ParameterError(
                f"--coldness is about random draws, and --draw {self.draw} makes none by it",
                hint=f"draw by {', '.join(GUMBEL[:-1])} or {GUMBEL[-1]}",
            )
        if self.draw == "threshold" and self.threshold is None:
            raise ParameterError("--draw threshold needs a threshold", hint="give --threshold T")

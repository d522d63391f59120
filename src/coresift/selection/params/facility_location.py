"""Options of ``facility-location``."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.core.errors import ParameterError
from coresift.selection.option import option
from coresift.selection.params.similarity import SimilarityParams

_EPSILON = 0.1


@dataclass(frozen=True)
class FacilityLocationParams(SimilarityParams):
    """Options of ``facility-location``."""

    optimizer: str = option(
        "lazy: the row that adds most, again and again. stochastic: the one that adds most of a "
        "sample. threshold: any row that adds at least a threshold, which falls.",
        default="lazy",
        choices=("lazy", "stochastic", "threshold"),
    )
    epsilon: float | None = option(
        "Of stochastic and threshold: share of the best value that may be lost beside what lazy "
        "may lose. Default: 0.1.",
        kind="number",
        minimum=1e-3,
        maximum=0.9,
        metavar="SHARE",
    )
    neighbors: float | str | None = option(
        "A row is covered only by its so many most similar rows, or by all. Faster where many "
        "rows are chosen. Default: all, and in pools of more than 20,000 rows 8 x rows / chosen "
        "rows, unless that is more than 1,024.",
        kind="number",
        minimum=1,
        metavar="ROWS|all",
        words=("all",),
    )

    @property
    def loss(self) -> float:
        """``epsilon``, or its default."""
        return _EPSILON if self.epsilon is None else self.epsilon

    def check(self) -> None:
        """Refuse an epsilon without use, and neighbours that are not whole."""
        super().check()
        if self.epsilon is not None and self.optimizer == "lazy":
            raise ParameterError(
                "--epsilon is about --optimizer stochastic and threshold, and lazy loses nothing",
                hint="leave --epsilon out, or add --optimizer stochastic",
            )
        if isinstance(self.neighbors, float) and self.neighbors != int(self.neighbors):
            raise ParameterError(f"--neighbors {self.neighbors:g} is not a whole number")

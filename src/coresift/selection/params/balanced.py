"""Options of ``balanced``."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.core.errors import ParameterError
from coresift.selection.option import Params, option


@dataclass(frozen=True)
class BalancedParams(Params):
    """Options of ``balanced``."""

    within: str = option(
        "Which rows a cluster of the lowest level gives: random ones, or those closest to or "
        "farthest from its centroid.",
        default="random",
        choices=("random", "closest", "farthest"),
    )
    multiplier: float = option(
        "How often a row may be taken; -n is then up to so many times the rows, and the weight "
        "is how often a row was taken.",
        kind="number",
        default=1,
        minimum=1,
        metavar="TIMES",
    )

    def check(self) -> None:
        """Refuse a multiplier that is not whole."""
        super().check()
        if self.multiplier != int(self.multiplier):
            raise ParameterError(
                f"--multiplier {self.multiplier:g} is not a whole number",
                hint="a row is taken once, twice or more often",
            )

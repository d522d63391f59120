"""Options of ``prototypes``."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.core.errors import ParameterError
from coresift.selection.option import option
from coresift.selection.params.draw import DrawParams


@dataclass(frozen=True)
class PrototypesParams(DrawParams):
    """Options of ``prototypes``."""

    order: str = option(
        "Keep hard rows, far from their centroid, or easy ones, near it.",
        default="hard",
        choices=("hard", "easy"),
    )
    floor: float = option(
        "Each cluster keeps at least this share of the rows it would keep if all were cut alike: "
        "0 ranks all rows together, 1 each cluster alone.",
        kind="number",
        default=0.0,
        minimum=0.0,
        maximum=1.0,
        metavar="SHARE",
    )
    by: str | None = option(
        "Apply --floor to the values of this column, such as classes, instead of clusters.",
        kind="column",
        metavar="COLUMN",
    )

    def check(self) -> None:
        """Refuse groups without a floor, and a floor that is not of all rows."""
        super().check()
        if self.floor > 0.0 and self.threshold is not None:
            raise ParameterError(
                "--floor is a share of all rows, and --threshold leaves some out",
                hint="give one of them",
            )
        if self.by is not None and self.floor == 0.0:
            raise ParameterError(
                "--by says what --floor is for, and there is none", hint="add --floor 0.5"
            )

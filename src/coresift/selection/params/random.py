"""Options of ``random``."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.core.errors import ParameterError
from coresift.selection.option import Params, option


@dataclass(frozen=True)
class RandomParams(Params):
    """Options of ``random``."""

    by: str | None = option(
        "Stratify by this column: each value, null too, is a stratum.",
        kind="column",
        metavar="COLUMN",
    )
    shares: str = option(
        "How the strata share the rows: by their size, evenly, or by the square root of their "
        "size. A stratum smaller than its share gives all its rows, and the others more.",
        default="proportional",
        choices=("proportional", "equal", "sqrt"),
    )

    def check(self) -> None:
        """Refuse shares without strata."""
        super().check()
        if self.by is None and self.shares != "proportional":
            raise ParameterError(
                f"--shares {self.shares} needs strata", hint="name a column with --by COLUMN"
            )

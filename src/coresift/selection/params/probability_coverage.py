"""Options of ``probability-coverage``."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.core.errors import ParameterError
from coresift.selection.option import option
from coresift.selection.params.given import GivenParams


@dataclass(frozen=True)
class ProbabilityCoverageParams(GivenParams):
    """Options of ``probability-coverage``."""

    label: str | None = option(
        "A column with the class of each row, for the start; null where it is not known. Default: "
        "the class of largest probability.",
        kind="column",
        metavar="COLUMN",
    )
    shots: float = option(
        "Rows drawn of each class to start from, when none are given.",
        kind="number",
        default=1.0,
        minimum=1.0,
        metavar="ROWS",
    )

    def check(self) -> None:
        """Refuse two starts, and shots that are not whole."""
        super().check()
        if self.shots != int(self.shots):
            raise ParameterError(f"--shots {self.shots:g} is not a whole number")
        if self.given is not None and (self.label is not None or self.shots != 1.0):
            flag = "--shots" if self.label is None else "--label"
            raise ParameterError(
                f"{flag} is about the rows to start from, and --given has them",
                hint=f"leave {flag} or --given out",
            )

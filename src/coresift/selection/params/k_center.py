"""Options of ``k-center``."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.selection.option import option
from coresift.selection.params.given import GivenParams


@dataclass(frozen=True)
class KCenterParams(GivenParams):
    """Options of ``k-center``."""

    outliers: float = option(
        "Share of the rows that may be left uncovered. Each row is then drawn uniformly from the "
        "farthest, twice as many as may be left out.",
        kind="number",
        default=0.0,
        minimum=0.0,
        maximum=0.5,
        metavar="SHARE",
    )

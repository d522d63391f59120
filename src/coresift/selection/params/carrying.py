"""Options of ``coresift weights``."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.core.errors import ParameterError
from coresift.selection.option import Params, option


@dataclass(frozen=True)
class CarryingParams(Params):
    """Where learned weights are, and how they are carried to all rows."""

    weights: str = option(
        "The weights that were learned on the subset: one of its columns, or a Parquet file with "
        "a line for each of its rows. A column comes first; write ./NAME for a file of that name.",
        metavar="FILE|COLUMN",
    )
    weights_column: str | None = option(
        "The column of the file that holds the weights. Default: 'weight', or its only number.",
        metavar="COLUMN",
    )
    on: str | None = option(
        "Join the file to the subset by this column of both. Default: by the row id.",
        metavar="COLUMN",
    )
    by: str = option(
        "Whose weight a row takes: that of the nearest row of the subset; a mean over the nearest "
        "ones, those near counting more; or the mean over those in its cluster.",
        default="nearest",
        choices=("nearest", "kernel", "cluster"),
    )
    neighbors: float | None = option(
        "With --by kernel: how many of the nearest rows of the subset count.  [default: 10, or "
        "all of a smaller subset]",
        kind="number",
        minimum=1,
        metavar="K",
    )
    bandwidth: float | None = option(
        "With --by kernel: h in exp(-d^2 / (2 h^2)), d the distance to a row of the subset.  "
        "[default: the median distance of a row of the subset to the nearest other one]",
        kind="number",
        metavar="H",
    )
    normalize: str = option(
        "Scale the weights of all rows: not at all, to a mean of 1 (they then add up to the "
        "number of rows, and a learning rate keeps its meaning), or to a sum of 1 (shares to "
        "sample by).",
        default="none",
        choices=("none", "mean", "sum"),
    )

    def check(self) -> None:
        """Refuse values out of their bounds, and options of another rule."""
        super().check()
        if not self.weights:
            raise ParameterError("--weights is empty", hint="name a column of the subset or a file")
        for flag, value in (("--neighbors", self.neighbors), ("--bandwidth", self.bandwidth)):
            if value is not None and self.by != "kernel":
                raise ParameterError(
                    f"{flag} is an option of --by kernel", hint="leave it out, or add --by kernel"
                )
        if self.neighbors is not None and self.neighbors != int(self.neighbors):
            raise ParameterError(f"--neighbors {self.neighbors:g} is not a whole number")
        if self.bandwidth is not None and self.bandwidth <= 0.0:
            raise ParameterError(f"--bandwidth {self.bandwidth:g} is not more than 0")

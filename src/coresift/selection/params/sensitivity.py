"""Options of ``sensitivity``."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.core.errors import ParameterError
from coresift.selection.option import Params, option


@dataclass(frozen=True)
class SensitivityParams(Params):
    """Options of ``sensitivity``."""

    losses: str | None = option(
        "A file with the model's loss on each cluster's representative, joined by its column "
        "'cluster', or by --on.",
        kind="path",
        metavar="FILE",
    )
    losses_column: str | None = option(
        "The column of --losses that holds the loss. Default: 'loss', or the only number that "
        "representatives.parquet does not have.",
        metavar="COLUMN",
    )
    on: str | None = option(
        "Join --losses to the clustering's representatives by this column of both.",
        metavar="COLUMN",
    )
    loss: str | None = option(
        "A column, or an expression of columns, with the loss of every row.",
        kind="column",
        metavar="EXPR",
    )
    exponent: float = option(
        "z: how distances to the centroid count, as distance^z.",
        kind="number",
        default=2.0,
        minimum=0.1,
        maximum=10.0,
        metavar="Z",
    )
    lambda_: float | str | None = option(
        "How much distance^z counts beside the loss: a number, 'auto' (estimated from the "
        "losses: the 0.9 quantile of |difference of loss| / distance^z over clusters and their "
        "nearest neighbour), or 'balanced', at which losses and distances have equal shares of "
        "the total. Default: auto with --losses, balanced with --loss.",
        kind="number",
        minimum=0.0,
        metavar="NUMBER|auto|balanced",
        words=("auto", "balanced"),
    )
    mix: float | None = option(
        "Share of the probability that is spread evenly over all rows. Default: 0 with losses; "
        "0.5 without, so that rows at their centroid can be drawn and no weight exceeds twice "
        "the uniform one.",
        kind="number",
        minimum=0.0,
        maximum=1.0,
        metavar="SHARE",
    )
    with_replacement: bool = option(
        "Draw n times independently, as in the paper, and merge repeats: the rows are then at "
        "most n. Without it exactly n distinct rows are drawn.",
        kind="flag",
        default=False,
    )

    def check(self) -> None:
        """Refuse two sources of losses, and options of losses that are not there."""
        super().check()
        if self.losses is not None and self.loss is not None:
            raise ParameterError(
                "--losses and --loss are two sources of the loss", hint="give one of them"
            )
        if self.losses is None:
            for flag, value in (("--losses-column", self.losses_column), ("--on", self.on)):
                if value is not None:
                    raise ParameterError(
                        f"{flag} describes --losses, which is missing", hint="add --losses FILE"
                    )
        if self.lambda_ is not None and self.losses is None and self.loss is None:
            raise ParameterError(
                "--lambda weighs distances against losses, and there are none",
                hint="add --losses FILE or --loss COLUMN, or leave --lambda out",
            )

"""Options of ``max-min``."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.core.errors import ParameterError
from coresift.selection.option import option
from coresift.selection.params.pool import PoolParams


@dataclass(frozen=True)
class MaxMinParams(PoolParams):
    """Options of ``max-min``."""

    utility: str | None = option(
        "A column, or an expression of columns, with what each row is worth, 0 or more. Without "
        "it the least distance alone counts.",
        kind="column",
        metavar="EXPR",
    )
    lambda_: float | str | None = option(
        "How much the least distance counts beside the sum of the utilities. Default: 'auto', as "
        "much as rows are chosen, so that it counts as much as the mean utility.",
        kind="number",
        minimum=0.0,
        metavar="NUMBER|auto",
        words=("auto",),
    )
    epsilon: float = option(
        "The distances that are tried grow by 1 + epsilon: smaller is slower and closer to the "
        "guarantee.",
        kind="number",
        default=0.05,
        minimum=0.01,
        maximum=1.0,
    )

    def check(self) -> None:
        """Refuse a weight of distances beside utilities that are not there."""
        super().check()
        if self.lambda_ is not None and self.utility is None:
            raise ParameterError(
                "--lambda weighs the least distance against utilities, and there are none",
                hint="add --utility EXPR, or leave --lambda out",
            )

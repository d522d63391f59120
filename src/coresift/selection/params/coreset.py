"""Options of ``coreset``."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.core.errors import ParameterError
from coresift.selection.option import Params, option


@dataclass(frozen=True)
class CoresetParams(Params):
    """Options of ``coreset``."""

    objective: str = option(
        "What the weighted rows stand in for: the sum of squared distances to the nearest of any "
        "centers, the sum of distances, or the largest distance.",
        default="kmeans",
        choices=("kmeans", "kmedian", "kcenter"),
    )
    construction: str | None = option(
        "How rows are chosen: by a bound of their sensitivity or by groups of rings, both from "
        "--clusters; by their distance to the mean (lightweight); or as the borders of intervals "
        "(kmedian in one dimension). Default: sensitivity with --clusters; without, intervals "
        "where they can be, and else lightweight.",
        choices=("sensitivity", "group", "lightweight", "intervals"),
    )
    weight: str | None = option(
        "A column, or an expression of columns, that says how many rows each row stands for: a "
        "coreset of coresets is a coreset of the whole. Default: each stands for itself.",
        kind="column",
        metavar="EXPR",
    )
    epsilon: float = option(
        "The error that group sampling cuts its rings for: what costs so little that it cannot "
        "change sums by more is represented by a single row.",
        kind="number",
        default=0.5,
        minimum=0.01,
        maximum=1.0,
        metavar="ERROR",
    )
    with_replacement: bool = option(
        "Draw n times independently, as in the papers, and merge repeats: the rows are then at "
        "most n. Without it exactly n distinct rows are drawn. For sensitivity and lightweight.",
        kind="flag",
        default=False,
    )

    def check(self) -> None:
        """Refuse options that do not go together."""
        super().check()
        if self.construction is not None and self.objective == "kcenter":
            raise ParameterError(
                f"--construction {self.construction} is about sums of distances, and --objective "
                "kcenter about the largest",
                hint="leave --construction out",
            )
        if self.construction == "intervals" and self.objective != "kmedian":
            raise ParameterError(
                "--construction intervals is for k-median", hint="add --objective kmedian"
            )
        if self.with_replacement and self.construction in ("group", "intervals"):
            raise ParameterError(
                f"--with-replacement is not for --construction {self.construction}",
                hint="leave it out, or use sensitivity or lightweight",
            )
        if self.with_replacement and self.objective == "kcenter":
            raise ParameterError("--with-replacement draws rows, and kcenter draws none")

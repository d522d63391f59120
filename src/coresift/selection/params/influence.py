"""Options of ``influence``."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.core.errors import ParameterError
from coresift.selection.option import option
from coresift.selection.params.draw import DrawParams
from coresift.selection.params.gradients import GradientParams


@dataclass(frozen=True)
class InfluenceParams(DrawParams, GradientParams):
    """Options of ``influence``."""

    aggregate: str | None = option(
        "What is made of the influence on several target rows (or tasks): the mean, the largest, "
        "or none: in turn each takes its best row that is not yet taken (round-robin). Default: "
        "mean; of tasks, max.",
        choices=("mean", "max", "round-robin"),
    )
    sign: str = option(
        "Prefer the rows that help the target, or those that harm it, such as mislabelled ones.",
        default="help",
        choices=("help", "harm"),
    )
    per_cluster: bool = option(
        "Share the rows evenly among the clusters of --clusters, and choose the best of each; a "
        "cluster with fewer rows gives all of them, and the others more.",
        kind="flag",
        default=False,
    )

    def check(self) -> None:
        """Refuse options that do not go together."""
        super().check()
        if self.aggregate != "round-robin":
            return
        for flag, given in (
            (f"--draw {self.draw}", self.draw != "top"),
            ("--threshold", self.threshold is not None),
            ("--per-cluster", self.per_cluster),
        ):
            if given:
                raise ParameterError(
                    f"--aggregate round-robin takes rows in turn, and {flag} by one score",
                    hint=f"leave {flag} out, or use --aggregate mean or max",
                )

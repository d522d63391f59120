"""Options of ``bandit``."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.core.errors import ParameterError
from coresift.core.size import Size
from coresift.selection.option import Params, option
from coresift.selection.params.gradients import GradientParams


@dataclass(frozen=True)
class RuleParams(Params):
    """How clusters are judged, and rows are chosen of those that were scored."""

    alpha: float = option(
        "How much clusters that were little drawn from are favoured, in standard deviations of "
        "the reward within clusters: 0 goes by the rewards seen alone.",
        kind="number",
        default=0.3,
        minimum=0.0,
    )
    batch: float = option(
        "Rows drawn from a cluster at a time.", kind="number", default=10, minimum=1.0, metavar="N"
    )
    reward: str = option(
        "What rewards a cluster: the share of the rows drawn from it that are among the best "
        "--top of all rows, or their mean score, as in the paper, which says less where few rows "
        "of a cluster have a high score.",
        default="hits",
        choices=("hits", "mean"),
    )
    top: str | None = option(
        "For --reward hits: the share of all rows that counts as the best. Default: what -n is of "
        "them; of the commands `coresift bandit`, 5%.",
        metavar="SHARE",
    )
    diversity: float = option(
        "How far rows of clusters that are chosen from less than others are preferred, in "
        "standard deviations of the score within clusters: 0 takes the best of the rows scored.",
        kind="number",
        default=0.4,
        minimum=0.0,
    )

    def check(self) -> None:
        """Refuse a batch that is no count, and a share that nothing asks for."""
        super().check()
        if self.batch != int(self.batch):
            raise ParameterError(f"--batch {self.batch:g} is not a whole number")
        if self.top is not None and self.reward != "hits":
            raise ParameterError(
                "--top is about --reward hits, and the reward is the mean",
                hint="leave one of them out",
            )
        if self.top is not None and Size.parse(self.top).share is None:
            raise ParameterError(f"--top {self.top!r} is not a share", hint="for example --top 5%")


@dataclass(frozen=True)
class BanditParams(RuleParams, GradientParams):
    """Options of ``bandit``."""

    score: str | None = option(
        "Take the score from a column, or an expression of columns, instead of gradients; only "
        "row groups that are needed are read.",
        kind="column",
        metavar="EXPR",
    )
    most: str | None = option(
        "The most rows to score, as a count or a share. Default: 5 times -n.", metavar="N"
    )
    threshold: float | None = option(
        "Stop when -n rows with at least this score were found, and choose from these; it is "
        "in the units of the score.",
        kind="number",
    )
    per_round: float | None = option(
        "Rows scored together before clusters are judged anew. Default: a 32nd of --most, so "
        "that files are read that often at most.",
        kind="number",
        minimum=1.0,
        metavar="N",
    )

    def check(self) -> None:
        """Refuse counts that are none."""
        super().check()
        if self.most is not None:
            Size.parse(self.most)
        if self.per_round is not None and self.per_round != int(self.per_round):
            raise ParameterError(f"--per-round {self.per_round:g} is not a whole number")

    def _check_source(self, *, factors: bool) -> None:
        given = [
            item.flag
            for item in GradientParams.options()
            if getattr(self, item.field) != item.default
        ]
        if self.score is not None and given:
            raise ParameterError(
                f"--score is a source of the score, and {given[0]} is about another",
                hint="give one of them",
            )
        if self.score is None and not given:
            raise ParameterError(
                "bandit needs gradients or a score",
                hint="give --gradient COLUMN and --target PATH, or --score EXPR",
            )
        if self.score is None:
            super()._check_source(factors=factors)

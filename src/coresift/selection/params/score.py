"""Options of methods that are given a score: a column, an expression, or a file of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from coresift.core.errors import ParameterError
from coresift.selection.option import Params, option
from coresift.selection.params.draw import DrawParams


@dataclass(frozen=True)
class _Given(Params):
    """Where the score of a row is, and which are preferred."""

    method: ClassVar[str]

    score: str | None = option(
        "A column, or an expression of columns such as 'quality - 0.1 * perplexity'; of the "
        "file given to --scores when there is one, where it defaults to the column 'score', or "
        "the only number beside the id.",
        kind="column",
        metavar="EXPR",
    )
    lowest: bool = option("Prefer the lowest scores.", kind="flag", default=False)
    per: str | None = option(
        "Choose within each value of this column, null too: -n is then per group, and a group "
        "with fewer rows gives all of them.",
        kind="column",
        metavar="COLUMN",
    )
    scores: str | None = option(
        "A file or directory that holds the scores, joined by --on; each row to choose from "
        "must have exactly one.",
        kind="path",
        metavar="FILE",
    )
    on: str | None = option(
        "The column, of the dump and of --scores, that tells which score is whose.",
        kind="column",
        metavar="COLUMN",
    )

    def check(self) -> None:
        """Refuse a missing score, and a join with one of its halves missing."""
        super().check()
        if self.score is None and self.scores is None:
            raise ParameterError(
                f"{self.method} needs a score",
                hint="give --score EXPR, or --scores FILE --on COLUMN",
            )
        if (self.scores is None) != (self.on is None):
            raise ParameterError("--scores and --on go together", hint="give both or neither")


@dataclass(frozen=True)
class ScoreParams(DrawParams, _Given):
    """Scores that are given, and how rows are drawn by them."""

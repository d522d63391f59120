"""Options of ``dedup``."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.core.errors import ParameterError
from coresift.selection.option import Params, option


@dataclass(frozen=True)
class DedupParams(Params):
    """Options of ``dedup``."""

    threshold: float | None = option(
        "Rows of at least this cosine similarity are duplicates.",
        kind="number",
        minimum=-1.0,
        maximum=1.0,
        metavar="COSINE",
    )
    epsilon: float | None = option(
        "Rows at most this Euclidean distance apart are duplicates; under --metric cosine, of "
        "vectors scaled to norm 1.",
        kind="number",
        minimum=0.0,
        metavar="DISTANCE",
    )
    target: str | None = option(
        "Find the highest --threshold that leaves at most so many rows, or such a share of them.",
        metavar="N|P%",
    )
    keep: str = option(
        "Which row of a group is kept: the first in the dump, the closest to or the farthest from "
        "its centroid (with --clusters), or the one of the highest score, a column or an "
        "expression of columns. Ties go to the first row.",
        default="first",
        metavar="first|closest|farthest|best:EXPR",
    )
    linkage: str = option(
        "What makes a group. greedy: a row is dropped only for a better row that is itself kept. "
        "components: all that is connected by chains of duplicates, of which one row is kept. "
        "semdedup: a row is dropped for any better row, kept or not, as published.",
        default="greedy",
        choices=("greedy", "components", "semdedup"),
    )
    probe: float | str = option(
        "With --clusters: compare rows within their cluster (0) and with those of so many other "
        "clusters whose border is nearest; all finds every pair.",
        kind="number",
        default="all",
        minimum=0.0,
        metavar="P|all",
        words=("all",),
    )
    against: tuple[str, ...] | None = option(
        "Drop the rows that are near a row of this other dump, and no others: training rows near "
        "a test set, for example. May be given several times.",
        kind="paths",
        metavar="PATH",
    )
    pairs: str | None = option(
        "Write a table of the dropped rows too: `row`, `duplicate_of`, the row that it was "
        "dropped for (with --against, counted through its dumps), and their `similarity` (a "
        "distance with --epsilon).",
        kind="output",
        metavar="FILE.parquet",
    )

    @property
    def score(self) -> str | None:
        """The expression of ``best:EXPR``."""
        kind, _, text = self.keep.partition(":")
        return text if kind == "best" and text else None

    def check(self) -> None:
        """Refuse no threshold, several, and options that do not go together."""
        super().check()
        given = [
            name for name in ("threshold", "epsilon", "target") if getattr(self, name) is not None
        ]
        if len(given) != 1:
            said = " and ".join(f"--{name}" for name in given)
            raise ParameterError(
                f"{said} exclude each other" if given else "dedup needs a threshold",
                hint="give one of --threshold COSINE, --epsilon DISTANCE and --target N",
            )
        if self.score is None and self.keep not in ("first", "closest", "farthest"):
            raise ParameterError(
                f"--keep {self.keep!r} is not one of first, closest, farthest, best:EXPR"
            )
        if isinstance(self.probe, float) and self.probe != int(self.probe):
            raise ParameterError(f"--probe {self.probe:g} is not a whole number")
        if self.pairs is not None and not self.pairs.endswith(".parquet"):
            raise ParameterError(f"--pairs {self.pairs!r} does not end in .parquet")
        if self.against is not None:
            for item in self.options():
                value = getattr(self, item.field)
                if item.field in ("target", "keep", "linkage", "probe") and value != item.default:
                    raise ParameterError(
                        f"{item.flag} is about duplicates in one dump, and --against compares two",
                        hint=f"leave {item.flag} out, or run without --against first",
                    )

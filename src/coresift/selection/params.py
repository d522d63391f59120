"""The options of each selection method: one frozen dataclass per method."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.core.errors import ParameterError
from coresift.selection.option import Params, option


@dataclass(frozen=True)
class RandomParams(Params):
    """Options of ``random``."""

    by: str | None = option(
        "Stratify by this column: each value, null too, is a stratum.", metavar="COLUMN"
    )
    shares: str = option(
        "How the strata share the rows: by their size, evenly, or by the square root of their "
        "size. A stratum smaller than its share gives all its rows, and the others more.",
        default="proportional",
        choices=("proportional", "equal", "sqrt"),
    )

    def check(self) -> None:
        """Refuse shares without strata."""
        super().check()
        if self.by is None and self.shares != "proportional":
            raise ParameterError(
                f"--shares {self.shares} needs strata", hint="name a column with --by COLUMN"
            )


@dataclass(frozen=True)
class BalancedParams(Params):
    """Options of ``balanced``."""

    within: str = option(
        "Which rows a cluster of the lowest level gives: random ones, or those closest to or "
        "farthest from its centroid.",
        default="random",
        choices=("random", "closest", "farthest"),
    )
    multiplier: float = option(
        "How often a row may be taken; -n is then up to so many times the rows, and the weight "
        "is how often a row was taken.",
        kind="number",
        default=1,
        minimum=1,
        metavar="TIMES",
    )

    def check(self) -> None:
        """Refuse a multiplier that is not whole."""
        super().check()
        if self.multiplier != int(self.multiplier):
            raise ParameterError(
                f"--multiplier {self.multiplier:g} is not a whole number",
                hint="a row is taken once, twice or more often",
            )


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


@dataclass(frozen=True)
class GivenParams(Params):
    """What methods take that choose rows for how they cover the data together."""

    given: str | None = option(
        "Rows that are held already, such as a labelled set: an earlier selection from this dump, "
        "or any Parquet with a column `row`. They cover what is near them and are not chosen "
        "again.",
        kind="path",
        metavar="SUBSET",
    )


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


@dataclass(frozen=True)
class PrototypesParams(Params):
    """Options of ``prototypes``."""

    order: str = option(
        "Keep hard rows, far from their centroid, or easy ones, near it.",
        default="hard",
        choices=("hard", "easy"),
    )
    floor: float = option(
        "Each cluster keeps at least this share of the rows it would keep if all were cut alike: "
        "0 ranks all rows together, 1 each cluster alone.",
        kind="number",
        default=0.0,
        minimum=0.0,
        maximum=1.0,
        metavar="SHARE",
    )
    by: str | None = option(
        "Apply --floor to the values of this column, such as classes, instead of clusters.",
        metavar="COLUMN",
    )

    def check(self) -> None:
        """Refuse groups without a floor."""
        super().check()
        if self.by is not None and self.floor == 0.0:
            raise ParameterError(
                "--by says what --floor is for, and there is none", hint="add --floor 0.5"
            )


@dataclass(frozen=True)
class TopKParams(Params):
    """Options of ``top-k``."""

    score: str | None = option(
        "A column, or an expression of columns such as 'quality - 0.1 * perplexity'; of the "
        "file given to --scores when there is one, where it defaults to the column 'score', or "
        "the only number beside the id.",
        metavar="EXPR",
    )
    lowest: bool = option("Prefer the lowest scores.", kind="flag", default=False)
    threshold: float | None = option(
        "Keep rows with at least this score (with --lowest: at most); -n may then be left out.",
        kind="number",
    )
    per: str | None = option(
        "Choose within each value of this column, null too: -n is then per group, and a group "
        "with fewer rows gives all of them.",
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
        metavar="COLUMN",
    )

    def check(self) -> None:
        """Refuse a missing score, and a join with one of its halves missing."""
        super().check()
        if self.score is None and self.scores is None:
            raise ParameterError(
                "top-k needs a score", hint="give --score EXPR, or --scores FILE --on COLUMN"
            )
        if (self.scores is None) != (self.on is None):
            raise ParameterError("--scores and --on go together", hint="give both or neither")


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
        "A column, or an expression of columns, with the loss of every row.", metavar="EXPR"
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
        "nearest neighbour), or 'balanced', the default, at which losses and distances have "
        "equal shares of the total.",
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

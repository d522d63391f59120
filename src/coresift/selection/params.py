"""The options of each selection method: one frozen dataclass per method.

The command line makes its options, and Python its keywords, from the fields; nothing heavy
is imported here.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from coresift.core.errors import ParameterError

Kind = Literal["text", "path", "number", "flag"]


@dataclass(frozen=True)
class Option:
    """One option of a method, as the command line shows it.

    Attributes
    ----------
    field : str
        Name of the dataclass field.
    name : str
        Name in JSON, in a config file and as a Python key: ``with_replacement``.
    flag : str
        On the command line: ``--with-replacement``.
    kind : {"text", "path", "number", "flag"}
        What it takes; a flag takes nothing.
    help : str
        One or two sentences.
    default : object
        None when there is none, or when ``help`` says what happens without it.
    metavar : str
        What stands for the value in help.
    choices : tuple of str
        Allowed texts; empty when any will do.
    minimum, maximum : float or None
        Bounds of a number, both inclusive.
    words : tuple of str
        Words that a number may be replaced by.
    """

    field: str
    name: str
    flag: str
    kind: Kind
    help: str
    default: str | float | bool | None
    metavar: str
    choices: tuple[str, ...]
    minimum: float | None
    maximum: float | None
    words: tuple[str, ...]

    def read(self, value: object) -> str | float | bool | None:
        """Value of the option's kind, within its bounds.

        Raises
        ------
        ParameterError
            Naming the option, the value found and what is expected.
        """
        if value is None:
            return self.default
        if self.kind == "flag":
            if not isinstance(value, bool):
                raise ParameterError(f"{self.flag} {value!r} is neither true nor false")
            return value
        if self.kind == "number":
            return self._number(value)
        text = str(value)
        if self.choices and text not in self.choices:
            raise ParameterError(f"{self.flag} {text!r} is not one of {', '.join(self.choices)}")
        return text

    def _number(self, value: object) -> str | float:
        if isinstance(value, str) and value in self.words:
            return value
        try:
            number = float(str(value))
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            words = "".join(f" or {word}" for word in self.words)
            raise ParameterError(f"{self.flag} {value!r} is not a number{words}")
        if self.minimum is not None and number < self.minimum:
            raise ParameterError(f"{self.flag} {number:g} is less than {self.minimum:g}")
        if self.maximum is not None and number > self.maximum:
            raise ParameterError(f"{self.flag} {number:g} is more than {self.maximum:g}")
        return number


def option(
    text: str,
    *,
    kind: Kind = "text",
    default: str | float | bool | None = None,
    metavar: str = "",
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    words: tuple[str, ...] = (),
) -> Any:
    """Declare a dataclass field that is an option."""
    return dataclasses.field(
        default=default,
        metadata={
            "kind": kind,
            "help": text,
            "default": default,
            "metavar": metavar or "|".join(choices) or kind.upper(),
            "choices": choices,
            "minimum": minimum,
            "maximum": maximum,
            "words": words,
        },
    )


@dataclass(frozen=True)
class Params:
    """The options of one method; subclasses add the fields."""

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """Return the options in the order they are shown."""
        found = []
        for item in dataclasses.fields(cls):
            name = item.name.rstrip("_")
            flag = "--" + name.replace("_", "-")
            found.append(Option(field=item.name, name=name, flag=flag, **item.metadata))
        return tuple(found)

    @classmethod
    def build(cls, values: Mapping[str, object], method: str) -> Self:
        """Read options by name and check them.

        Raises
        ------
        ParameterError
            When a name is unknown, a value is out of its bounds, or options do not go together.
        """
        known = {item.name: item for item in cls.options()}
        read = {}
        for key, value in values.items():
            item = known.get(key.replace("-", "_").rstrip("_"))
            if item is None:
                near = difflib.get_close_matches(key, known, 1)
                names = ", ".join(known)
                raise ParameterError(
                    f"{method} has no option {key!r}",
                    hint=f"did you mean {near[0]!r}?" if near else f"it has {names}",
                )
            read[item.field] = item.read(value)
        params = cls(**read)
        params.check()
        return params

    def check(self) -> None:
        """Refuse values that are out of bounds, and options that do not go together.

        Raises
        ------
        ParameterError
            Naming the options.
        """
        for item in self.options():
            item.read(getattr(self, item.field))

    def to_json(self) -> dict[str, str | float | bool | None]:
        """Return the options by name."""
        return {item.name: getattr(self, item.field) for item in self.options()}


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

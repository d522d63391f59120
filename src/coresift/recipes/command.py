"""What a step of a recipe can run, as the command line describes it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from coresift.core.errors import CoresiftError

if TYPE_CHECKING:
    from coresift.io.provenance import Provenance

Kind = Literal["text", "flag", "integer", "number", "path", "output", "column", "columns"]
# how many names a hint lists
_LISTED = 12


class RecipeError(CoresiftError):
    """A recipe that cannot be run as it is written."""


@dataclass(frozen=True)
class Key:
    """One key of a step: an option of its command, or an argument.

    Attributes
    ----------
    name : str
        The option's name with underscores, without the dashes before it.
    flag, off, short : str
        On the command line; empty for an argument. ``off`` is the other side of a flag that is
        set by default. The short one, without its dash, is no key, but what people may write.
    kind : str
        What its value is. ``path`` is read and ``output`` is written; ``column`` is a column of
        the input, or an expression of some; ``columns`` are names separated by commas.
    help : str
        As ``--help`` says it.
    default : object
        None when there is none.
    choices, words : tuple of str
        Texts that are allowed: no others, or beside a number.
    minimum, maximum : float or None
        Bounds of a number, both inclusive.
    many, listed : bool
        Whether it may be given several times, or takes several values in one, with commas; both
        are a list in a recipe.
    required : bool
        Whether the command does not run without it.
    """

    name: str
    flag: str
    kind: Kind
    help: str
    default: str | float | bool | None = None
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    many: bool = False
    listed: bool = False
    off: str = ""
    short: str = ""
    required: bool = False


class Command(Protocol):
    """A command that a step can run.

    Attributes
    ----------
    name : str
        As in ``run = "select dedup"``.
    keys : mapping of str to Key
        What a step may say, by name.
    suffix : str
        Of the file that the output is where it is not a directory by default.
    writes : bool
        Whether it takes ``-o``; if not, what it prints with ``--json`` is the output.
    adds : tuple of str
        Columns that it adds to those of its input.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def keys(self) -> Mapping[str, Key]: ...  # noqa: D102
    @property
    def suffix(self) -> str: ...  # noqa: D102
    @property
    def writes(self) -> bool: ...  # noqa: D102
    @property
    def adds(self) -> tuple[str, ...]: ...  # noqa: D102

    def arguments(self, values: Mapping[str, object], output: Path) -> list[str]:
        """The command line, without the program's name."""
        ...

    def foresee(self, arguments: Sequence[str]) -> Provenance:
        """Check all that can be checked before the work, and say what the result would come from.

        Raises
        ------
        CoresiftError
            What the command itself would say.
        """
        ...

    def run(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Run it; return what it prints with ``--json``."""
        ...


Commands = Mapping[str, Command]


def unknown(what: str, found: str, known: Iterable[str]) -> RecipeError:
    """An error about a name that there is none of, with the nearest there is."""
    names = list(known)
    near = difflib.get_close_matches(found, names, 1)
    more = ", and more" if len(names) > _LISTED else ""
    listed = f"there are {', '.join(names[:_LISTED])}{more}" if names else None
    return RecipeError(f"{what} {found!r}", hint=f"did you mean {near[0]!r}?" if near else listed)

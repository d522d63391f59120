"""What options take, as the shell completes it and recipes check it."""

from __future__ import annotations

from typing import Literal

import click
from click.shell_completion import CompletionItem


class PathText(click.types.StringParamType):
    """A file, a directory, a glob or a URI.

    Parameters
    ----------
    role : {"read", "written", "place"}
        What becomes of it; a place is a folder that need not be there.
    folder : bool
        Whether only directories will do.
    words : tuple of str
        What may stand in its place.
    """

    name = "path"

    def __init__(
        self,
        role: Literal["read", "written", "place"] = "read",
        *,
        folder: bool = False,
        words: tuple[str, ...] = (),
    ) -> None:
        self.role = role
        self.words = words
        self._kind = "dir" if folder else "file"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Let the shell complete a path itself, or one of the words."""
        return [CompletionItem(incomplete, type=self._kind), *_started(self.words, incomplete)]


class Columns(click.types.StringParamType):
    """A column of the input, an expression of columns, or names with commas between them.

    Parameters
    ----------
    many : bool
        Whether it is names with commas.
    """

    name = "column"

    def __init__(self, *, many: bool = False) -> None:
        self.many = many

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Names of the columns of the first PATH, where it is there."""
        before, comma, last = incomplete.rpartition(",") if self.many else ("", "", incomplete)
        return [
            CompletionItem(before + comma + name)
            for name in _columns_of(ctx)
            # a line tells the shell of one name
            if name.startswith(last) and name.isprintable()
        ]


class RecipeName(click.types.StringParamType):
    """A recipe: a file, or the name of one that is shipped."""

    name = "recipe"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Names of those that are shipped, and else files."""
        from coresift.recipes.shipped import names

        found = [CompletionItem(name) for name in names() if name.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type="file")]


class MethodName(click.types.StringParamType):
    """A selection method; a wrong name is told later, with the nearest there is."""

    name = "method"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Names and summaries of the methods."""
        from coresift.selection.registry import METHODS

        return [
            CompletionItem(method.name, help=method.summary)
            for method in METHODS.values()
            if method.name.startswith(incomplete)
        ]


class Number(click.types.FloatParamType):
    """A number with bounds, which the params of a method check with the rest.

    Parameters
    ----------
    minimum, maximum : float or None
        Bounds, both inclusive.
    """

    def __init__(self, minimum: float | None, maximum: float | None) -> None:
        self.minimum = minimum
        self.maximum = maximum


class NumberOrWord(click.types.StringParamType):
    """A number with bounds, or one of some words; the params of a method tell them apart.

    Parameters
    ----------
    minimum, maximum : float or None
        Bounds, both inclusive.
    words : tuple of str
        What may stand for the number.
    """

    def __init__(
        self, minimum: float | None, maximum: float | None, words: tuple[str, ...]
    ) -> None:
        self.minimum = minimum
        self.maximum = maximum
        self.words = words

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """The words."""
        return _started(self.words, incomplete)


READ = PathText()
WRITTEN = PathText("written")
FOLDER = PathText(folder=True)
PLACE = PathText("place", folder=True)
COLUMN = Columns()
COLUMNS = Columns(many=True)


def _started(words: tuple[str, ...], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def _columns_of(context: click.Context) -> list[str]:
    """Columns of the dump that a command line names so far; none where it cannot be read."""
    # where the option that is completed has no value yet, PATHs are left among the arguments
    paths = context.params.get("full") or context.params.get("paths") or context.args
    if not paths:
        return []
    from coresift.core.errors import CoresiftError
    from coresift.io.dump import open_dump

    try:
        # one file tells the columns of all, and a dump may have very many
        return list(open_dump(list(paths)[:1]).schema.names)
    except (CoresiftError, OSError):
        return []

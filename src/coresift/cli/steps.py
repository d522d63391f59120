"""The commands that a step of a recipe can run: the same, by the same options."""

from __future__ import annotations

import copy
import importlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coresift.cli import console
from coresift.cli.config import public_name
from coresift.cli.options import DEBUG, LENT
from coresift.cli.types import Columns, Number, NumberOrWord, PathText
from coresift.core.errors import ParameterError
from coresift.recipes.command import Command, Key, Kind
from coresift.selection import registry
from coresift.selection.registry import Method

if TYPE_CHECKING:
    from coresift.io.provenance import Provenance

_NAMES = ("cluster", "compare", "evaluate", "gradients", "inspect", "report", "weights")
# what the run decides, for all steps
_WITHHELD = frozenset(
    (
        *("output", "overwrite", "config", "json", "quiet", "no_progress", "debug"),
        *("plan", "machines", "terminal"),
    )
)
# metavars of options that take several values in one
_LISTED = ("A,B", "N[,N...]")
_SUFFIXES = {"evaluate": ".json", "inspect": ".json", "report": ".html"}


class _ForeseenError(Exception):
    """Stops a command before its work, and says what its result would come from."""

    def __init__(self, provenance: Provenance) -> None:
        super().__init__()
        self.provenance = provenance


@dataclass(frozen=True)
class ClickCommand:
    """A command of the program as a step; see :class:`coresift.recipes.command.Command`."""

    name: str
    command: click.Command
    adds: tuple[str, ...] = ()
    quiet: bool = True

    @cached_property
    def keys(self) -> Mapping[str, Key]:
        """What a step may say."""
        found = (_key(parameter) for parameter in self.command.params)
        return {key.name: key for key in found if key is not None}

    @property
    def writes(self) -> bool:
        """Whether it takes ``-o``."""
        return any(parameter.name == "output" for parameter in self.command.params)

    @property
    def suffix(self) -> str:
        """Of the file that it makes; a directory has none."""
        return _SUFFIXES.get(self.name, "")

    def arguments(self, values: Mapping[str, object], output: Path) -> list[str]:
        """The command line, without the program's name."""
        named: list[str] = []
        placed: list[str] = []
        for name, value in values.items():
            key = self.keys[name]
            items = value if isinstance(value, list) else [value]
            if not key.flag:
                placed += map(str, items)
            elif key.kind == "flag":
                side = key.flag if _truth(key, value) else key.off
                named += [side] if side else []
            elif key.many:
                named += [text for item in items for text in _option(key, item)]
            elif isinstance(value, list) and not key.listed:
                raise ParameterError(f"{key.name} takes one value, not a list")
            else:
                named += _option(key, ",".join(map(_text, items)))
        if self.writes:
            named += ["-o", str(output)]
        # what begins with a dash is a path only behind two of them
        parts = [named, ["--"], placed] if _dashed(placed) else [placed, named]
        return [*self.name.split(), *itertools.chain(*parts)]

    def foresee(self, arguments: Sequence[str]) -> Provenance:
        """Check all that can be checked before the work."""

        def announce(provenance: Provenance) -> None:
            raise _ForeseenError(provenance)

        try:
            self._invoke(arguments, {"announce": announce})
        except _ForeseenError as found:
            return found.provenance
        raise AssertionError(f"{self.name} did not announce its result")

    def run(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Run it; return what it prints with ``--json``."""
        return self._invoke(arguments, {})

    def _invoke(self, arguments: Sequence[str], lent: Mapping[str, Any]) -> dict[str, Any]:
        given = list(arguments[len(self.name.split()) :])
        given[:0] = [
            "--json",
            *(["--overwrite"] if self.writes else []),
            *(["--quiet"] if self.quiet else []),
        ]
        outer = click.get_current_context(silent=True)
        try:
            with (
                console.handed_over() as printed,
                self.command.make_context(self.name, given) as context,
            ):
                if outer is not None:
                    context.meta[DEBUG] = outer.meta.get(DEBUG)
                context.meta[LENT] = dict(lent)
                self.command.invoke(context)
        except click.UsageError as error:
            raise ParameterError(error.format_message()) from error
        (value,) = printed
        assert isinstance(value, dict)
        return value


def commands(*, quiet: bool = True) -> dict[str, Command]:
    """What steps can run, by name; ``quiet`` ones show no progress."""
    named = [_named(name) for name in _NAMES]
    found = [*named, *(_selecting(method) for method in registry.METHODS.values())]
    return {command.name: replace(command, quiet=quiet) for command in found}


def _named(name: str) -> ClickCommand:
    command: click.Command = importlib.import_module(f"coresift.cli.commands.{name}").command
    return ClickCommand(name, _without_environment(command))


def _selecting(method: Method) -> ClickCommand:
    from coresift.cli.commands import select

    return ClickCommand(f"select {method.name}", select.build(method), method.adds)


def _without_environment(command: click.Command) -> click.Command:
    """A command that takes its options from the recipe alone, on every machine."""
    alone = copy.copy(command)
    alone.params = [copy.copy(parameter) for parameter in command.params]
    for parameter in alone.params:
        parameter.envvar = None
    return alone


def _key(parameter: click.Parameter) -> Key | None:
    """A parameter as the key of a step; None for those that are not."""
    name = str(parameter.name)
    if isinstance(parameter, click.Argument):
        if not parameter.required:
            return None
        text = "What to read: files, directories, globs or URIs."
        key = Key(name, "", "path", text, many=parameter.nargs == -1)
    else:
        assert isinstance(parameter, click.Option)
        name = public_name(parameter)
        if name in _WITHHELD:
            return None
        default = parameter.to_info_dict()["default"]
        key = Key(
            name=name,
            flag=max(parameter.opts, key=len),
            off=(parameter.secondary_opts or [""])[0],
            short=min(parameter.opts, key=len).lstrip("-"),
            kind="flag" if parameter.is_flag else _kind(parameter.type),
            help=" ".join((parameter.help or "").split()),
            default=default if isinstance(default, str | int | float) and default != "" else None,
            many=parameter.multiple,
            listed=parameter.metavar in _LISTED,
        )
    least, most = _bounds(parameter.type)
    choices = parameter.type.choices if isinstance(parameter.type, click.Choice) else ()
    return replace(
        key,
        minimum=least,
        maximum=most,
        choices=tuple(map(str, choices)),
        words=getattr(parameter.type, "words", ()),
        required=parameter.required,
    )


def _kind(kind: object) -> Kind:
    if isinstance(kind, PathText):
        roles: dict[str, Kind] = {"read": "path", "written": "output", "place": "text"}
        return roles[kind.role]
    if isinstance(kind, Columns):
        return "columns" if kind.many else "column"
    if isinstance(kind, click.types.IntParamType):
        return "integer"
    numbers = Number | NumberOrWord | click.types.FloatParamType
    return "number" if isinstance(kind, numbers) else "text"


def _bounds(kind: object) -> tuple[float | None, float | None]:
    if isinstance(kind, Number | NumberOrWord):
        return kind.minimum, kind.maximum
    if isinstance(kind, click.IntRange | click.FloatRange):
        return kind.min, kind.max
    return None, None


def _truth(key: Key, value: object) -> bool:
    if isinstance(value, bool):
        return value
    words = {"true": True, "false": False}
    if value not in words:
        raise ParameterError(f"{key.name} {value!r} is neither true nor false")
    return words[str(value)]


def _option(key: Key, value: object) -> list[str]:
    """An option and its value, in one where the value would be taken for an option."""
    text = _text(value)
    return [f"{key.flag}={text}"] if _dashed([text]) else [key.flag, text]


def _dashed(texts: Sequence[str]) -> bool:
    return any(text.startswith("-") for text in texts)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

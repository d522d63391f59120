"""A recipe: its text read and checked as a whole, before anything is run."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from coresift.core.errors import CoresiftError
from coresift.recipes.command import Command, Commands, RecipeError, unknown
from coresift.recipes.variables import (
    Places,
    Variable,
    read_variables,
    require_name,
    require_value,
    resolve,
)

_TABLES = ("summary", "variables", "common", "steps")
# in a working directory, says whose it is
MARK = "recipe.json"
# keys of a step that are not options of its command
OWN = ("run", "output")


@dataclass(frozen=True)
class Step:
    """One command of a recipe.

    Attributes
    ----------
    name : str
        As in ``[steps.name]`` and ``${name}``.
    command : Command
        What it runs.
    values : dict
        Its keys as they are written, those of ``[common]`` among them.
    output : str
        Where its result goes, within the working directory.
    after : tuple of str
        Steps whose results it uses, in the order of the recipe.
    """

    name: str
    command: Command
    values: dict[str, Any]
    output: str
    after: tuple[str, ...]


@dataclass(frozen=True)
class Recipe:
    """Steps in an order in which they can be run.

    Attributes
    ----------
    name : str
        Its file, or its name among those that coresift ships.
    summary : str
        What it is for.
    variables : dict of str to Variable
        What can be set.
    values : dict
        What each variable is; None where it has no value.
    steps : tuple of Step
        In the order of the file, but no step before one that it uses.
    """

    name: str
    summary: str
    variables: dict[str, Variable]
    values: dict[str, Any]
    steps: tuple[Step, ...]

    def places(self, folder: Path) -> Places:
        """What ``${name}`` stands for when the recipe is run in a folder."""
        return Places(self.values, {step.name: str(folder / step.output) for step in self.steps})


def parse(text: str, name: str) -> dict[str, Any]:
    """The tables of a recipe.

    Raises
    ------
    RecipeError
        When it is not TOML, or has a table that recipes do not have.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{name}: not TOML: {error}") from None
    for key, value in content.items():
        if key not in _TABLES:
            raise _in(name, unknown("no key", key, _TABLES))
        kind, called = (str, "a text") if key == "summary" else (dict, "a table")
        if not isinstance(value, kind):
            raise RecipeError(f"{name}: {key!r} is not {called}")
    if not content.get("steps"):
        raise RecipeError(f"{name}: has no steps", hint="write a table such as [steps.clusters]")
    return content


def read_recipe(
    text: str, name: str, commands: Commands, settings: Mapping[str, Any] | None = None
) -> Recipe:
    """Read a recipe and check what can be checked without looking at any input.

    Parameters
    ----------
    text : str
        TOML.
    name : str
        What to call it in messages.
    commands : mapping of str to Command
        What steps can run.
    settings : mapping, optional
        Values for variables.

    Raises
    ------
    RecipeError
        Naming the step and the key.
    """
    content = parse(text, name)
    try:
        variables = read_variables(content.get("variables", {}))
        values = resolve(variables, settings or {})
        drafts = {
            step: _draft(step, table, content.get("common", {}), commands)
            for step, table in content["steps"].items()
        }
        _require_used(content.get("common", {}), drafts)
        places = Places(values, {step: draft.output for step, draft in drafts.items()})
        steps = {step: _linked(draft, places, list(drafts)) for step, draft in drafts.items()}
        order = tuple(_in_order(steps))
    except RecipeError as error:
        raise _in(name, error) from None
    return Recipe(name, content.get("summary", ""), variables, values, order)


def of_step(step: str, error: CoresiftError) -> RecipeError:
    """An error that names its step."""
    return RecipeError(f"step {step!r}: {error.message}", hint=error.hint)


def _in(name: str, error: CoresiftError) -> RecipeError:
    return RecipeError(f"{name}: {error.message}", hint=error.hint)


def _draft(name: str, table: object, common: Mapping[str, Any], commands: Commands) -> Step:
    """A step without what it depends on."""
    require_name(name, "step")
    if not isinstance(table, dict):
        raise RecipeError(f"step {name!r} is not a table", hint=f"write [steps.{name}]")
    try:
        command = _command(table, commands)
        values = {key: value for key, value in common.items() if key in command.keys}
        values.update(_own(table, command))
        for key, value in values.items():
            require_value(value, key)
        for needed in command.keys.values():
            if needed.required and needed.name not in values:
                raise RecipeError(f"{command.name} needs {needed.name!r}", hint=needed.help)
        return Step(name, command, values, _output(name, table, command), ())
    except RecipeError as error:
        raise of_step(name, error) from None


def _command(table: Mapping[str, Any], commands: Commands) -> Command:
    named = table.get("run")
    if not isinstance(named, str):
        raise RecipeError("does not say what to run", hint='write run = "cluster", for example')
    found = commands.get(" ".join(named.split()))
    if found is None:
        raise unknown("no command", named, commands)
    return found


def _own(table: Mapping[str, Any], command: Command) -> Iterator[tuple[str, Any]]:
    short = {key.short: key.name for key in command.keys.values() if key.short}
    for written, value in table.items():
        key = written.replace("-", "_")
        if key in OWN:
            continue
        if key not in command.keys:
            if written in short:
                raise RecipeError(f"no key {written!r}", hint=f"did you mean {short[written]!r}?")
            raise unknown(f"{command.name} has no key", written, command.keys)
        yield key, value


def _output(name: str, table: Mapping[str, Any], command: Command) -> str:
    text = table.get("output", name + command.suffix)
    path = within(text)
    if "$" in str(path):
        raise RecipeError(f"output {text!r} cannot hold a variable")
    if not command.writes and path.suffix != command.suffix:
        raise RecipeError(f"output {text!r} does not end in {command.suffix}")
    return str(path)


def within(text: object) -> PurePosixPath:
    """A path within the working directory.

    Raises
    ------
    RecipeError
        When it is none, or leads out of it.
    """
    path = PurePosixPath(text) if isinstance(text, str) else PurePosixPath()
    hidden = any(part.startswith(".") for part in path.parts)
    if not path.parts or path.is_absolute() or hidden or "\0" in str(text) or str(path) == MARK:
        raise RecipeError(
            f"output {text!r} is not a name within the working directory",
            hint="write a name such as 'subset.parquet'",
        )
    return path


def _require_used(common: Mapping[str, Any], steps: Mapping[str, Step]) -> None:
    known = {key: None for step in steps.values() for key in step.command.keys}
    for key in common:
        if key not in known:
            raise unknown("[common]: no step has a key", key, known)


def _linked(step: Step, places: Places, order: list[str]) -> Step:
    used: set[str] = set()
    for key, value in step.values.items():
        try:
            used |= places.names(value)
        except RecipeError as error:
            raise of_step(
                step.name, RecipeError(f"{key}: {error.message}", hint=error.hint)
            ) from None
    after = tuple(name for name in order if name in used)
    return Step(step.name, step.command, step.values, step.output, after)


def _in_order(steps: Mapping[str, Step]) -> Iterator[Step]:
    """Steps in the order of the file, each after those that it uses."""
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> Iterator[Step]:
        if name in above:
            circle = " -> ".join([*above[above.index(name) :], name])
            raise RecipeError(f"steps wait for each other: {circle}")
        if name in done:
            return
        for needed in steps[name].after:
            yield from visit(needed, (*above, name))
        done.add(name)
        yield steps[name]

    for name in steps:
        yield from visit(name, ())

"""Running a recipe: what has to run, why, and the running itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from coresift.core.errors import CoresiftError
from coresift.io.provenance import Provenance
from coresift.recipes import origin
from coresift.recipes.command import RecipeError
from coresift.recipes.foresight import Foresight
from coresift.recipes.recipe import Recipe, Step, of_step, within
from coresift.recipes.variables import Places
from coresift.recipes.workdir import (
    held,
    printed_target,
    require_ours,
    require_own,
    write_mark,
    write_printed,
)

State = Literal["ran", "would run", "unchanged"]


@dataclass(frozen=True)
class StepResult:
    """What became of a step.

    Attributes
    ----------
    name : str
        The step.
    state : {"ran", "would run", "unchanged"}
        ``would run`` in a dry run only.
    reason : str
        Why it ran; empty where it did not.
    command : tuple of str
        The same on the command line.
    output : str
        Where its result is.
    seconds : float
        Time that it took.
    summary : dict
        What it printed with ``--json``; of an unchanged step, what its result keeps of it.
    """

    name: str
    state: State
    reason: str
    command: tuple[str, ...]
    output: str
    seconds: float
    summary: dict[str, Any]


@dataclass(frozen=True)
class RecipeResult:
    """What became of a recipe.

    Attributes
    ----------
    recipe : str
        Its file, or its name.
    output : str
        The working directory.
    dry_run : bool
        Whether nothing was run.
    steps : tuple of StepResult
        In the order in which they run.
    """

    recipe: str
    output: str
    dry_run: bool
    steps: tuple[StepResult, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON holds them."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Plan:
    """A step, its command line, and why it has to run; None where it has not."""

    step: Step
    arguments: list[str]
    output: Path
    beside: tuple[Path, ...]
    reason: str | None


def run_recipe(
    recipe: Recipe,
    folder: Path,
    *,
    dry_run: bool = False,
    overwrite: bool = False,
    common: Mapping[str, Any] | None = None,
    tell: Callable[[str, Sequence[str]], None] = lambda _name, _arguments: None,
) -> RecipeResult:
    """Run the steps whose results are not there, or would not be the same.

    Parameters
    ----------
    recipe : Recipe
        What to run.
    folder : Path
        The working directory.
    dry_run : bool
        Only say what would run, and why.
    overwrite : bool
        Take over the working directory of another recipe.
    common : mapping, optional
        Values for every step that takes them, before what the recipe says.
    tell : callable
        Told the name and command line of each step before it runs.

    Raises
    ------
    CoresiftError
        Naming the step. All steps are checked before one runs; what is done stays.
    """
    require_own(folder, recipe.name, overwrite=overwrite)
    if dry_run:
        foreseen = (_foreseen(plan) for plan in _foresee(recipe, folder, common or {}))
        return RecipeResult(recipe.name, str(folder), dry_run, tuple(foreseen))
    with held(folder):
        plans = _foresee(recipe, folder, common or {})
        steps = {plan.step.name: ["coresift", *plan.arguments] for plan in plans}
        write_mark(folder, recipe.name, recipe.values, steps)
        done = tuple(_done(plan, tell) for plan in plans)
    return RecipeResult(recipe.name, str(folder), dry_run, done)


def _foresee(recipe: Recipe, folder: Path, common: Mapping[str, Any]) -> list[_Plan]:
    """Check every step, and find which have to run."""
    places = recipe.places(folder)
    # a place where nothing is: what a step says of it is not known yet, and no mistake
    nowhere = {step.name: str(folder / f".not-yet/{step.output}") for step in recipe.steps}
    foresight = Foresight()
    plans: dict[str, _Plan] = {}
    for step in recipe.steps:
        waits = [name for name in step.after if plans[name].reason is not None]
        outputs = {
            name: nowhere[name] if name in waits else str(plan.output)
            for name, plan in plans.items()
        }
        try:
            values = _values(step, places, common, folder, outputs)
            promise = foresight.look(step.command, values)
            target = folder / step.output
            beside = _beside(step, values)
            expected = _expected(step, step.command.arguments(values, target), waits, nowhere)
            reason = (
                f"{waits[0]} runs before it"
                if expected is None
                else origin.difference(expected, target, beside)
            )
            require_ours(target)
            if not step.command.writes:
                printed_target(target)
            arguments = step.command.arguments(_values(step, places, common, folder), target)
        except CoresiftError as error:
            raise of_step(step.name, error) from error
        if reason is not None:
            foresight.promise(nowhere[step.name], promise)
        plans[step.name] = _Plan(step, arguments, target, beside, reason)
    _require_apart(plans.values())
    return list(plans.values())


def _values(
    step: Step,
    places: Places,
    common: Mapping[str, Any],
    folder: Path,
    outputs: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The keys of a step with their places filled; what is empty is left out."""
    keys = step.command.keys
    given = {name: value for name, value in common.items() if name in keys}
    filled = {name: places.fill(value, outputs) for name, value in step.values.items()} | given
    return {
        name: str(folder / within(value)) if keys[name].kind == "output" else value
        for name, value in filled.items()
        if value not in ("", [])
    }


def _beside(step: Step, values: Mapping[str, Any]) -> tuple[Path, ...]:
    """What a step writes beside its result."""
    keys = step.command.keys
    return tuple(Path(value) for name, value in values.items() if keys[name].kind == "output")


def _require_apart(plans: Iterable[_Plan]) -> None:
    """Refuse outputs that are the same place, or one within another."""
    seen: dict[Path, str] = {}
    for plan in plans:
        for path in (plan.output, *plan.beside):
            for other, owner in seen.items():
                if path == other or path in other.parents or other in path.parents:
                    raise RecipeError(
                        f"steps {owner!r} and {plan.step.name!r} both write to {other}",
                        hint="give one of them another output",
                    )
            seen[path] = plan.step.name


def _expected(
    step: Step, arguments: list[str], waits: list[str], nowhere: Mapping[str, str]
) -> Provenance | None:
    """What the result would come from; None where that hangs on a step that is to run."""
    try:
        found = step.command.foresee(arguments)
    except CoresiftError as error:
        if any(nowhere[name] in error.message for name in waits):
            return None
        raise
    return None if waits else found


def _foreseen(plan: _Plan) -> StepResult:
    return _result(plan, "unchanged" if plan.reason is None else "would run", 0.0)


def _done(plan: _Plan, tell: Callable[[str, Sequence[str]], None]) -> StepResult:
    """Run a step unless its result is what it would be."""
    if plan.reason is None:
        return _result(plan, "unchanged", 0.0)
    start = time.perf_counter()
    try:
        expected = plan.step.command.foresee(plan.arguments)
        plan = replace(plan, reason=origin.difference(expected, plan.output, plan.beside))
        if plan.reason is None:
            # what it waited for has run and is the same as before
            return _result(plan, "unchanged", 0.0)
        tell(plan.step.name, plan.arguments)
        facts = plan.step.command.run(plan.arguments)
        if not plan.step.command.writes:
            write_printed(plan.output, expected, facts)
    except CoresiftError as error:
        raise of_step(plan.step.name, error) from error
    return _result(plan, "ran", time.perf_counter() - start, facts)


def _result(
    plan: _Plan, state: State, seconds: float, facts: dict[str, Any] | None = None
) -> StepResult:
    kept = facts or (origin.summary(plan.output) if state == "unchanged" else {})
    return StepResult(
        name=plan.step.name,
        state=state,
        reason="" if state == "unchanged" else plan.reason or "",
        command=("coresift", *plan.arguments),
        output=str(plan.output),
        seconds=round(seconds, 3),
        summary=kept,
    )

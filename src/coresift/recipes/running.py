"""Running a recipe: what has to run, why, and the running itself."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from coresift._version import __version__
from coresift.core.errors import CoresiftError, OutputError, ResourceError
from coresift.io.provenance import Provenance
from coresift.io.target import Target
from coresift.recipes import foresight, origin
from coresift.recipes.recipe import Recipe, Step, of_step
from coresift.recipes.variables import Places

State = Literal["ran", "would run", "unchanged"]
# of what a command prints with --json, that which differs between equal runs
_MEASURED = ("seconds", "peak_rss_bytes", "output", "kernel")
_MARK = "recipe.json"


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
    reason: str | None


def run_recipe(
    recipe: Recipe,
    folder: Path,
    *,
    dry_run: bool = False,
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
    common : mapping, optional
        Values for every step that takes them, before what the recipe says.
    tell : callable
        Told the name and command line of each step before it runs.

    Raises
    ------
    CoresiftError
        Naming the step. All steps are checked before one runs; what is done stays.
    """
    _require_own(folder)
    plans = _foresee(recipe, folder, common or {})
    if dry_run:
        return _report(recipe, folder, [_foreseen(plan) for plan in plans], dry_run=True)
    with _held(folder):
        _write_mark(recipe, folder, plans)
        return _report(recipe, folder, [_done(plan, tell) for plan in plans], dry_run=False)


def _foresee(recipe: Recipe, folder: Path, common: Mapping[str, Any]) -> list[_Plan]:
    """Check every step, and find which have to run."""
    places = recipe.places(folder)
    # a place where nothing is: what a step says of it is not known yet, and no mistake
    nowhere = {step.name: str(folder / f".not-yet/{step.output}") for step in recipe.steps}
    promised: dict[str, foresight.Known] = {}
    plans: dict[str, _Plan] = {}
    for step in recipe.steps:
        waits = [name for name in step.after if plans[name].reason is not None]
        outputs = {
            name: nowhere[name] if name in waits else str(folder / plan.step.output)
            for name, plan in plans.items()
        }
        try:
            values = _values(step, places, common, outputs)
            given = foresight.input_of(values, promised)
            foresight.check(step.command, values, given)
            result = foresight.result_of(step.command, values, given)
            target = folder / step.output
            expected = _expected(step, step.command.arguments(values, target), waits, nowhere)
            if expected is None:
                reason: str | None = f"{waits[0]} runs before it"
            else:
                reason = origin.difference(expected, target)
            arguments = step.command.arguments(_values(step, places, common), target)
        except CoresiftError as error:
            raise of_step(step.name, error) from error
        if reason is not None:
            promised[nowhere[step.name]] = result
        plans[step.name] = _Plan(step, arguments, target, reason)
    return list(plans.values())


def _values(
    step: Step,
    places: Places,
    common: Mapping[str, Any],
    outputs: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The keys of a step with their places filled; what is empty is left out."""
    given = {name: value for name, value in common.items() if name in step.command.keys}
    filled = {name: places.fill(value, outputs) for name, value in step.values.items()} | given
    return {name: value for name, value in filled.items() if value not in ("", [])}


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
        plan = replace(plan, reason=origin.difference(expected, plan.output))
        if plan.reason is None:
            # what it waited for has run and is the same as before
            return _result(plan, "unchanged", 0.0)
        tell(plan.step.name, plan.arguments)
        facts = plan.step.command.run(plan.arguments)
        if not plan.step.command.writes:
            _write_printed(plan.output, expected, facts)
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


def _report(
    recipe: Recipe, folder: Path, steps: list[StepResult], *, dry_run: bool
) -> RecipeResult:
    return RecipeResult(recipe.name, str(folder), dry_run, tuple(steps))


def _write_printed(path: Path, provenance: Provenance, facts: dict[str, Any]) -> None:
    """Keep what a command printed, with where it comes from, as a manifest does."""
    summary = {name: value for name, value in facts.items() if name not in _MEASURED}
    measured = {name: value for name, value in facts.items() if name in _MEASURED}
    content = {
        "coresift": __version__,
        "provenance": asdict(replace(provenance, notes=list(facts.get("notes", ())))),
        "summary": summary,
        "run": measured,
    }
    _write_json(path, content)


def _write_json(path: Path, content: object) -> None:
    with Target(path, overwrite=True, is_file=True) as target:
        target.staging.write_text(json.dumps(content, indent=2) + "\n")


def _require_own(folder: Path) -> None:
    """Refuse a folder whose content is not a recipe's: steps replace what they find.

    Raises
    ------
    OutputError
        Naming it.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder}: not a directory", hint="choose another -o")
    try:
        if not any(folder.iterdir()):
            return
        mark = json.loads((folder / _MARK).read_text())
        known = isinstance(mark, dict) and "recipe" in mark
    except (OSError, ValueError):
        known = False
    if not known:
        raise OutputError(
            f"{folder}: holds what no recipe has put there", hint="choose another -o, or a new one"
        )


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep other runs out of a working directory; the lock dies with the process."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise ResourceError(
            f"{folder}: another recipe is running there", hint="wait for it, or choose another -o"
        ) from None
    try:
        yield
    finally:
        os.close(handle)


def _write_mark(recipe: Recipe, folder: Path, plans: Sequence[_Plan]) -> None:
    """Say what the folder is of; whether a step is done is told by its result alone."""
    content = {
        "coresift": __version__,
        "recipe": recipe.name,
        "variables": recipe.values,
        "steps": {plan.step.name: ["coresift", *plan.arguments] for plan in plans},
    }
    _write_json(folder / _MARK, content)

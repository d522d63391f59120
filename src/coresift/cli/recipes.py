"""The verb ``run``: it stands here because a recipe's keys are the command line's options."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from coresift.cli.steps import commands
from coresift.core.errors import ParameterError
from coresift.recipes.recipe import read_recipe
from coresift.recipes.running import RecipeResult, run_recipe
from coresift.recipes.shipped import open_recipe

# options that say how, not what: they may be given for all steps
HOW = (
    *("memory", "threads", "device", "engine", "ray_address", "cpus_per_worker"),
    *("gpus_per_worker", "scratch", "batch_rows", "resume", "keep_scratch"),
)


def run(
    recipe: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str],
    variables: Mapping[str, Any] | None = None,
    dry_run: bool = False,
    overwrite: bool = False,
    quiet: bool = True,
    tell: Callable[[str, Sequence[str]], None] = lambda _name, _arguments: None,
    **how: Any,
) -> RecipeResult:
    """Run the steps of a recipe whose results are not there, or would not be the same.

    Parameters
    ----------
    recipe : path or str
        A file, or the name of a recipe that coresift ships.
    output : path
        The working directory, with the result of each step.
    variables : mapping of str to object, optional
        Values of the recipe's variables.
    dry_run : bool
        Only say what would run, and why.
    overwrite : bool
        Take over the working directory of another recipe.
    quiet : bool
        Show no progress of steps, even on a terminal.
    tell : callable
        Told the name and command line of each step before it runs.
    **how
        ``memory``, ``threads``, ``device``, ``engine``, ``scratch`` and the like, for every step
        that takes them.

    Returns
    -------
    RecipeResult

    Raises
    ------
    CoresiftError
        When the recipe is wrong, which is found before any step runs; or when a step fails. Steps
        that are done stay.
    """
    for name in how:
        if name not in HOW:
            raise ParameterError(f"run has no option {name!r}", hint=f"it has {', '.join(HOW)}")
    found = read_recipe(open_recipe(recipe), os.fspath(recipe), commands(quiet=quiet), variables)
    given = {name: value for name, value in how.items() if value not in (None, False)}
    return run_recipe(
        found, Path(output), dry_run=dry_run, overwrite=overwrite, common=given, tell=tell
    )

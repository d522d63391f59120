"""coresift run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from coresift.cli import options
from coresift.cli.types import PLACE, WRITTEN, RecipeName


def _alone(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """What shows or copies a recipe runs none, so ``-o`` may be left out, and RECIPE too."""
    if value:
        for other in context.command.params:
            if other.name == "output" or (other.name == "recipe" and parameter.name != "copy"):
                other.required = False
    return value


@click.command("run")
@click.argument("recipe", type=RecipeName())
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a variable of the recipe. May be given several times.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=PLACE,
    metavar="DIR",
    help="Working directory, with one result for each step.",
)
@click.option("--dry-run", is_flag=True, help="Say what would run, and why; run nothing.")
@click.option(
    "--overwrite", is_flag=True, help="Take over a working directory that is another recipe's."
)
@click.option(
    "--list",
    "listed",
    is_flag=True,
    is_eager=True,
    callback=_alone,
    help="List the recipes that coresift ships, and their variables.",
)
@click.option(
    "--copy",
    type=WRITTEN,
    metavar="FILE.toml",
    is_eager=True,
    callback=_alone,
    help="Copy a shipped recipe to a file, to change it.",
)
@click.option(
    "--schema",
    is_flag=True,
    is_eager=True,
    callback=_alone,
    help="Print the JSON schema of recipes, for editors.",
)
@options.resource_options
@options.resume_option
@options.keep_scratch_option
@options.show_options
def command(
    recipe: str | None,
    settings: tuple[str, ...],
    output: str | None,
    listed: bool,
    copy: str | None,
    schema: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Run the steps of a recipe, and none whose result is there.

    RECIPE is a TOML file, or the name of a recipe that coresift ships (--list). All steps are
    checked before one runs. A step is left out when its result is there and its input and options
    are the same as when it was made.
    """
    from coresift.cli import console

    if listed:
        _show_list(as_json)
    elif schema:
        from coresift.cli.steps import commands
        from coresift.recipes.schema import schema_text

        console.show_text(schema_text(commands()))
    elif copy is not None:
        from coresift.recipes.shipped import copy_out

        assert recipe is not None
        copy_out(recipe, Path(copy))
    else:
        assert recipe is not None
        assert output is not None
        _run(recipe, settings, output, as_json, how)


def _run(
    recipe: str, settings: tuple[str, ...], output: str, as_json: bool, how: dict[str, Any]
) -> None:
    from coresift.cli import console
    from coresift.cli.recipes import run
    from coresift.recipes.variables import read_settings

    quiet = not console.shows_progress(how)
    del how["quiet"], how["no_progress"]

    def tell(name: str, arguments: Sequence[str]) -> None:
        if not quiet:
            console.show_step(name, arguments)

    variables = read_settings(settings)
    result = run(recipe, output=output, variables=variables, quiet=quiet, tell=tell, **how)
    if as_json:
        console.show_json(result.to_json())
    else:
        console.show_recipe(result.to_json())


def _show_list(as_json: bool) -> None:
    from coresift.cli import console
    from coresift.recipes.recipe import parse
    from coresift.recipes.shipped import names, text_of
    from coresift.recipes.variables import read_variables

    found = {name: parse(text_of(name), name) for name in names()}
    listed = {
        name: (content["summary"], read_variables(content["variables"]))
        for name, content in found.items()
    }
    if as_json:
        console.show_json(
            [
                {
                    "name": name,
                    "summary": summary,
                    "variables": {
                        item.name: {"default": item.default, "help": item.help}
                        for item in variables.values()
                    },
                }
                for name, (summary, variables) in listed.items()
            ]
        )
        return
    for name, (summary, variables) in listed.items():
        facts: dict[str, object] = {name: summary}
        for item in variables.values():
            default = " (must be set)" if item.default is None else f" [default: {item.default}]"
            facts[f"  {item.name}"] = item.help + (default if item.default != "" else "")
        console.show_facts(facts)

"""A recipe is checked as a whole: what is wrong with it is one line that names the place."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest

from coresift.cli.main import cli
from coresift.cli.steps import commands
from coresift.core.errors import CoresiftError
from coresift.recipes.command import RecipeError
from coresift.recipes.recipe import Recipe, read_recipe
from coresift.recipes.schema import schema
from coresift.recipes.shipped import names, text_of
from tests.recipes.files import FOUR

COMMANDS = commands()


def read(text: str, **settings: Any) -> Recipe:
    return read_recipe(text, "r.toml", COMMANDS, settings)


def test_steps_run_after_those_they_use_and_else_in_the_order_of_the_file() -> None:
    recipe = read(FOUR)
    assert [step.name for step in recipe.steps] == ["clusters", "chosen", "judged", "some"]
    assert [step.after for step in recipe.steps] == [(), ("clusters",), ("chosen",), ()]
    assert [step.output for step in recipe.steps] == [
        *("clusters", "chosen", "judged.json", "some.parquet")
    ]


def test_a_variable_keeps_its_type_and_a_text_takes_it_in() -> None:
    recipe = read(FOUR, k=[3, 2])
    places = recipe.places(Path("work"))
    assert places.fill("${k}") == [3, 2]
    assert places.fill(["${k}", "${share}"]) == [3, 2, 100]
    assert places.fill("a ${share} $${share} ${clusters}/x") == "a 100 ${share} work/clusters/x"


def test_a_value_is_not_read_again_for_variables() -> None:
    recipe = read(FOUR, input="${share} $$")
    assert recipe.places(Path("work")).fill("${input}") == "${share} $$"


STEP = '[steps.a]\nrun = "cluster"\npaths = "x"\nk = 3\n'
WRONG = [
    ("steps = ", "r.toml: not TOML: Invalid value (at end of document)", None),
    ("", "r.toml: has no steps", "write a table such as [steps.clusters]"),
    ("[steps]", "r.toml: has no steps", "write a table such as [steps.clusters]"),
    (f"[step.a]\n{STEP}", "r.toml: no key 'step'", "did you mean 'steps'?"),
    (f"summary = 3\n{STEP}", "r.toml: 'summary' is not a text", None),
    (f"variables = 3\n{STEP}", "r.toml: 'variables' is not a table", None),
    ("[steps]\na = 1", "r.toml: step 'a' is not a table", "write [steps.a]"),
    (
        "[steps.a]",
        "r.toml: step 'a': does not say what to run",
        'write run = "cluster", for example',
    ),
    (
        STEP.replace("cluster", "clutser"),
        "r.toml: step 'a': no command 'clutser'",
        "did you mean 'cluster'?",
    ),
    (
        STEP.replace("cluster", "select dedupe"),
        "r.toml: step 'a': no command 'select dedupe'",
        "did you mean 'select dedup'?",
    ),
    (
        f"{STEP}itertions = 3",
        "r.toml: step 'a': cluster has no key 'itertions'",
        "did you mean 'iterations'?",
    ),
    (
        '[steps.a]\nrun = "select random"\npaths = "x"\nn = 3',
        "r.toml: step 'a': no key 'n'",
        "did you mean 'size'?",
    ),
    (f"{STEP}json = true", "r.toml: step 'a': cluster has no key 'json'", None),
    (f"{STEP}overwrite = true", "r.toml: step 'a': cluster has no key 'overwrite'", None),
    (
        '[steps.a]\nrun = "cluster"\npaths = "x"',
        "r.toml: step 'a': cluster needs 'k'",
        "Clusters; for a hierarchy those of each level, such as 10000,1000,100.",
    ),
    (
        '[steps.a]\nrun = "cluster"\nk = 3',
        "r.toml: step 'a': cluster needs 'paths'",
        "What to read: files, directories, globs or URIs.",
    ),
    (
        f"{STEP}seed = 2020-01-01",
        "r.toml: step 'a': seed is a date, expected a text, a number, true, false or a list of "
        "these",
        None,
    ),
    (
        f"{STEP}seed = {{ x = 1 }}",
        "r.toml: step 'a': seed is a dict, expected a text, a number, true, false or a list of "
        "these",
        None,
    ),
    (f'{STEP}where = "a\\u0000"', "r.toml: step 'a': where has a null character in it", None),
    (
        f'{STEP}where = "${{b}}"',
        "r.toml: step 'a': where: no variable or step 'b'",
        "there are a",
    ),
    (
        f'[variables]\nclusters = 3\n{STEP}where = "${{cluster}}"',
        "r.toml: step 'a': where: no variable or step 'cluster'",
        "did you mean 'clusters'?",
    ),
    (
        f'{STEP}where = "${{a"',
        "r.toml: step 'a': where: '${a' has no closing brace",
        "write $$ for a dollar sign",
    ),
    (
        f"[variables]\na = 1\n{STEP}",
        "r.toml: 'a' is a variable and a step",
        "give one of them another name",
    ),
    (
        f"[variables]\nx = {{ defualt = 1 }}\n{STEP}",
        "r.toml: variable 'x': no key 'defualt'",
        "did you mean 'default'?",
    ),
    (
        f"[common]\nsede = 1\n{STEP}",
        "r.toml: [common]: no step has a key 'sede'",
        "did you mean 'seed'?",
    ),
    (
        STEP.replace("steps.a", 'steps."../a"'),
        "r.toml: step '../a' has a name that is not of letters, digits, '_' and '-'",
        "begin it with a letter",
    ),
    (
        STEP.replace("steps.a", 'steps."a\\n"'),
        "r.toml: step 'a\\n' has a name that is not of letters, digits, '_' and '-'",
        "begin it with a letter",
    ),
    (
        f'[variables]\n"a b" = 1\n{STEP}',
        "r.toml: variable 'a b' has a name that is not of letters, digits, '_' and '-'",
        "begin it with a letter",
    ),
    *(
        (
            f'{STEP}output = "{name}"',
            f"r.toml: step 'a': output {name!r} is not a name within the working directory",
            "write a name such as 'subset.parquet'",
        )
        for name in ("../x", "/x", "", "a/../../x", ".hidden", "recipe.json")
    ),
    (f'{STEP}output = "${{a}}"', "r.toml: step 'a': output '${a}' cannot hold a variable", None),
    (
        '[steps.a]\nrun = "inspect"\npaths = "x"\noutput = "a.parquet"',
        "r.toml: step 'a': output 'a.parquet' does not end in .json",
        None,
    ),
    (
        '[steps.a]\nrun = "inspect"\npaths = "${b}"\n[steps.b]\nrun = "select random"\n'
        'paths = "${c}"\nsize = 1\n[steps.c]\nrun = "select random"\npaths = "${b}"\nsize = 1',
        "r.toml: steps wait for each other: b -> c -> b",
        None,
    ),
    (
        '[steps.a]\nrun = "inspect"\npaths = "${a}"',
        "r.toml: steps wait for each other: a -> a",
        None,
    ),
]


@pytest.mark.parametrize(("text", "message", "hint"), WRONG)
def test_what_is_wrong_is_one_line(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(RecipeError) as caught:
        read(text)
    assert caught.value.message == message
    if hint is not None:
        assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"m": "10%"}, "r.toml: --set: no variable 'm'"),
        ({"clusters": "x"}, "r.toml: --set: no variable 'clusters'"),
        ({"n": "a\0b"}, "r.toml: --set n has a null character in it"),
    ],
)
def test_only_variables_are_set(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(CoresiftError) as caught:
        read(FOUR, **settings)
    assert caught.value.message == message


def options_in_help(*path: str) -> set[str]:
    """Names of the options that a command's --help shows, as a person reads them."""
    command: click.Command = cli
    context = click.Context(cli, info_name="coresift")
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(context, name)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    text = command.get_help(context).partition("Options:\n")[2]
    lines = re.findall(r"^  (-[\w-]+(?:, -[\w-]+)*)", text, re.MULTILINE)
    longest = [max(line.split(", "), key=len) for line in lines]
    return {name.lstrip("-").replace("-", "_") for name in longest}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_keys_of_a_step_are_the_options_of_its_command(name: str) -> None:
    run_decides = {
        *("output", "overwrite", "config", "json", "quiet", "no_progress", "debug", "help"),
        *("plan", "machines", "terminal"),
    }
    command = COMMANDS[name]
    arguments = {key.name for key in command.keys.values() if not key.flag}
    assert command.keys.keys() - arguments == options_in_help(*name.split()) - run_decides
    about = {"evaluate": "subset", "report": "result"}
    assert arguments == {about.get(name, "paths")}


@pytest.mark.parametrize("name", names())
def test_shipped_recipes_are_as_the_schema_says(name: str) -> None:
    content = tomllib.loads(text_of(name))
    jsonschema.Draft7Validator(schema(COMMANDS)).validate(content)
    assert content["summary"]
    for variable in content["variables"].values():
        assert variable["help"]


@pytest.mark.parametrize(
    ("step", "valid"),
    [
        ({"run": "cluster", "paths": "x", "k": 3}, True),
        ({"run": "cluster", "paths": ["x", "y"], "k": [100, 10]}, True),
        ({"run": "cluster", "paths": "x", "k": "${k}", "iterations": "${i}"}, True),
        ({"run": "select dedup", "paths": "x", "probe": "all", "threshold": 0.9}, True),
        ({"run": "cluster", "paths": "x", "k": 3, "iterations": -1}, False),
        ({"run": "cluster", "paths": "x", "k": 3, "iterations": "many"}, False),
        ({"run": "cluster", "paths": "x", "k": 3, "itertions": 3}, False),
        ({"run": "cluster", "paths": "x", "k": 3, "metric": "l1"}, False),
        ({"run": "select dedup", "paths": "x", "threshold": 2.0}, False),
        ({"run": "select dedup", "paths": "x", "probe": "some"}, False),
        ({"run": "select nothing", "paths": "x"}, False),
        ({"paths": "x"}, False),
    ],
)
def test_the_schema_tells_right_from_wrong(step: dict[str, Any], valid: bool) -> None:
    validator = jsonschema.Draft7Validator(schema(COMMANDS))
    assert validator.is_valid({"steps": {"a": step}}) == valid


def test_the_schema_is_a_schema_and_the_page_is_not_stale() -> None:
    made = schema(COMMANDS)
    jsonschema.Draft7Validator.check_schema(made)
    page = Path(__file__).parents[2] / "docs" / "recipe.schema.json"
    assert json.loads(page.read_text()) == json.loads(json.dumps(made))

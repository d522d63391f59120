"""coresift bandit start, ask, tell and finish."""

from __future__ import annotations

from typing import Any

import click

from coresift.cli import options
from coresift.cli.config import read_environment
from coresift.selection.params.bandit import RuleParams


class Steps(click.Group):
    """Commands whose options come from the environment too."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a step."""
        found = super().get_command(ctx, cmd_name)
        return None if found is None else read_environment(found, "bandit", cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names in the order of the work."""
        return list(self.commands)


@click.group("bandit", cls=Steps)
def command() -> None:
    """Choose rows by scores that a program of yours computes, for few of them.

    `select bandit` for a scorer outside coresift: start; then ask for rows, score them and tell
    their scores, again and again; then finish. Each step may be interrupted at any time and run
    again. With the same scores the rows are those of `select bandit`.

    Zhang et al., Harnessing Diversity for Important Data Selection in Pretraining Large Language
    Models, ICLR 2025.
    """


def _rule_options(function: Any) -> Any:
    for item in reversed(RuleParams.options()):
        function = options.declared(item)(function)
    return function


_state = click.option(
    "--state", required=True, metavar="S", help="The folder that `coresift bandit start` made."
)


@command.command("start")
@options.paths
@click.option(
    "--clusters",
    required=True,
    metavar="DIR",
    help="A clustering of the dump, from `coresift cluster`.",
)
@click.option(
    "--state", required=True, metavar="S", help="A folder to make: it keeps what is asked and told."
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier state.")
@_rule_options
@options.prefix_option
@options.input_options
@options.run_options
@options.show_options
def start(paths: tuple[str, ...], as_json: bool, **values: Any) -> None:
    """Begin: the dump, its clusters, and how they are judged."""
    from coresift.api import bandit

    params = {item.name: values.pop(item.field) for item in RuleParams.options()}
    with options.watched(values) as progress:
        common = options.common(values, *options.INPUT, *options.RUN)
        result = bandit.start(paths, params=params, **values, **common, **progress)
    _show(result, as_json, {"rows to draw from": result.rows})


@command.command("ask")
@_state
@click.option(
    "-n", "--size", required=True, metavar="N", help="Rows to ask for: a count, or a share of all."
)
@options.output_option("The rows: X.parquet for one file, anything else for a directory.")
@click.option(
    "--again",
    is_flag=True,
    help="Give rows that were asked for and not told, the first asked first, instead of others.",
)
@options.columns_option
@click.option("--drop-embedding", is_flag=True, help="Leave the vectors out.")
@options.resource_options
@options.show_options
def ask(as_json: bool, columns: str | None, **values: Any) -> None:
    """Write the rows that are to be scored next, with `row` and their columns.

    Asked again before it was told, it gives other rows.
    """
    from coresift.api import bandit

    with options.watched(values) as progress:
        common = options.common(values, *options.RUN)
        held = options.split_columns(columns)
        result = bandit.ask(values.pop("state"), columns=held, **values, **common, **progress)
    _show(result, as_json, {"rows": result.rows})


@command.command("tell")
@_state
@click.option(
    "--scores",
    required=True,
    metavar="FILE",
    help="A table with a line for each row: all of a batch or some, of the last or earlier ones.",
)
@click.option(
    "--score",
    metavar="EXPR",
    help="Its column of scores, or an expression of its columns.  [default: score, or its only "
    "number]",
)
@click.option(
    "--on",
    metavar="COLUMN",
    help="The column, of the dump and of the table, that tells which score is whose.  "
    "[default: row]",
)
@click.option(
    "--unasked",
    type=click.Choice(["error", "drop"]),
    default="error",
    show_default=True,
    help="What to do with lines of rows that were never asked.",
)
@click.option(
    "--replace", is_flag=True, help="Take another score of a row that was told before instead."
)
@options.resource_options
@options.show_options
def tell(as_json: bool, **values: Any) -> None:
    """Take the scores of rows that were asked for."""
    from coresift.api import bandit

    with options.watched(values) as progress:
        common = options.common(values, *options.RUN)
        result = bandit.tell(values.pop("state"), **values, **common, **progress)
    _show(result, as_json, {"rows told": result.rows})


@command.command("finish")
@_state
@click.option(
    "-n", "--size", required=True, metavar="N", help="Rows to choose: a count, or a share of all."
)
@options.output_option("X.parquet for one file, anything else for a directory.")
@options.columns_option
@click.option("--drop-embedding", is_flag=True, help="Leave the vectors out.")
@click.option("--ids-only", is_flag=True, help="Write only `row` and the added columns.")
@options.resource_options
@options.show_options
def finish(as_json: bool, columns: str | None, **values: Any) -> None:
    """Choose of the rows that were told a score. The state stays: more may be told."""
    from coresift.api import bandit
    from coresift.cli import console

    with options.watched(values) as progress:
        common = options.common(values, *options.RUN)
        held = options.split_columns(columns)
        result = bandit.finish(values.pop("state"), columns=held, **values, **common, **progress)
    facts = result.to_json()
    if as_json:
        console.show_json(facts)
        return
    names = ("method", "rows_in", "rows_out", "weight_sum")
    shown = {name.replace("_", " "): facts[name] for name in names}
    console.show_facts({**shown, **result.resolved, **console.measured(facts)}, result.notes)


def _show(result: Any, as_json: bool, first: dict[str, object]) -> None:
    from coresift.cli import console

    if as_json:
        console.show_json(result.to_json())
        return
    where = {"output": result.output} if result.output else {"state": result.state}
    console.show_facts(
        {**first, "asked": result.asked, "told": result.told, "left": result.left, **where},
        result.notes,
    )

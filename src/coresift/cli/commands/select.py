"""coresift select METHOD."""

from __future__ import annotations

from typing import Any

import click

from coresift.cli import options
from coresift.cli.config import read_environment
from coresift.cli.types import FOLDER
from coresift.selection import registry
from coresift.selection.registry import Method


class Methods(click.Group):
    """One command per registered method, with that method's own options."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names of the methods."""
        return list(registry.METHODS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Build the command of a method."""
        method = registry.METHODS.get(cmd_name)
        if method is None:
            return None
        return read_environment(build(method), "select", cmd_name)


@click.group("select", cls=Methods, subcommand_metavar="METHOD PATH... -n N -o OUT")
def command() -> None:
    """Choose rows with one of the methods.

    The rows are written with the input's columns, their id `row` and their `weight`: how many
    rows of the whole each stands for.
    """


def build(method: Method) -> click.Command:
    """Make the command of a method."""

    def run(
        paths: tuple[str, ...],
        as_json: bool,
        columns: str | None,
        plan: bool,
        machines: int,
        **values: Any,
    ) -> None:
        from coresift.api.select import select
        from coresift.cli import console

        params = {
            option.name: values.pop(option.field)
            for option in method.params.options()
            if option.field in values
        }
        with options.watched(values) as progress:
            common = options.common(values, *options.INPUT, *options.RUN)
            held = options.split_columns(columns)
            if plan:
                from coresift.api.plan import plan_select

                for name in ("output", "overwrite", "resume", "keep_scratch"):
                    del values[name]
                found = plan_select(
                    method.name,
                    paths,
                    params=params,
                    columns=held,
                    machines=machines,
                    **values,
                    **common,
                )
                console.show_plan(found.to_json(), as_json=as_json)
                return
            result = select(
                method.name,
                paths,
                params=params,
                columns=held,
                **values,
                **common,
                **progress,
            )
        facts = result.to_json()
        if as_json:
            console.show_json(facts)
            return
        names = ("method", "rows_in", "rows_out", "weight_sum")
        shown = {name.replace("_", " "): facts[name] for name in names}
        console.show_facts({**shown, **result.resolved, **console.measured(facts)}, result.notes)

    decorated: Any = run
    for decorate in reversed(
        [
            options.paths,
            *_size(method),
            options.output_option("X.parquet for one file, anything else for a directory."),
            *_clusters(method),
            *(options.declared(option) for option in method.params.options()),
            options.columns_option,
            click.option("--drop-embedding", is_flag=True, help="Leave the vectors out."),
            click.option(
                "--ids-only", is_flag=True, help="Write only `row` and the added columns."
            ),
            options.prefix_option,
            options.plan_options,
            options.resume_option,
            options.keep_scratch_option,
            options.input_options,
            options.run_options,
            options.show_options,
        ]
    ):
        decorated = decorate(decorated)
    help_text = f"{method.summary}\n\n{method.paper}" if method.paper else method.summary
    built: click.Command = click.command(method.name, help=help_text, short_help=method.summary)(
        decorated
    )
    return built


def _size(method: Method) -> list[Any]:
    if method.size == "none":
        return []
    return [
        click.option(
            "-n",
            "--size",
            required=method.size == "required",
            metavar="N",
            help="Rows to choose: a count, or a share such as 10%.",
        )
    ]


def _clusters(method: Method) -> list[Any]:
    if "clustering" not in (*method.needs, *method.takes):
        return []
    return [
        click.option(
            "--clusters",
            required="clustering" in method.needs,
            type=FOLDER,
            metavar="DIR",
            help="A clustering of the same dump, from `coresift cluster`.",
        )
    ]

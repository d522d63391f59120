"""coresift inspect."""

from __future__ import annotations

from typing import Any

import click

from coresift.cli import options


@click.command("inspect")
@options.paths
@options.input_options
@options.run_options
@options.show_options
def command(paths: tuple[str, ...], as_json: bool, **values: Any) -> None:
    """What is in a dump, and what would stop a run.

    Finds the vector column, counts and locates invalid rows and exact duplicates, and estimates
    what a clustering would take, in one pass.
    """
    from coresift.api.inspect import inspect, summary
    from coresift.cli import console

    with options.watched(values) as progress:
        found = inspect(paths, **options.common(values, *options.INPUT, *options.RUN), **progress)
    if as_json:
        console.show_json(found.to_json())
        return
    console.show_facts(summary(found))
    for item in found.duplicates:
        console.show_text(f"duplicate: row {item['row']:,} is row {item['same_as']:,} again")
    for problem in found.problems:
        console.show_text(f"problem: {problem}")

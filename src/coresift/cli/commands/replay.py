"""coresift replay."""

from __future__ import annotations

from typing import Any

import click

from coresift.cli import options
from coresift.cli.types import READ


@click.command("replay")
@click.argument("result", metavar="OUT", type=READ)
@options.output_option("Where to write the new result.")
@options.resource_options
@options.show_options
def command(result: str, as_json: bool, **values: Any) -> None:
    """Run again from a result's provenance, and compare.

    What decides the result comes from the provenance; how it is run (memory, threads, device)
    from the options. Exits with 1 when the new result differs.
    """
    from coresift.api.replay import replay
    from coresift.cli import console

    with options.watched(values) as progress:
        common = options.common(values, *options.RUN)
        found = replay(result, **values, **common, **progress)
    if as_json:
        console.show_json(found.to_json())
    else:
        facts: dict[str, object] = {
            "replayed": f"{found.command} {found.method}",
            "files": found.files,
            "identical": found.identical,
            "output": found.output,
        }
        console.show_facts(facts, [*found.notes, *found.differences])
    if not found.identical:
        raise click.exceptions.Exit(1)

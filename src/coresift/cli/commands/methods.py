"""coresift methods."""

from __future__ import annotations

import click

from coresift.cli import options
from coresift.selection import registry


@click.command("methods")
@click.argument("name", required=False)
@options.show_options
def command(name: str | None, as_json: bool, **_: bool) -> None:
    """The selection methods, their papers and needs."""
    from coresift.cli import console

    chosen = [registry.find(name)] if name else list(registry.METHODS.values())
    if as_json:
        console.show_json([method.to_json() for method in chosen])
        return
    for method in chosen:
        facts: dict[str, object] = {
            method.name: method.summary,
            "  paper": method.paper or "none",
            "  needs": ", ".join(method.needs) or "nothing but the dump",
            "  streams": method.streaming,
        }
        if name:
            for option in method.params.options():
                facts[f"  {option.flag}"] = option.help
        console.show_facts(facts)

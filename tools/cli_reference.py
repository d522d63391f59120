"""Writes docs/cli.md and docs/recipe.schema.json from the commands; --check fails when stale."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from coresift.cli.main import cli
from coresift.cli.steps import commands
from coresift.recipes.schema import schema_text

DOCS = Path(__file__).parent.parent / "docs"
WIDTH = 96
HEAD = """# Command line reference

Made from the commands' help by `make docs`; do not edit.

Options can also be set by the environment, as `CORESIFT_<COMMAND>_<OPTION>` (for a selection
method `CORESIFT_SELECT_<METHOD>_<OPTION>` or `CORESIFT_SELECT_<OPTION>`), and by `--config
FILE.toml`, whose keys stand at the top for all commands or in a table of the command's name
(`[cluster]`, `[select]`, `[select.sensitivity]`). The command line comes first, then the
environment, then the file.

Exit codes: 0 done, 1 the run failed (one line `error: ...`, and a `hint: ...` where there is
one), 2 wrong usage, 130 interrupted.
"""


def sections(command: click.Command, name: str, parent: click.Context | None) -> list[str]:
    """Help of a command and of those below it."""
    context = click.Context(command, info_name=name, parent=parent, max_content_width=WIDTH)
    context.terminal_width = WIDTH
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    found = [f"## {context.command_path}\n\n```\n{text}\n```\n"]
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            below = command.get_command(context, child)
            assert below is not None
            found += sections(below, child, context)
    return found


def reference() -> str:
    """The whole page."""
    return "\n".join([HEAD, *sections(cli, "coresift", None)])


def main() -> int:
    stale = False
    for name, page in {
        "cli.md": reference(),
        "recipe.schema.json": schema_text(commands()) + "\n",
    }.items():
        target = DOCS / name
        if target.exists() and target.read_text() == page:
            continue
        if "--check" in sys.argv:
            print(f"{name} is stale: run `make docs`", file=sys.stderr)
            stale = True
        else:
            target.write_text(page)
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())

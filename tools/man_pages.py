"""Writes man pages from the commands' own help: one for each command, into a folder.

The wheel carries them (see hatch_build.py), so that `man coresift-cluster` works where it is
installed system-wide or by a tool that links share/man.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from coresift._version import __version__
from coresift.cli.main import cli

EXIT_STATUS = """.SH EXIT STATUS
0 done; 1 the run failed; 2 wrong usage; 130 interrupted.
"""


def pages() -> dict[str, str]:
    """Text of each page by the name of its file."""
    return dict(_pages(cli, "coresift", None))


def write(folder: Path) -> None:
    """Write all pages into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


def _pages(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[tuple[str, str]]:
    context = click.Context(command, info_name=name, parent=parent)
    yield f"{_dashed(context)}.1", _page(command, context)
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            below = command.get_command(context, child)
            assert below is not None
            yield from _pages(below, child, context)


def _page(command: click.Command, context: click.Context) -> str:
    summary, _, rest = (command.help or "").partition("\n\n")
    name = _dashed(context)
    parts = [
        f'.TH "{name.upper()}" "1" "" "coresift {__version__}" "coresift"\n',
        f".SH NAME\n{_text(name)} \\- {_text(_flat(summary).rstrip('.'))}\n",
        f".SH SYNOPSIS\n.B {_text(context.command_path)}\n"
        f"{_text(' '.join(command.collect_usage_pieces(context)))}\n",
    ]
    if rest:
        parts.append(f".SH DESCRIPTION\n{_paragraphs(rest)}")
    if isinstance(command, click.Group):
        parts.append(f".SH COMMANDS\n{_commands(command, context)}")
    options = [
        item.get_help_record(context)
        for item in command.get_params(context)
        if isinstance(item, click.Option)
    ]
    parts.append(".SH OPTIONS\n" + "".join(_entry(*found) for found in options if found))
    parts += [EXIT_STATUS, f".SH SEE ALSO\n{_see_also(command, context)}\n"]
    return "".join(parts)


def _commands(group: click.Group, context: click.Context) -> str:
    found = []
    for child in group.list_commands(context):
        below = group.get_command(context, child)
        assert below is not None
        found.append(_entry(child, below.get_short_help_str(limit=1000)))
    return "".join(found)


def _see_also(command: click.Command, context: click.Context) -> str:
    name = _dashed(context)
    near = [_dashed(context.parent)] if context.parent is not None else []
    if isinstance(command, click.Group):
        near += [f"{name}-{child}" for child in command.list_commands(context)]
    return ", ".join(f"\\fB{_text(page)}\\fR(1)" for page in near)


def _entry(term: str, text: str) -> str:
    return f".TP\n\\fB{_text(term)}\\fR\n{_text(_flat(text))}\n"


def _paragraphs(text: str) -> str:
    """Paragraphs; one after a backspace, by which Click knows it, keeps its lines."""
    found = []
    for paragraph in text.split("\n\n"):
        if paragraph.lstrip().startswith("\b"):
            lines = paragraph.lstrip().removeprefix("\b").strip("\n").splitlines()
            found.append(".nf\n" + "".join(f"{_text(line)}\n" for line in lines) + ".fi\n")
        else:
            found.append(f"{_text(_flat(paragraph))}\n")
    return ".PP\n".join(found)


def _flat(text: str) -> str:
    return " ".join(text.split())


def _text(text: str) -> str:
    """Text as roff reads it as text, and nothing in it as a request."""
    safe = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{safe}" if safe.startswith((".", "'")) else safe


def _dashed(context: click.Context) -> str:
    return context.command_path.replace(" ", "-")


if __name__ == "__main__":
    write(Path(sys.argv[1]))

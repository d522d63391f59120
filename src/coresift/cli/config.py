"""Options from the environment and from ``--config FILE.toml``."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

import click

_PREFIX = "CORESIFT"
# what a key at the top of a file may set, for the commands that have it
SHARED = frozenset(
    (
        *("embedding", "embedding_dtype", "vectors", "dtype", "dim", "where", "metric", "invalid"),
        *("seed", "memory", "threads", "device", "engine", "ray_address", "scratch"),
        "batch_rows",
        *("quiet", "no_progress", "overwrite"),
    )
)


def read_environment(command: click.Command, *path: str) -> click.Command:
    """Let each option be set by CORESIFT_<COMMAND>_<OPTION>.

    A selection method's options are found under its own name too, which comes first:
    CORESIFT_SELECT_SENSITIVITY_SIZE, then CORESIFT_SELECT_SIZE.
    """
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name:
            names = [
                "_".join([_PREFIX, *path[:depth], parameter.name]).upper().replace("-", "_")
                for depth in range(len(path), 0, -1)
            ]
            parameter.envvar = names
            parameter.show_envvar = False
    return command


def read_config(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Take defaults from a TOML file: top-level keys, then the command's own table."""
    if value is None:
        return
    try:
        content = tomllib.loads(Path(value).read_text())
    except OSError as error:
        raise click.BadParameter(f"{value}: {error.strerror}", context, parameter) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{value}: not TOML: {error}", context, parameter) from None
    path = context.command_path.split()[1:]
    known = {item.name for item in context.command.params if isinstance(item, click.Option)}
    found: dict[str, Any] = {}
    table: Any = content
    for depth in range(len(path) + 1):
        here = ".".join(path[:depth])
        if not isinstance(table, dict):
            raise click.BadParameter(f"{value}: {here!r} is not a table", context, parameter)
        for key, item in table.items():
            name = key.replace("-", "_")
            if isinstance(item, dict) or (depth == 0 and name in SHARED and name not in known):
                continue
            if name not in known:
                near = difflib.get_close_matches(name, sorted(filter(None, known)), 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                where = f" in [{here}]" if here else ""
                raise click.BadParameter(
                    f"{value}: unknown key {key!r}{where}{hint}", context, parameter
                )
            found[name] = item
        if depth < len(path):
            table = table.get(path[depth], {})
    context.default_map = {**(context.default_map or {}), **found}

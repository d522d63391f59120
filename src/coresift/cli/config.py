"""Options from the environment and from ``--config FILE.toml``."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

_PREFIX = "CORESIFT"
# what a key at the top of a file may set, for the commands that have it
SHARED = frozenset(
    (
        *("embedding", "embedding_dtype", "vectors", "dtype", "dim", "where", "metric", "invalid"),
        *("seed", "memory", "threads", "device", "engine", "ray_address"),
        *("cpus_per_worker", "gpus_per_worker", "scratch"),
        *("batch_rows", "columns", "overwrite", "json", "quiet", "no_progress", "debug"),
    )
)


def public_name(parameter: click.Option) -> str:
    """Name of an option as people write it, with underscores: its longest flag's."""
    return max(parameter.opts, key=len).lstrip("-").replace("-", "_")


def read_environment(command: click.Command, *path: str) -> click.Command:
    """Let each option be set by CORESIFT_<COMMAND>_<OPTION>.

    A selection method's options are found under its own name too, which comes first:
    CORESIFT_SELECT_SENSITIVITY_SIZE, then CORESIFT_SELECT_SIZE.
    """
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            names = [
                "_".join([_PREFIX, *path[:depth], public_name(parameter)])
                for depth in range(len(path), 0, -1)
            ]
            parameter.envvar = [name.upper().replace("-", "_") for name in names]
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
    try:
        found = dict(_settings(context, content))
    except ValueError as error:
        raise click.BadParameter(f"{value}: {error}", context, parameter) from None
    context.default_map = {**(context.default_map or {}), **found}


def _settings(context: click.Context, table: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Values for the command's parameters, later ones first in precedence."""
    options = {
        public_name(item): item for item in context.command.params if isinstance(item, click.Option)
    }
    chain = [context]
    while chain[0].parent is not None:
        chain.insert(0, chain[0].parent)
    for depth, here in enumerate(chain):
        place = ".".join(str(item.info_name) for item in chain[1 : depth + 1])
        group = here.command if isinstance(here.command, click.Group) else None
        tables = group.list_commands(here) if group else []
        for key, item in table.items():
            name = key.replace("-", "_")
            if isinstance(item, dict):
                if key not in tables:
                    raise ValueError(_unknown("table", f"{place}.{key}".lstrip("."), "", tables))
            elif name in options:
                yield str(options[name].name), _value(key, item, options[name])
            elif depth > 0 or name not in SHARED:
                raise ValueError(_unknown("key", key, place, options))
        if here is not context:
            table = table.get(str(chain[depth + 1].info_name), {})
            if not isinstance(table, dict):
                raise ValueError(f"{chain[depth + 1].info_name!r} is not a table")


def _unknown(what: str, key: str, place: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(key.rpartition(".")[2].replace("-", "_"), list(known), 1)
    where = f" in [{place}]" if place else ""
    return f"unknown {what} {key!r}{where}" + (f"; did you mean {near[0]!r}?" if near else "")


def _value(key: str, value: object, option: click.Option) -> object:
    """A value as the option takes it; a list where it repeats or is written ``a,b``."""
    if option.multiple:
        return value if isinstance(value, list) else [value]
    if isinstance(value, list):
        if option.metavar != "A,B":
            raise ValueError(f"key {key!r} takes one value, not a list")
        return ",".join(map(str, value))
    return value

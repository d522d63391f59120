"""What is known of a step's input before the steps that make it have run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from coresift.core.errors import ParameterError
from coresift.core.size import Size
from coresift.io.dump import open_dump
from coresift.io.filesystem import resolve
from coresift.recipes.command import Command
from coresift.selection.columns import find_column

# keys that name the rows which a command works on
_INPUTS = ("paths", "full")
_TYPES = {
    "row": pa.int64(),
    "weight": pa.float64(),
    "score": pa.float64(),
    "cluster": pa.int32(),
    "rank": pa.int32(),
}


@dataclass(frozen=True)
class Known:
    """What is known of a table that may not be there yet.

    Attributes
    ----------
    schema : pyarrow.Schema or None
        Its columns.
    rows : int or None
        The most rows it can have.
    source : Known or None
        What it is made from.
    """

    schema: pa.Schema | None = None
    rows: int | None = None
    source: Known | None = None


def input_of(values: Mapping[str, object], results: Mapping[str, Known]) -> Known:
    """What is known of a step's input; ``results`` are those of steps that have not run.

    Raises
    ------
    CoresiftError
        When a file that is no step's result cannot be read.
    """
    about = results.get(str(values.get("result")))
    if about is not None and about.source is not None:
        # a report is on the rows that its result was made from
        return about.source
    named = next((values[name] for name in _INPUTS if name in values), None)
    paths = [str(path) for path in (named if isinstance(named, list) else [named])]
    if named is None or any(path not in results and _within(path, results) for path in paths):
        return Known()
    promised = [results[path] for path in paths if path in results]
    if promised:
        return promised[0] if len(paths) == 1 else Known()
    dump = open_dump(paths)
    return Known(dump.schema, dump.rows)


def check(command: Command, values: Mapping[str, object], given: Known) -> None:
    """Refuse columns that the input does not have, and more rows or clusters than it has.

    Raises
    ------
    ParameterError
        Naming the option.
    """
    schema = given.schema
    for name, value in values.items():
        key = command.keys[name]
        if schema is None or value is None:
            continue
        # what is joined from a file of scores is not a column of the input
        if key.kind == "column" and f"{name}s" not in values:
            find_column(schema, str(value), key.flag)
        if key.kind == "columns":
            missing = [one for one in split(value) if one not in schema.names]
            if missing:
                raise ParameterError(
                    f"{key.flag}: no column {missing[0]!r} in the input",
                    hint=f"the columns are {', '.join(schema.names[:12])}",
                )
    if given.rows is not None:
        _check_size(values, given.rows)


def require_there(
    command: Command, values: Mapping[str, object], results: Mapping[str, Known]
) -> None:
    """Refuse a file that is not there, and that no step will make.

    Raises
    ------
    InputError
        Naming it.
    """
    for name, value in values.items():
        if command.keys[name].kind != "path":
            continue
        for item in value if isinstance(value, list) else [value]:
            text = str(item)
            if "://" not in text and not _within(text, results):
                resolve([text], formats=False)


def _check_size(values: Mapping[str, object], rows: int) -> None:
    size = values.get("size")
    if size is not None and "multiplier" not in values:
        Size.parse(str(size)).resolve(rows)
    clusters = values.get("k") if "paths" in values else None
    for count in split(clusters) if clusters is not None else ():
        if count.isdecimal() and int(count) > rows:
            raise ParameterError(
                f"-k {int(count):,} is more than the {rows:,} rows",
                hint=f"ask for at most {rows:,} clusters",
            )


def result_of(command: Command, values: Mapping[str, object], given: Known) -> Known:
    """What a step's result will be.

    Raises
    ------
    ParameterError
        When a column that it adds is there already.
    """
    if not command.adds:
        return Known(source=given)
    size = values.get("size")
    rows = given.rows
    if size is not None and rows is not None and "multiplier" not in values:
        rows = Size.parse(str(size)).resolve(rows)
    if given.schema is None or values.get("drop_embedding"):
        return Known(None, rows, given)
    kept = [] if values.get("ids_only") else given.schema.names
    columns = values.get("columns")
    if columns is not None:
        wanted = set(split(columns))
        kept = [name for name in kept if name in wanted]
    fields = [given.schema.field(name) for name in kept]
    for added in command.adds:
        name = f"{values.get('prefix', '')}{added}"
        if name in kept:
            raise ParameterError(
                f"the input has a column {name!r}, which the result adds",
                hint="give prefix = 'coresift_' to name the added columns apart, or leave the "
                "input's out with columns",
            )
        fields.append(pa.field(name, _TYPES[added]))
    return Known(pa.schema(fields), rows, given)


def split(value: object) -> Sequence[str]:
    """The names or numbers of a list, or of a text with commas."""
    items = value if isinstance(value, list) else str(value).split(",")
    return [str(item).strip() for item in items if str(item).strip()]


def _within(path: str, results: Mapping[str, Known]) -> bool:
    return any(path.startswith(result) for result in results)

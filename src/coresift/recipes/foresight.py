"""What is known of a step's input before the steps that make it have run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from coresift.core.errors import ParameterError
from coresift.core.size import Size
from coresift.io.dump import open_dump
from coresift.io.filesystem import resolve
from coresift.recipes.command import Command
from coresift.selection.reading.columns import find_column

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


class Foresight:
    """Looks at steps in the order in which they run, of which some have not."""

    def __init__(self) -> None:
        self._promised: dict[str, Known] = {}
        self._opened: dict[tuple[str, ...], Known] = {}

    def promise(self, place: str, result: Known) -> None:
        """Expect a step's result at a place where nothing is yet."""
        self._promised[place] = result

    def look(self, command: Command, values: Mapping[str, Any]) -> Known:
        """Check a step's keys by what is known of its input; return what its result will be.

        Raises
        ------
        CoresiftError
            When a file is not there that no step makes, the input does not have a column, or has
            fewer rows than are asked for.
        """
        for name, value in values.items():
            key = command.keys[name]
            if key.kind == "path":
                self._require_there([path for path in _several(value) if path not in key.words])
        given = self._input_of(values)
        if given.schema is not None:
            _check_columns(command, values, given.schema)
        if given.rows is not None:
            _check_size(values, given.rows)
        return _result_of(command, values, given)

    def _require_there(self, paths: Sequence[str]) -> None:
        for path in paths:
            if "://" not in path and not self._awaits(path):
                resolve([path], formats=False)

    def _input_of(self, values: Mapping[str, Any]) -> Known:
        about = self._promised.get(str(values.get("result")))
        if about is not None and about.source is not None:
            # a report is on the rows that its result was made from
            return about.source
        paths = next((_several(values[name]) for name in _INPUTS if name in values), [])
        if len(paths) == 1 and paths[0] in self._promised:
            return self._promised[paths[0]]
        if not paths or any(self._awaits(path) for path in paths):
            return Known()
        key = tuple(paths)
        if key not in self._opened:
            dump = open_dump(paths)
            self._opened[key] = Known(dump.schema, dump.rows)
        return self._opened[key]

    def _awaits(self, path: str) -> bool:
        """Whether a path is a result that is not there yet, or within one."""
        return any(path.startswith(place) for place in self._promised)


def _check_columns(command: Command, values: Mapping[str, Any], schema: pa.Schema) -> None:
    for name, value in values.items():
        key = command.keys[name]
        # what is joined from a file of scores is not a column of the input
        if key.kind == "column" and f"{name}s" not in values:
            find_column(schema, str(value), key.flag)
        if key.kind == "columns":
            missing = [one for one in _split(value) if one not in schema.names]
            if missing:
                raise ParameterError(
                    f"{key.flag}: no column {missing[0]!r} in the input",
                    hint=f"the columns are {', '.join(schema.names[:12])}",
                )


def _check_size(values: Mapping[str, Any], rows: int) -> None:
    if "size" in values and "multiplier" not in values:
        for size in _several(values["size"]):
            Size.parse(size).resolve(rows)
    # the centers of an evaluation are not clusters of its rows
    for count in _split(values["k"]) if "k" in values and "paths" in values else ():
        if count.isdecimal() and int(count) > rows:
            raise ParameterError(
                f"-k {int(count):,} is more than the {rows:,} rows",
                hint=f"ask for at most {rows:,} clusters",
            )


def _result_of(command: Command, values: Mapping[str, Any], given: Known) -> Known:
    if not command.adds:
        return Known(source=given)
    rows = given.rows
    if "size" in values and "multiplier" not in values and rows is not None:
        rows = Size.parse(str(values["size"])).resolve(rows)
    if given.schema is None or values.get("drop_embedding"):
        return Known(None, rows, given)
    kept = [] if values.get("ids_only") else given.schema.names
    if "columns" in values:
        wanted = set(_split(values["columns"]))
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


def _several(value: object) -> list[str]:
    return [str(item) for item in (value if isinstance(value, list) else [value])]


def _split(value: object) -> list[str]:
    """The names or numbers of a list, or of a text with commas."""
    items = value if isinstance(value, list) else str(value).split(",")
    return [str(item).strip() for item in items if str(item).strip()]

"""Numbers from a file of their own, joined to rows or clusters by an id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.core.errors import InputError, ParameterError
from coresift.io import compute as pc
from coresift.io.dump import Dump, open_dump
from coresift.selection.reading.columns import as_numbers, find_column

# an id, its number, and the tables that look them up on two threads
LINE_BYTES = 100
_RESERVED = ("cluster", "row", "weight", "rank", "distance")


@dataclass(frozen=True)
class SideFile:
    """A small table beside the dump: one line per id.

    Attributes
    ----------
    path : str
        As the user named it.
    option : str
        The option that named it.
    dump : Dump
        The opened file or directory.
    """

    path: str
    option: str
    dump: Dump

    @classmethod
    def open(cls, path: str, option: str) -> SideFile:
        """Read the footers."""
        return cls(path, option, open_dump([path]))

    @property
    def digest(self) -> str:
        """Identity of the content."""
        return self.dump.fingerprint.digest

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.dump.schema.names)

    def require(self, name: str, option: str) -> None:
        """Refuse a column that is not there."""
        if name not in self.names:
            raise InputError(
                f"{self.path}: no column {name!r}, which {option} names",
                hint=f"its columns are {', '.join(self.names[:12])}",
            )

    def only_number(self, preferred: str, besides: Sequence[str], option: str) -> str:
        """Name of the column that must be meant when none was named.

        Raises
        ------
        InputError
            When there is no ``preferred`` column and not exactly one number beside others.
        """
        if preferred in self.names:
            return preferred
        numbers = [
            field.name
            for field in self.dump.schema
            if (pa.types.is_floating(field.type) or pa.types.is_integer(field.type))
            and field.name not in (*besides, *_RESERVED)
        ]
        if len(numbers) == 1:
            return str(numbers[0])
        found = (
            f"{len(numbers)} columns of numbers: {', '.join(numbers)}"
            if numbers
            else ("no column of numbers")
        )
        raise InputError(
            f"{self.path}: no column {preferred!r} and {found}", hint=f"name one with {option}"
        )

    def read(self, names: Sequence[str]) -> pa.Table:
        """Whole columns."""
        batches = [
            batch
            for shard in self.dump.shards(names)
            for _, batch in self.dump.read(shard, list(names))
        ]
        return pa.Table.from_batches(batches).combine_chunks()

    def evaluate(self, text: str, option: str) -> NDArray[np.float64]:
        """Numbers of a column or an expression of columns, null as NaN."""
        found = find_column(self.dump.schema, text, option)
        table = self.read(found.reads)
        parts = [as_numbers(found.of(batch), f"{option} {text!r}") for batch in table.to_batches()]
        return np.concatenate(parts)


@dataclass(frozen=True)
class Lookup:
    """The lines of a side file by id.

    Attributes
    ----------
    ids : pyarrow.Array
        Distinct, none null.
    """

    ids: pa.Array

    @classmethod
    def of(cls, side: SideFile, on: str, kind: pa.DataType, there: str) -> Lookup:
        """Read the ids, as the type they have on the other side.

        Raises
        ------
        InputError
            When an id is null or occurs twice, or ids of the two sides cannot be compared.
        """
        side.require(on, "--on")
        ids = side.read([on]).column(on).combine_chunks()
        found = value_type(ids.type)
        try:
            ids = ids.cast(value_type(kind))
        except pa.ArrowException:
            raise InputError(
                f"{side.path}: column {on!r} is {found}, and {value_type(kind)} in {there}",
                hint="write both with one type",
            ) from None
        if ids.null_count:
            raise InputError(
                f"{side.path}: {plural(ids.null_count, 'line')} without {on!r}",
                hint="give each line an id, or leave it out",
            )
        counts = ids.value_counts()
        twice = counts.filter(pc.greater(counts.field("counts"), 1))
        if len(twice):
            raise InputError(
                f"{side.path}: {plural(len(twice), 'id')} in {on!r} more than once, for example "
                f"{twice.field('values')[0].as_py()!r}",
                hint="each id needs exactly one line",
            )
        return cls(ids)

    def places(self, ids: pa.Array) -> NDArray[np.int64]:
        """Line of each id, -1 for none; each call builds a table of all lines."""
        places = pc.index_in(ids.cast(self.ids.type), value_set=self.ids, skip_nulls=True)
        return np.asarray(pc.fill_null(places, -1).to_numpy(), dtype=np.int64)


@dataclass(frozen=True)
class Matches:
    """Which lines some rows were joined to.

    Attributes
    ----------
    places : ndarray of int64
        Lines that were found.
    without : int
        Rows that have none.
    first : tuple of int and object
        The first of these, and its id.
    """

    places: NDArray[np.int64]
    without: int
    first: tuple[int, object]

    @classmethod
    def of(cls, lookup: Lookup, ids: pa.Array, rows: NDArray[np.int64]) -> Matches:
        """Look up the ids of some rows."""
        places = lookup.places(ids)
        none = np.flatnonzero(places < 0)
        first = (int(rows[none[0]]), ids[int(none[0])].as_py()) if len(none) else (-1, None)
        return cls(places[places >= 0], len(none), first)

    @classmethod
    def joined(cls, parts: Sequence[Matches]) -> Matches:
        """Those of several runs of rows, in their order."""
        places = [np.empty(0, np.int64), *(part.places for part in parts)]
        first = next((part.first for part in parts if part.without), (-1, None))
        return cls(np.concatenate(places), sum(part.without for part in parts), first)


def require_each_once(
    lookup: Lookup,
    parts: Iterable[Matches],
    *,
    path: str,
    what: str,
    on: str,
    there: str,
    hint: str,
    rows: str = "row there is to choose from",
) -> tuple[str, ...]:
    """Refuse rows that have no line, or share one; note lines that no row uses.

    Parameters
    ----------
    lookup : Lookup
        The lines.
    parts : iterable of Matches
        All rows, in their order.
    path, what : str
        The file of the lines, and what it holds.
    on, there : str
        The column of ids, and where the rows are.
    hint : str
        What to do about rows without a line.
    rows : str
        What is said of the rows that lines may be used by.

    Raises
    ------
    InputError
        When a row has no line, or two have the same.
    """
    used = np.zeros(len(lookup.ids), np.bool_)
    unmatched = 0
    first: tuple[int, object] = (-1, None)
    twice: list[int] = []
    for part in parts:
        if part.without and not unmatched:
            first = part.first
        unmatched += part.without
        ordered = np.sort(part.places)
        again = ordered[1:][ordered[1:] == ordered[:-1]]
        twice.extend(np.unique(np.concatenate([part.places[used[part.places]], again])).tolist())
        used[part.places] = True
    if unmatched:
        raise InputError(
            f"{path}: no {what} for {plural(unmatched, 'row')} of {there}, for example row "
            f"{first[0]} with {on} {first[1]!r}",
            hint=hint,
        )
    if twice:
        distinct = sorted(set(twice))
        raise InputError(
            f"{plural(len(distinct), 'id')} in {on!r} of {there} on more than one row, for "
            f"example {lookup.ids[distinct[0]].as_py()!r}",
            hint="join by a column whose values are distinct",
        )
    spare = np.flatnonzero(~used)
    if len(spare) == 0:
        return ()
    unused = f"{plural(len(spare), 'id')} of {path} on no {rows}"
    return (f"{unused}, for example {lookup.ids[int(spare[0])].as_py()!r}",)


def value_type(kind: pa.DataType) -> pa.DataType:
    """Type of the values, whatever they are encoded with."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    if pa.types.is_string_view(kind):
        return pa.string()
    return kind


def plural(count: int, noun: str) -> str:
    """``1 id``, ``2 ids``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def require_named(name: str, names: Sequence[str], option: str, where: str) -> None:
    """Refuse a column of ids that is not there."""
    if name not in names:
        raise ParameterError(
            f"{option}: no column {name!r} in {where}",
            hint=f"the columns are {', '.join(names[:12])}",
        )

"""Numbers from a file of their own, joined to rows or clusters by an id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from coresift.core.errors import InputError, ParameterError
from coresift.io.dump import Dump, open_dump
from coresift.selection.columns import as_numbers, find_column

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

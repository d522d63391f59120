"""Gradients in a vector column of a dump."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.core.memory import give_back
from coresift.influence.base import Resources
from coresift.io.dump import Dump, Shard
from coresift.io.vectors import refuse_invalid, vector_batches

_SHARD_BYTES = 64 << 20


@dataclass(frozen=True)
class _Decoded:
    """What was found in a shard: rows with a gradient, how many were left out, the longest."""

    kept: NDArray[np.bool_]
    dropped: int
    refused: tuple[int, int] | None


class Columns:
    """The gradients in a vector column; of a row group they are decoded when it is first needed.

    They are kept in an array of the whole dump, in memory where it fits and in a scratch file
    where it does not, so that what is read again is not decoded again, and what is never needed
    is never read. What tasks of another process use must have been read before
    (:meth:`fetch`).

    Parameters
    ----------
    dump : Dump
        What to read; its vector column holds the gradients.
    resources : Resources
        What the run lends.

    Attributes
    ----------
    rows : int
        Rows of the dump.
    kept : ndarray of bool, shape (rows,)
        Rows read so far that match ``--where`` and have a gradient.
    dropped : int
        Rows read so far that match and have none.
    """

    def __init__(self, dump: Dump, resources: Resources) -> None:
        self.rows = dump.rows
        self._dump = dump
        self._resources: Resources | None = resources
        column = dump.embedding
        self._dim = column.dim
        size = dump.rows * column.dim * column.resident_dtype.itemsize
        # what is done with gradients takes some memory too
        held = size + dump.rows < resources.budget.left() // 2
        self._store = resources.scratch.rows(
            None, dump.rows, column.dim, column.resident_dtype, held=held
        )
        self.kept = np.zeros(dump.rows, np.bool_)
        self.dropped = 0
        self._groups = _row_groups(dump)
        self._missing = np.ones(len(self._groups), np.bool_)
        self._ends = np.array([group.start + group.rows for group in self._groups], np.int64)

    @property
    def dim(self) -> int:
        """Parameters."""
        return self._dim

    @property
    def name(self) -> str:
        """Of the column."""
        return self._dump.embedding.name

    @property
    def source(self) -> str:
        """Name of the dump, for messages."""
        return self._dump.source

    def fetch(self, rows: NDArray[np.int64] | None = None) -> None:
        """Decode the row groups that hold some rows, or all of them.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,), or None
            Row ids, ascending; None means all.

        Raises
        ------
        InputError
            At the first of their rows without a gradient, unless such rows are dropped.
        """
        if rows is None:
            wanted = self._missing.copy()
        else:
            wanted = np.zeros_like(self._missing)
            wanted[np.unique(np.searchsorted(self._ends, rows, side="right"))] = True
            wanted &= self._missing
        if not wanted.any() or self._resources is None:
            return
        places = np.flatnonzero(wanted).tolist()
        shards = _together(self._dump, [self._groups[place] for place in places])
        dump, store = self._dump, self._store
        drops = dump.options.invalid == "drop"

        def task(shard: Shard) -> _Decoded:
            kept = np.zeros(shard.rows, np.bool_)
            dropped = 0
            for batch in vector_batches(dump, shard):
                refused = np.flatnonzero(batch.matching & (batch.reason != 0))
                if len(refused) and not drops:
                    row = int(refused[0])
                    return _Decoded(kept, 0, (batch.start + row, int(batch.reason[row])))
                dropped += len(refused)
                low = batch.start - shard.start
                kept[low : low + len(batch.reason)] = batch.matching & (batch.reason == 0)
                store.write(batch.start, batch.vectors)
            return _Decoded(kept, dropped, None)

        with self._resources.progress.stage("gradients", sum(s.rows for s in shards)) as stage:
            found = self._resources.engine.map(task, shards)
            for shard, part in zip(shards, found, strict=True):
                if part.refused is not None:
                    raise refuse_invalid(dump, *part.refused)
                self.kept[slice(*shard.span)] = part.kept
                self.dropped += part.dropped
                stage.advance(shard.rows)
        self._missing[places] = False
        give_back()

    def require_some(self) -> None:
        """Refuse a dump of which no row is left.

        Raises
        ------
        InputError
            When all were read and none has a gradient.
        """
        if not self.kept.any():
            raise InputError(
                f"{self.source}: no row is left of {self.rows:,} with a gradient in {self.name!r}",
                hint="--where or --invalid drop left none",
            )

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Of consecutive rows, shape (stop - start, dim), valid until this thread reads again."""
        if self._missing.any():
            self.fetch(np.arange(start, stop))
        return _without(self._store.read(start, stop), self.kept[start:stop])

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Of some rows, ascending; row groups that hold none of them are not read."""
        self.fetch(rows)
        return _without(self._store.gather(rows), self.kept[rows])

    def __getstate__(self) -> dict[str, Any]:
        """In another process it gives what was read here."""
        return {**self.__dict__, "_resources": None}


def _without(raw: NDArray[Any], kept: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Gradients as float32, NaN where a row is left out."""
    values: NDArray[np.float32] = raw.astype(np.float32, copy=False)
    if kept.all():
        return values
    return np.where(kept[:, None], values, np.float32(np.nan))


def _row_groups(dump: Dump) -> list[Shard]:
    """Each row group that has rows, as a shard."""
    found: list[Shard] = []
    start = 0
    for file, table in enumerate(dump.tables):
        for group, count in enumerate(table.groups):
            if count:
                found.append(Shard(len(found), file, (group,), start, count))
            start += count
    return found


def _together(dump: Dump, groups: Sequence[Shard]) -> list[Shard]:
    """Neighbouring row groups of a file, up to about 64 MB, as one shard."""
    return list(_joined(dump, groups))


def _joined(dump: Dump, groups: Sequence[Shard]) -> Iterator[Shard]:
    columns = dump.embedding.columns
    held: Shard | None = None
    size = index = 0
    for group in groups:
        added = dump.tables[group.file].group_bytes(group.groups[0], columns)
        after = held is not None and (held.file, held.span[1]) == (group.file, group.start)
        if held is not None and after and size + added <= _SHARD_BYTES:
            whole = (*held.groups, *group.groups)
            held = Shard(index, held.file, whole, held.start, held.rows + group.rows)
            size += added
            continue
        if held is not None:
            yield held
            index += 1
        held, size = group, added
    if held is not None:
        yield held

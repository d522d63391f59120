"""Stores as the gradients of a dump's rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.engine.base import Shared
from coresift.influence.base import Resources, Source, blocks
from coresift.influence.stores.base import StoredGradients


class Stored(Shared):
    """The gradients of a store, as :class:`~coresift.influence.base.Source`.

    Nothing is copied: a block is read from the store each time.

    Parameters
    ----------
    store : StoredGradients
        The store.
    resources : Resources
        What the run lends.
    drops : bool
        Leave rows out whose gradient is not finite, rather than refuse them.
    """

    def __init__(self, store: StoredGradients, resources: Resources, *, drops: bool) -> None:
        self.rows = store.rows
        self.kept: NDArray[np.bool_] = np.ones(store.rows, np.bool_)
        self.dropped = 0
        self._store = store
        self._resources: Resources | None = resources if drops else None
        self._drops = drops
        self._looked = np.zeros(store.rows if drops else 0, np.bool_)

    @property
    def dim(self) -> int:
        """Elements of a gradient."""
        return self._store.dim

    @property
    def name(self) -> str:
        """Of the store."""
        return self._store.source

    @property
    def source(self) -> str:
        """Name of the store, for messages."""
        return self._store.source

    def fetch(self, rows: NDArray[np.int64] | None = None) -> None:
        """Find out which rows have no gradient, where such rows are left out."""
        resources = self._resources
        if resources is None:
            return
        wanted = ~self._looked
        if rows is not None:
            wanted &= np.isin(np.arange(self.rows), rows)
        ids = np.flatnonzero(wanted)
        parts = [ids[start:stop] for start, stop in blocks(len(ids), self.dim)]
        store = self._store

        def task(part: NDArray[np.int64]) -> NDArray[np.bool_]:
            return np.asarray(np.isfinite(store.raw(part)).all(axis=1))

        with resources.progress.stage("gradients", len(ids)) as stage:
            for part, good in zip(parts, resources.engine.map(task, parts), strict=True):
                self.kept[part] = good
                self.dropped += int(np.count_nonzero(~good))
                stage.advance(len(part))
        self._looked[ids] = True

    def require_some(self) -> None:
        """Refuse a store of which no row is left."""
        if not self.kept.any():
            raise InputError(f"{self.source}: no row is left of {self.rows:,} with a gradient")

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Of consecutive rows, shape (stop - start, dim)."""
        return self.take(np.arange(start, stop, dtype=np.int64))

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Of some rows, ascending, shape (len(rows), dim)."""
        if not self._drops:
            return self._store.take(rows)
        values = self._store.raw(rows)
        values[~np.isfinite(values).all(axis=1)] = np.nan
        return values

    def __getstate__(self) -> dict[str, object]:
        """In another process it gives what it gives here, and finds out nothing."""
        return {**self.__dict__, "_resources": None}


class Within(Shared):
    """Gradients of which only some rows are there, as :class:`~coresift.influence.base.Source`.

    Parameters
    ----------
    whole : Source
        Gradients of all rows.
    matching : ndarray of bool, shape (rows,)
        Rows that ``--where`` keeps.
    """

    def __init__(self, whole: Source, matching: NDArray[np.bool_]) -> None:
        self.rows = whole.rows
        self._whole = whole
        self._matching = matching

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Rows that match and have a gradient, so far as they were read."""
        return self._whole.kept & self._matching

    @property
    def dropped(self) -> int:
        """Rows read so far that have no gradient."""
        return self._whole.dropped

    @property
    def dim(self) -> int:
        """Elements of a gradient."""
        return self._whole.dim

    @property
    def name(self) -> str:
        """Of the column or store."""
        return self._whole.name

    @property
    def source(self) -> str:
        """Where it is, for messages."""
        return self._whole.source

    def fetch(self, rows: NDArray[np.int64] | None = None) -> None:
        """Read those of some rows that match."""
        self._whole.fetch(
            np.flatnonzero(self._matching) if rows is None else rows[self._matching[rows]]
        )

    def require_some(self) -> None:
        """Refuse when no row is left."""
        if not self.kept.any():
            raise InputError(
                f"{self.source}: no row is left of {self.rows:,} with a gradient",
                hint="--where or --invalid drop left none",
            )

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Of consecutive rows, shape (stop - start, dim)."""
        return self.take(np.arange(start, stop, dtype=np.int64))

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Of some rows, ascending, shape (len(rows), dim)."""
        there = self._matching[rows]
        values = np.full((len(rows), self.dim), np.nan, np.float32)
        if there.any():
            values[there] = self._whole.take(rows[there])
        return values

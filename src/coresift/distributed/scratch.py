"""Where a run's arrays are made when it runs on a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from coresift.distributed.engine import RayEngine
from coresift.distributed.rows import RemoteRows
from coresift.engine.base import Engine
from coresift.io.journal import Journal
from coresift.io.store import Arrays, Item, RowStore, Scratch


class RemoteScratch(Scratch):
    """Arrays with a row per row are on the workers; all else is as on one machine.

    Parameters
    ----------
    engine : RayEngine
        The workers.
    folder : path, optional
        Scratch folder of this machine.
    """

    def __init__(self, engine: RayEngine, folder: str | os.PathLike[str] | None = None) -> None:
        super().__init__(folder)
        self._engine = engine

    def aside(self) -> RemoteScratch:
        """Another one, which remembers nothing either."""
        return RemoteScratch(self._engine, self.folder)

    @property
    def driver(self) -> Scratch:
        """A folder for arrays of this process."""
        return Scratch(self.folder, self._open)

    def rows(
        self,
        name: str | None,  # noqa: ARG002
        rows: int,
        width: int,
        dtype: np.dtype[Any],
        *,
        held: bool,  # noqa: ARG002
    ) -> RemoteRows:
        """Array of which each worker holds its part, in memory if that fits."""
        return self._engine.store(rows, width, dtype)

    def __reduce__(self) -> tuple[type[Scratch], tuple[str]]:
        """Inside a task it is the worker's own folder."""
        return Scratch, (str(self.folder),)


class RemoteJournal(RemoteScratch):
    """What a run has done, without the arrays on the workers, which die with it.

    Parameters
    ----------
    engine : RayEngine
        The workers.
    journal : Journal
        Keeps the rest on this machine.
    """

    keeps = True

    def __init__(self, engine: RayEngine, journal: Journal) -> None:
        super().__init__(engine, journal.folder)
        self.journal = journal

    def step(self, name: str) -> RemoteJournal:
        """Where a part of the work keeps what is its own."""
        return RemoteJournal(self._engine, self.journal.step(name))

    def load(self, name: str) -> dict[str, NDArray[Any]] | None:
        """What an earlier process saved under ``name``, if any."""
        return self.journal.load(name)

    def save(self, name: str, stores: Sequence[RowStore] = (), /, **values: ArrayLike) -> None:
        """Remember ``values``, unless they speak of arrays that will not be there."""
        if not stores:
            self.journal.save(name, **values)

    @property
    def due(self) -> bool:
        """Whether it is time to save how far the work is."""
        return self.journal.due

    def clear(self) -> None:
        """Forget what was saved in this step."""
        self.journal.clear()

    def map(
        self,
        name: str,
        engine: Engine,
        task: Callable[[Item], Arrays],
        items: Sequence[Item],
        stores: Sequence[RowStore] = (),
    ) -> Iterator[Arrays]:
        """``engine.map``; results that an earlier process had are not made again."""
        if stores:
            return engine.map(task, items)
        return self.journal.map(name, engine, task, items)

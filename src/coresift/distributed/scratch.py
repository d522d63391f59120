"""Where a run's arrays are made when it runs on a cluster."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from coresift.distributed.engine import RayEngine
from coresift.distributed.rows import RemoteRows
from coresift.io.store import Scratch


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

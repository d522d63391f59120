"""Gradients that a test holds, and what a run lends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coresift.core.memory import Budget
from coresift.core.progress import Silent
from coresift.engine.local import LocalEngine
from coresift.influence.columns import Columns
from coresift.io.dump import InputOptions, open_dump
from coresift.io.store import Scratch
from coresift.selection.base import Context


class Array:
    """An array as gradients."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values.astype(np.float32)
        self.rows = len(values)

    @property
    def dim(self) -> int:
        """Parameters."""
        return int(self._values.shape[1])

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Of consecutive rows."""
        return self._values[start:stop]

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Of some rows."""
        return self._values[rows]


@contextmanager
def lent(threads: int = 2, memory: int | None = None) -> Iterator[Context]:
    """The resources of a run."""
    engine = LocalEngine(threads)
    budget = Budget.default() if memory is None else Budget(memory)
    with Scratch() as scratch:
        yield Context(engine, budget, scratch, Silent())
    engine.close()


def columns(source: Path, context: Context, **options: Any) -> Columns:
    """The vector column of a dump as gradients."""
    return Columns(open_dump([source], InputOptions(**options)), context)


def decaying(rows: int, dim: int, seed: int = 0) -> NDArray[np.float32]:
    """Gradients whose spectrum decays, as those of networks do."""
    random = np.random.default_rng(seed)
    turn = np.linalg.qr(random.normal(size=(dim, dim)))[0]
    scale = 1.0 / np.sqrt(1.0 + np.arange(dim))
    found: NDArray[np.float32] = ((random.normal(size=(rows, dim)) * scale) @ turn).astype(
        np.float32
    )
    return found

"""What influence is computed from, and what it gives."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coresift.core.memory import Budget
from coresift.core.progress import Progress
from coresift.engine.base import Engine
from coresift.io.store import Scratch

# of a block of gradients in float64
_BLOCK_BYTES = 16 << 20
_FEWEST, _MOST = 64, 4096


class Gradients(Protocol):
    """A gradient of the loss for each row of a dump, read when it is needed.

    A row that is left out of the data has NaN for a gradient.
    """

    rows: int

    @property
    def dim(self) -> int:
        """Parameters."""

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Of consecutive rows, shape (stop - start, dim)."""

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Of some rows, ascending, shape (len(rows), dim); no more is read than holds them."""


class Source(Gradients, Protocol):
    """Gradients of a dump's rows, and which rows have one.

    Attributes
    ----------
    rows : int
        Rows of the dump.
    """

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Rows that match ``--where`` and have a gradient, of those read so far."""

    @property
    def dropped(self) -> int:
        """Rows read so far that match and have none."""

    @property
    def name(self) -> str:
        """Of the column or store."""

    @property
    def source(self) -> str:
        """Where it is, for messages."""

    def fetch(self, rows: NDArray[np.int64] | None = None) -> None:
        """Read some rows, ascending, or all, so far as that is needed to know who has one."""

    def require_some(self) -> None:
        """Refuse a dump of which no row is left."""


class Influence(Protocol):
    """The influence of each row on each target: g_row . H^-1 . g_target.

    Positive where training on the row lowers the loss of the target; NaN of a row that is left
    out of the data.
    """

    rows: int

    @property
    def targets(self) -> int:
        """Targets; 1 where their mean is meant."""

    def read(self, start: int, stop: int) -> NDArray[np.float64]:
        """Of consecutive rows, shape (stop - start, targets)."""

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of some rows, ascending, shape (len(rows), targets)."""


class Resources(Protocol):
    """What a run lends to the work on gradients."""

    @property
    def engine(self) -> Engine:
        """Where to run."""

    @property
    def budget(self) -> Budget:
        """What may be held."""

    @property
    def scratch(self) -> Scratch:
        """Where to put what does not fit."""

    @property
    def progress(self) -> Progress:
        """Where to report."""


def blocks(rows: int, dim: int, first: int = 0) -> list[tuple[int, int]]:
    """Blocks of rows that products are made on, ``(start, stop)``.

    They depend on the dimensions alone: another batch, file or worker gives no other rounding.
    """
    step = max(_FEWEST, min(_MOST, _BLOCK_BYTES // (8 * dim)))
    return [(start, min(start + step, rows)) for start in range(first, rows, step)]

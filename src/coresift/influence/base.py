"""What influence is computed from, and what it gives."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Gradients(Protocol):
    """A gradient of the loss for each row of a dump, read when it is needed."""

    rows: int

    @property
    def dim(self) -> int:
        """Parameters."""

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Of consecutive rows, shape (stop - start, dim)."""

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Of some rows, ascending, shape (len(rows), dim); no more is read than holds them."""


class Influence(Protocol):
    """The influence of each row on each target: g_row . H^-1 . g_target.

    Positive where training on the row lowers the loss of the target.
    """

    rows: int

    @property
    def targets(self) -> int:
        """Targets; 1 where their mean is meant."""

    def read(self, start: int, stop: int) -> NDArray[np.float64]:
        """Of consecutive rows, shape (stop - start, targets)."""

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of some rows, ascending, shape (len(rows), targets)."""

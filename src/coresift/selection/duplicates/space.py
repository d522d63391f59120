"""Vectors by position, in memory or in a file, and their projections."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.projection import Projection
from coresift.engine.base import Engine
from coresift.io.store import RowStore, Scratch
from coresift.io.vectors import normalise
from coresift.selection.duplicates.closeness import Radius, closeness_of

TILE = 2048
SAMPLE_RUN = 128
_SAMPLE_RUNS = 16


@dataclass(frozen=True)
class Tile:
    """Some rows of a space, ready to be compared.

    Attributes
    ----------
    space : Space
        Where they are from.
    positions : ndarray of int64, shape (m,)
        Which they are.
    heads : ndarray of float32, shape (m, width)
        Their projection.
    """

    space: Space
    positions: NDArray[np.int64]
    heads: NDArray[np.float32]


class Space:
    """Vectors by position, prepared to find pairs within a radius.

    Parameters
    ----------
    store : RowStore
        The vectors as the dump holds them, float32.
    unit : bool
        Whether they are compared scaled to norm 1.
    scratch : Scratch
        Where to keep what is made of them.
    held : bool
        Whether that fits into memory.
    shortest, longest : float
        Bounds of their norms.
    zeros : int
        How many have none.
    """

    def __init__(
        self,
        store: RowStore,
        unit: bool,
        scratch: Scratch,
        *,
        held: bool = True,
        shortest: float,
        longest: float,
        zeros: int = 0,
    ) -> None:
        self.store = store
        self.count = store.rows
        self.unit = unit
        self.shortest, self.longest = shortest, longest
        self.zeros = zeros
        self._scratch = scratch
        self._held = held

    def reach(self, radius: Radius, cosine: bool) -> float:
        """Largest distance of two near rows: as they are, or scaled to norm 1 under ``cosine``."""
        if not radius.unit or cosine:
            return math.sqrt(radius.squared + radius.rounding)
        # largest where one of them is longest and the other as long, or shortest
        low, high = self.shortest, self.longest
        mixed = low * low + high * high - 2.0 * radius.cosine * low * high
        widest = max(radius.squared * high * high, mixed)
        return math.sqrt(widest) * (1.0 + 1e-5)

    def sample(self) -> NDArray[np.float32]:
        """Runs of neighbouring rows from all over the space, as they are compared."""
        starts = np.linspace(0, max(0, self.count - SAMPLE_RUN), _SAMPLE_RUNS).astype(np.int64)
        rows = np.unique((starts[:, None] + np.arange(SAMPLE_RUN)).ravel())
        return self.compared(self.store.gather(rows[rows < self.count]))

    def project(self, projection: Projection, engine: Engine) -> None:
        """Project all rows."""
        self.projection = projection
        kind = np.dtype(np.float32)
        shape = self.count, projection.width, kind
        self.heads = self._scratch.rows(None, *shape, held=self._held)

        def task(start: int) -> None:
            block = self.compared(self.store.read(start, min(start + TILE, self.count)))
            self.heads.write(start, projection.rows(block))

        for _ in engine.map(task, range(0, self.count, TILE)):
            pass

    def compared(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors as they are compared: scaled to norm 1, zero where they have none."""
        if not self.unit:
            return vectors
        with np.errstate(invalid="ignore"):
            scaled = normalise(vectors)
        return np.nan_to_num(scaled, copy=False, nan=0.0)

    def tile(self, start: int, stop: int) -> Tile:
        """Rows of a run of positions."""
        heads = self.heads.read(start, stop)
        # what is read from a file lies in a buffer that the next tile is read to
        held = heads if self.heads.resident else heads.copy()
        return Tile(self, np.arange(start, stop), held)

    def some(self, positions: NDArray[np.int64]) -> Tile:
        """Rows of any positions, ascending."""
        return Tile(self, positions, self.heads.gather(positions))


def closeness_between(
    space: Space, first: NDArray[np.int64], second: NDArray[np.int64], radius: Radius
) -> NDArray[np.float64]:
    """Closeness of rows at the positions ``first`` to those at ``second``, pair by pair."""
    rows, place = np.unique(np.concatenate([first, second]), return_inverse=True)
    vectors = space.store.gather(rows)
    return closeness_of(vectors, vectors, place[: len(first)], place[len(first) :], radius)

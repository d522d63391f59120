"""Which similarities a coverage counts, and whether it keeps them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.engine.base import Engine
from coresift.selection.pools.coverage import Coverage
from coresift.selection.pools.dense import PAIR_BYTES, Kept, Remade
from coresift.selection.pools.similarity import Rows, Similarity
from coresift.selection.pools.sparse import Sparse

# of methods that choose by coverage: most rows of a pool, and candidates of each as a multiple of
# the rows wanted; with as many as are wanted, twice as much is lost
POOL_ROWS = 50_000
CANDIDATES = 4
# a matrix of similarities larger than this is made again rather than kept
_MATRIX_BYTES = 2 << 30
# up to so many rows, all cover all
_ALL_ROWS = 20_000
# beyond, so many times as many rows as a chosen one stands for; all, where these are too many
_SPREAD = 8
_LEAST_NEIGHBORS, _MOST_NEIGHBORS = 64, 1024
# a similarity to a neighbour, and where it is, twice while they are turned around
EDGE_BYTES = 20


def coverage_by(
    similarity: Similarity,
    rows: Rows,
    weight: NDArray[np.float64],
    n: int,
    neighbors: float | str | None,
    engine: Engine,
    room: int,
) -> tuple[Coverage, tuple[str, ...]]:
    """A coverage to choose ``n`` rows by, and what is to be said of it.

    Parameters
    ----------
    similarity, rows, weight, engine
        As of :class:`Coverage`.
    n : int
        How many rows will be chosen.
    neighbors : float, "all" or None
        How many rows may cover a row. None: all, up to 20,000 rows; of more, 8 times as many as
        a chosen one stands for on average, or all where that is more than 1,024.
    room : int
        Bytes that similarities may take; changes time, not results.
    """
    wanted = -(-_SPREAD * len(rows) // n)
    if isinstance(neighbors, float):
        return Sparse(similarity, rows, weight, engine, int(neighbors)), ()
    if neighbors is None and len(rows) > _ALL_ROWS and wanted <= _MOST_NEIGHBORS:
        wanted = max(_LEAST_NEIGHBORS, wanted)
        said = f"of {len(rows):,} rows, each was covered by its {wanted:,} most similar ones only"
        return Sparse(similarity, rows, weight, engine, wanted), (said,)
    kept = PAIR_BYTES * len(rows) ** 2 <= min(room, _MATRIX_BYTES)
    return (Kept if kept else Remade)(similarity, rows, weight, engine, room), ()


def most_edges(neighbors: float | str | None, rows: int) -> int:
    """How many rows may cover a row, where this is kept, in pools of up to ``rows`` rows."""
    if isinstance(neighbors, float):
        return int(neighbors)
    return _MOST_NEIGHBORS if neighbors is None and rows > _ALL_ROWS else 0

"""What a kernel sees of a measure: the similarity of rows to all rows of a pool, in sum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.engine.base import Engine
from coresift.selection.kernel.kernels import Kernel, Pooled, Rows

Values = NDArray[np.float64]

_TILE = 1024
# of each kernel value
_TIE = 1e-12


def similarity_to_all(kernel: Kernel, rows: Rows, mass: Values, engine: Engine) -> Values:
    """Sum over all rows y of mass(y) k(x, y) for each row x; each pair is computed once."""
    starts = list(range(0, len(rows), _TILE))
    tiles = [(a, b) for a in starts for b in starts if a <= b]

    def task(tile: tuple[int, int]) -> tuple[Values, Values]:
        left, right = (rows.part(start, start + _TILE) for start in tile)
        values = kernel(left, right)
        return values @ mass[tile[1] : tile[1] + _TILE], mass[tile[0] : tile[0] + _TILE] @ values

    total = np.zeros(len(rows))
    for (a, b), (to_left, to_right) in zip(tiles, engine.map(task, tiles), strict=True):
        total[a : a + _TILE] += to_left
        if a != b:
            total[b : b + _TILE] += to_right
    return total


def similarity(
    kernel: Kernel, rows: Rows, others: Rows | Pooled, mass: Values | None, engine: Engine
) -> Values:
    """Sum over other rows y of mass(y) k(x, y) for each row x; of k(x, y) without a mass."""
    parts = [(start, start + _TILE) for start in range(0, len(others), _TILE)]

    def task(part: tuple[int, int]) -> Values:
        some = others.part(*part)
        share = np.ones(len(some)) if mass is None else mass[slice(*part)]
        steps = range(0, len(rows), _TILE)
        return np.concatenate([kernel(rows.part(i, i + _TILE), some) @ share for i in steps])

    total = np.zeros(len(rows))
    for found in engine.map(task, parts):
        total += found
    return total


def tie(terms: float) -> float:
    """How far sums of so many kernel values may differ and still count as equal.

    Equal rows differ by rounding, since a product of matrices sums at its edges differently.
    """
    return _TIE * (1.0 + terms)


def first_largest(values: Values, terms: float) -> int:
    """Place of the largest value, each a sum of so many kernel values; of equals, the first."""
    return int((values >= values.max() - tie(terms)).argmax())

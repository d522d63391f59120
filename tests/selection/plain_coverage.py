"""Coverage and its greedy as they are defined, from the matrix of all similarities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.points import Held
from coresift.core.selection import Selection
from coresift.selection.pools.similarity import Rows, Similarity

Matrix = NDArray[np.float64]


def similarities(rows: NDArray[np.float32], kind: str) -> Matrix:
    """Similarities of all pairs, float64."""
    wide = rows.astype(np.float64)
    if kind == "cosine":
        norms = np.linalg.norm(wide, axis=1)
        unit = wide / np.where(norms == 0.0, 1.0, norms)[:, None]
        return np.clip(unit @ unit.T, 0.0, 1.0)
    squared = np.square(wide[:, None] - wide[None]).sum(axis=2)
    distances = np.sqrt(squared[np.triu_indices(len(rows), 1)])
    median = float(np.median(distances)) if len(distances) else 0.0
    if median == 0.0 and distances.any():
        median = float(np.median(distances[distances > 0.0]))
    found: Matrix = np.exp(-squared / (2.0 * (median or 1.0) ** 2))
    return found


def in_units(rows: NDArray[np.float32], kind: str) -> Matrix:
    """The same as integers, pair by pair."""
    similarity = Similarity.of(kind, Held(rows), 0).within(rows)
    ready = similarity.rows(rows)
    pairs = [[float(similarity.units(a, b)[0, 0]) for b in each(ready)] for a in each(ready)]
    return np.array(pairs)


def each(ready: Rows) -> list[Rows]:
    """Rows one by one."""
    return [ready[i : i + 1] for i in range(len(ready))]


def value(matrix: Matrix, chosen: list[int] | NDArray[np.int64]) -> float:
    """F of some rows."""
    return float(matrix[:, chosen].max(axis=1, initial=0.0).sum())


def gains(matrix: Matrix, chosen: list[int]) -> Matrix:
    """What each row would add to F."""
    best = matrix[:, chosen].max(axis=1, initial=0.0)
    found: Matrix = np.maximum(matrix - best[:, None], 0.0).sum(axis=0)
    return found


def plain(matrix: Matrix, given: list[int], count: int) -> list[int]:
    """The row that adds most, again and again; ties go to the first."""
    picks: list[int] = []
    for _ in range(count):
        added = gains(matrix, given + picks)
        added[given + picks] = -1.0
        picks.append(int(added.argmax()))
    return picks


def order(found: Selection) -> list[int]:
    """Rows as they were picked."""
    assert found.rank is not None
    picks: list[int] = found.rows[np.argsort(found.rank)].tolist()
    return picks

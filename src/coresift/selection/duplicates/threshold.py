"""The threshold that leaves a wanted number of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.core.errors import ParameterError
from coresift.core.index import Index
from coresift.engine.base import Engine
from coresift.io.store import GrowingStore
from coresift.selection.duplicates.closeness import Radius
from coresift.selection.duplicates.linkage import Linkage
from coresift.selection.duplicates.space import TILE, Space

_STEPS = 400
_MOST_VALUES = 1 << 20
_SPARE = 0.9
_PAIR = np.dtype([("late", np.int64), ("early", np.int64), ("close", np.float64)])

Linked = Iterator[tuple[Index, Index, NDArray[np.float64]]]


@dataclass(frozen=True)
class Found:
    """A threshold and what it leaves.

    Attributes
    ----------
    least : float
        Cosine similarity.
    kept : ndarray of int, shape (n,)
        See :meth:`Linkage.kept`.
    """

    least: float
    kept: Index


def leaving(
    target: int,
    rows: int,
    floors: list[float],
    search: Callable[[Radius], Linked],
    linkage: Callable[[], Linkage],
    store: Callable[[np.dtype[np.void]], GrowingStore],
) -> Found:
    """Find a threshold that leaves at most ``target`` rows, where any higher one leaves more.

    Parameters
    ----------
    target : int
        Rows to leave.
    rows : int
        Rows there are.
    floors : list of float
        Cosine similarities down to which to look for pairs, one after the other until one is
        low enough.
    search : callable
        Gives the near pairs as ranks of the worse and of the better row, and their similarity.
    linkage : callable
        Makes a linkage.
    store : callable
        Makes a place for the pairs.

    Raises
    ------
    ParameterError
        When not even the lowest threshold leaves so few rows.
    """
    if target == rows:
        return Found(float(np.nextafter(1.0, 2.0)), np.arange(rows))
    for floor in floors:
        pairs = store(_PAIR)
        for late, early, close in search(Radius.similarity(floor)):
            block = np.empty(len(late), _PAIR)
            block["late"], block["early"], block["close"] = late, early, close
            pairs.append(block)
        kept = _kept(pairs, floor, linkage())
        fewest = _left(kept)
        if fewest <= target:
            return _highest(target, pairs, Found(floor, kept), linkage)
    raise ParameterError(
        f"--target {target:,}: {fewest:,} rows are left whatever the threshold",
        hint="rows are compared within the reach of --probe; raise it, or ask for more rows",
    )


def _highest(
    target: int, pairs: GrowingStore, found: Found, linkage: Callable[[], Linkage]
) -> Found:
    """Halve the similarities that are still in question until none is."""
    high = np.inf
    while True:
        values = _between(pairs, found.least, high)
        if not len(values):
            return found
        middle = float(np.partition(values, len(values) // 2)[len(values) // 2])
        kept = _kept(pairs, middle, linkage())
        if _left(kept) <= target:
            found = Found(middle, kept)
        else:
            high = middle


def _between(pairs: GrowingStore, low: float, high: float) -> NDArray[np.float64]:
    """Similarities strictly between two, or some of them where there are many."""
    step = 1 + pairs.count // _MOST_VALUES
    values = np.empty(0)
    # a step may pass over the last few
    while not len(values):
        parts = []
        for block in pairs.blocks():
            close = block["close"]
            parts.append(close[(close > low) & (close < high)][::step])
        values = np.concatenate([values, *parts])
        if step == 1:
            break
        step = 1
    return values


def _kept(pairs: GrowingStore, least: float, linkage: Linkage) -> Index:
    for block in pairs.blocks():
        near = block[block["close"] >= least]
        linkage.add(near["late"].copy(), near["early"].copy())
    return linkage.kept()


def _left(kept: Index) -> int:
    return int(np.count_nonzero(kept == np.arange(len(kept), dtype=kept.dtype)))


def floors(space: Space, sample: NDArray[np.int64], target: int, engine: Engine) -> list[float]:
    """Similarities at which to look for pairs, from one that probably leaves ``target`` rows.

    A row with m duplicates is the best of them with probability 1 / (m + 1): the mean over a
    sample estimates the share of rows that a threshold leaves.
    """
    grid = 1.0 - 2.0 * np.square(np.arange(_STEPS + 1) / _STEPS)
    mine = space.compared(space.store.gather(sample))

    def task(start: int) -> NDArray[np.int64]:
        block = space.compared(space.store.read(start, min(start + TILE, space.count)))
        cosine = np.clip(mine @ block.T, -1.0, 1.0)
        step = np.ceil(np.sqrt(0.5 * (1.0 - cosine)) * _STEPS).astype(np.int64)
        flat = step + (np.arange(len(mine)) * (_STEPS + 1))[:, None]
        return np.bincount(flat.ravel(), minlength=len(mine) * (_STEPS + 1))

    counts = sum(engine.map(task, range(0, space.count, TILE)), np.int64(0))
    near = np.cumsum(np.reshape(counts, (len(mine), _STEPS + 1)), axis=1)
    share = (1.0 / np.maximum(near, 1)).mean(axis=0)
    enough = np.flatnonzero(share <= _SPARE * target / space.count)
    first = int(enough[0]) if len(enough) else _STEPS
    steps = [first]
    while steps[-1] < _STEPS:
        steps.append(min(_STEPS, steps[-1] + max(1, steps[-1] // 4)))
    return [float(grid[step]) for step in steps]

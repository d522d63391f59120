"""Where rows lie on the line that they are drawn along.

A systematic draw takes so many rows of each stretch of the line as are expected of it, but for a
fraction of one. Rows that are alike should therefore lie together: those of a cluster, by what
they cost in it. Which of those come up together is for chance to say: in the order of the dump
they would be the same few sets for all seeds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from coresift.core import randomness
from coresift.core.memory import Budget
from coresift.selection.draws.drawing import MassBlock, Masses
from coresift.selection.draws.levels import quarters

# quarters of powers of two from 1/16 to 16 times the mean cost of the cluster
RINGS = 32
_FIRST = -16
# a line is cut into, where its strata are fewer
_PARTS = 1 << 20


def ring_of(cluster: NDArray[np.int32], relative: NDArray[np.float64]) -> NDArray[np.int64]:
    """Stratum of rows by their cluster and, within it, by cost over the cluster's mean cost."""
    ring = np.clip(quarters(relative) - _FIRST, 0, RINGS - 1)
    stratum: NDArray[np.int64] = cluster.astype(np.int64) * RINGS + ring
    return stratum


def shuffled(
    masses: Masses, strata: int, seed: int, purpose: str, budget: Budget
) -> tuple[Masses, int]:
    """Deal the rows of a stratum out to parts of it at random, as far as memory allows.

    Returns
    -------
    masses : callable
        The same masses, in finer strata.
    strata : int
        How many those are.
    """
    if strata > _PARTS:
        budget.require(8 * strata, f"{strata:,} rings of clusters")
    parts = max(1, _PARTS // strata)

    def dealt() -> Iterator[MassBlock]:
        for block in masses():
            assert block.stratum is not None
            part = randomness.bits(seed, purpose, block.rows) % np.uint64(parts)
            yield replace(block, stratum=block.stratum * parts + part.astype(np.int64))

    return dealt, strata * parts

"""Which rows stand where in each arm of a bandit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.saved import SavedClustering
from coresift.core import randomness
from coresift.core.smallest import SmallestPerGroup
from coresift.selection.influences.arms import Pull

# rows of an arm that are looked up at once: so many times those that are needed, and as many as
# this allows to all arms
_AHEAD = 2
_HELD = 1 << 20


class ArmRows:
    """The rows of each cluster in a random order that is a function of the seed and the row.

    Only the beginning of each order is held. It is found in one pass over the clustering's
    assignments, and goes further than was asked for, so that drawing again and again takes few
    passes.

    Parameters
    ----------
    clustering : SavedClustering
        The arms.
    seed : int
        The run's seed.
    """

    def __init__(self, clustering: SavedClustering, seed: int) -> None:
        self._clustering = clustering
        self._seed = seed
        self._depth = np.zeros(clustering.k, np.int64)
        self._rows = np.empty(0, np.int64)

    def rows(self, pulls: Sequence[Pull]) -> NDArray[np.int64]:
        """Row ids, pull after pull."""
        if not pulls:
            return np.empty(0, np.int64)
        needed = np.zeros_like(self._depth)
        np.maximum.at(needed, [pull.arm for pull in pulls], [pull.stop for pull in pulls])
        if (needed > self._depth).any():
            self._look_up(needed)
        starts = np.cumsum(self._depth) - self._depth
        return np.concatenate(
            [self._rows[starts[p.arm] + p.start : starts[p.arm] + p.stop] for p in pulls]
        )

    def _look_up(self, needed: NDArray[np.int64]) -> None:
        wanted = np.maximum(_AHEAD * needed, _HELD // self._clustering.k)
        limits = np.maximum(self._depth, np.minimum(wanted, self._clustering.size))
        first = SmallestPerGroup(limits)
        for part in self._clustering.assignments():
            some = limits[part.cluster] > 0
            row, cluster = part.row[some], part.cluster[some].astype(np.int64)
            first.add(cluster, randomness.bits(self._seed, "bandit", row), row)
        _, _, self._rows = first.result()
        self._depth = limits

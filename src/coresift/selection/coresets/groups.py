"""Coresets by group sampling.

Cohen-Addad, Saulpic and Schwiegelshohn, "A New Coreset Framework for Clustering", STOC 2021,
section 3. Ring j of a cluster has the rows whose cost is 2^j to 2^(j + 1) times the cluster's
mean. Rows far inside (the inner ring) cost so little that one point can stand for all of them.
The other rings of equal j are put into groups whose rings cost about the same, by powers of two;
rings that cost next to nothing beside the others are treated as inner ones. Rows are drawn from
each group, those of a cluster's ring uniformly and rings in proportion to their cost; beyond the
last ring, rows in proportion to their own.

Two things differ. The paper puts an inner ring's weight on the cluster's center, which is no
row; here a row of the ring, drawn uniformly, stands for it. It is at most twice as far from the
others as the center is, so rings are inner at half the paper's radius, and sums stay unbiased.
The paper draws equally many rows from each group; here it is by what the groups cost, as in its
authors' experiments (Schwiegelshohn and Sheikh-Omar, "An Empirical Evaluation of k-Means
Coresets", ESA 2022), since equal numbers are far worse at sizes that are used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from coresift.selection.coresets.rough import Costs, RoughSolution
from coresift.selection.draws.drawing import MassBlock
from coresift.selection.draws.levels import halves

# of the rows drawn, what may stand for inner rings
_MOST = 0.5


class Groups:
    """The groups, as masses on a line that has them one after the other.

    Parameters
    ----------
    rough : RoughSolution
        What the rows cost.
    power : int
        z.
    epsilon : float
        The error that rings are cut for.
    size : int
        Rows that will be drawn.

    Attributes
    ----------
    strata : int
        How many there are.
    group : ndarray of int64, shape (rings, k)
        Number of the group of each ring of each cluster; -1 where one row stands for it, -2
        where it is empty. The first are inner rings, the last lie beyond all others.
    mass : ndarray of float64, shape (rings, k)
        Of a row of weight 1, but for the last rings, where it is the row's cost.
    """

    def __init__(self, rough: RoughSolution, power: int, epsilon: float, size: int) -> None:
        self._rough = rough
        k = rough.k
        self._first = math.floor(power * math.log2(epsilon / (8 * power)))
        beyond = math.ceil(2 * power * math.log2(4 * power / epsilon))
        self._rings = beyond - self._first + 2
        weight, cost = rough.sums(self._rings * k, self.cell)
        weight, cost = weight.reshape(-1, k), cost.reshape(-1, k)
        self.group = self._grouped(weight, cost)
        alone, drawn = self.group == -1, self.group >= 0
        apart = int(np.count_nonzero(alone))
        total = float(cost[drawn].sum())
        share = min(_MOST, apart / size) if total else 0.0
        each = share / (1.0 - share) * total / max(1, apart) if total else 1.0
        heavy = np.where(weight > 0.0, weight, 1.0)
        self.mass = np.where(alone, each, cost) / heavy
        order = np.lexsort((np.arange(weight.size), np.where(alone, weight.size, self.group).flat))
        self._stratum = np.empty(weight.size, np.int64)
        self._stratum[order] = np.arange(weight.size)
        self.strata = weight.size

    def cell(self, part: Costs) -> NDArray[np.int64]:
        """Ring and cluster of each row, as one number."""
        ring = halves(self._rough.relative(part)) - self._first + 1
        cell: NDArray[np.int64] = np.clip(ring, 0, self._rings - 1) * self._rough.k + part.cluster
        return cell

    def _grouped(self, weight: NDArray[np.float64], cost: NDArray[np.float64]) -> NDArray[np.int64]:
        """Group of each ring of each cluster."""
        of_ring = cost.sum(axis=1, keepdims=True)
        share = cost * weight.shape[1] / np.where(of_ring > 0.0, of_ring, 1.0)
        # a ring with the mean cost of its like, or more, is in the last group
        step = np.clip(halves(share) - self._first, -1, -self._first)
        step[-1] = np.maximum(step[-1], 0)
        step[0] = -1
        ring = np.arange(len(cost))[:, None]
        group = np.where(step < 0, -1, ring * (1 - self._first) + step)
        return np.where(weight > 0.0, group, -2)

    def resolved(self) -> dict[str, int]:
        """Groups, and rings that one row stands for."""
        groups = np.unique(self.group[self.group >= 0])
        return {"groups": len(groups), "represented": int((self.group == -1).sum())}

    def masses(self) -> Iterator[MassBlock]:
        """Masses of all rows, in order."""
        for part in self._rough.costs("draw"):
            cell = self.cell(part)
            beyond = cell >= (self._rings - 1) * self._rough.k
            mass = part.weight * np.where(beyond, part.cost, self.mass.flat[cell])
            yield MassBlock(part.row, mass, part.cluster, self._stratum[cell])

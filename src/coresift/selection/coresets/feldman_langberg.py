"""Coresets by a bound of each row's sensitivity, in the form of Feldman and Langberg.

Bachem, Lucic and Krause, "Practical Coreset Constructions for Machine Learning", 2017, algorithm
2: with c the mean cost of all n rows, m that of the rows of x's cluster B and alpha =
16 (log k + 2), s(x) = alpha d^z / c + 2 alpha m / c + 4 n / |B|. Rows are drawn in proportion.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from coresift.selection.coresets.rough import RoughSolution
from coresift.selection.draws.drawing import MassBlock
from coresift.selection.draws.line import RINGS, ring_of


class Sensitivity:
    """The bounds, as masses.

    On the line rows lie cluster by cluster and by their cost in it, so that of each part of
    each cluster as many are drawn as are expected.

    Parameters
    ----------
    rough : RoughSolution
        What the rows cost.

    Attributes
    ----------
    strata : int
        How many there are.
    """

    def __init__(self, rough: RoughSolution) -> None:
        self._rough = rough
        weight, cost = rough.clusters
        self.strata = rough.k * RINGS
        total = float(cost.sum())
        alpha = 16.0 * (math.log(rough.k) + 2.0)
        self._slope = alpha * float(weight.sum()) / total if total else 0.0
        share = float(weight.sum()) / np.where(weight > 0.0, weight, 1.0)
        self._fixed = 2.0 * self._slope * rough.mean + 4.0 * share

    def resolved(self) -> dict[str, int]:
        """Nothing was settled."""
        return {}

    def masses(self) -> Iterator[MassBlock]:
        """Masses of all rows, in order."""
        for part in self._rough.costs("draw"):
            bound = self._slope * part.cost + self._fixed[part.cluster]
            stratum = ring_of(part.cluster, self._rough.relative(part))
            yield MassBlock(part.row, part.weight * bound, part.cluster, stratum)

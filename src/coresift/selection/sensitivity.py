"""Clustering-based sensitivity sampling (Axiotis et al., ICML 2024).

With l(c) the model's loss at the representative of a cluster and d the distance to its
centroid, a row's mass is ``l(c(x)) + lambda d(x)^z``. Rows are drawn in proportion to it, and
weighted so that weighted sums over the selection are unbiased for sums over the dump.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.saved import Assignments, SavedClustering
from coresift.core import randomness
from coresift.core.errors import ParameterError
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.selection import losses
from coresift.selection.base import Context, Data
from coresift.selection.drawing import Drawn, MassBlock, draw_distinct, draw_replacing
from coresift.selection.joins import plural
from coresift.selection.params import SensitivityParams

_MIX_WITHOUT_LOSSES = 0.5


def select(data: Data, size: Size | None, params: SensitivityParams, context: Context) -> Selection:
    """Draw rows by the loss of their cluster and their distance to its centroid.

    Without replacement exactly n distinct rows are drawn, with probabilities of inclusion
    min(1, c mass) that sum to n, and a row weighs the inverse of its own; ``score`` is that
    probability. With replacement n independent draws are merged; a row drawn t times weighs
    t / (n p), and ``score`` is n p, its expected number of draws.
    """
    clustering = context.clustering
    if clustering is None:
        raise ParameterError(
            "sensitivity needs a clustering", hint="run `coresift cluster`, give --clusters DIR"
        )
    if size is None:
        raise ParameterError("sensitivity needs a size", hint="give -n 5000 or -n 10%")
    n = size.resolve(clustering.rows, what="rows of the clustering")
    weighing = _Weighing.of(data, clustering, params, context)
    draw = draw_replacing if params.with_replacement else draw_distinct
    drawn = draw(weighing.masses, n, randomness.generator(context.seed, "select sensitivity"))
    return Selection(
        drawn.rows,
        drawn.weight,
        clustering.rows,
        score=drawn.expected,
        cluster=drawn.cluster,
        resolved={**weighing.resolved(), "certain_rows": drawn.certain},
        notes=tuple(_notes(weighing, drawn, n)),
    )


def _notes(weighing: _Weighing, drawn: Drawn, n: int) -> Iterator[str]:
    if weighing.of_cluster is None and weighing.of_row is None:
        yield (
            f"no losses were given: {1.0 - weighing.mix:.0%} of the probability follows the "
            f"distances and {weighing.mix:.0%} is spread evenly"
        )
    if weighing.zero == weighing.clustering.rows:
        yield "all losses and distances are zero: the rows were drawn uniformly"
    elif drawn.filled:
        yield (
            f"only {weighing.clustering.rows - weighing.zero:,} rows have a probability above zero: all were "
            f"taken, and {drawn.filled:,} of the others drawn uniformly"
        )
    elif weighing.zero:
        yield (
            f"{plural(weighing.zero, 'row')} with no loss and no distance cannot be drawn; --mix "
            "gives such rows a chance"
        )
    if len(drawn.rows) < n:
        yield f"{n:,} draws gave {len(drawn.rows):,} distinct rows"


@dataclass(frozen=True)
class _Weighing:
    """Masses of the rows of a clustering, computed anew at each pass.

    Attributes
    ----------
    clustering : SavedClustering
        Whose rows.
    exponent : float
        z.
    of_cluster : ndarray of float64, shape (k,), or None
        Loss of each cluster.
    of_row : RowLosses or None
        Loss of each row.
    slope : float
        lambda.
    mix : float
        Share of the probability spread evenly.
    even : float
        Mass that each row gets on top for it.
    zero : int
        Rows of mass zero.
    """

    clustering: SavedClustering
    exponent: float
    of_cluster: NDArray[np.float64] | None
    of_row: losses.RowLosses | None
    slope: float = 1.0
    mix: float = 0.0
    even: float = 0.0
    zero: int = 0

    @classmethod
    def of(
        cls, data: Data, clustering: SavedClustering, params: SensitivityParams, context: Context
    ) -> _Weighing:
        """Read the losses and settle lambda and the even share, in one or two passes."""
        of_cluster = losses.of_clusters(clustering, params) if params.losses is not None else None
        of_row = losses.RowLosses(data, params.loss, context) if params.loss is not None else None
        bare = cls(clustering, params.exponent, of_cluster, of_row)
        has_losses = of_cluster is not None or of_row is not None
        loss_sum, distance_sum, zero_rows = bare.totals()
        slope = 1.0
        if has_losses:
            slope = bare.settle(params.lambda_, loss_sum, distance_sum, context.seed)
        mix = params.mix if params.mix is not None else (0.0 if has_losses else _MIX_WITHOUT_LOSSES)
        total = loss_sum + slope * distance_sum
        # A share of 1 leaves nothing of the masses; then they all are 1.
        even = 0.0
        if mix > 0.0:
            even = mix / (1.0 - mix) * total / clustering.rows if mix < 1.0 and total else 1.0
        if total == 0.0:
            zero = clustering.rows
        elif even:
            zero = 0
        else:
            zero = zero_rows if slope else bare.zero_losses()
        return cls(clustering, params.exponent, of_cluster, of_row, slope, mix, even, zero)

    def resolved(self) -> dict[str, float | int | str]:
        """What was settled."""
        if self.of_cluster is None and self.of_row is None:
            return {"mix": self.mix}
        return {"lambda": self.slope, "mix": self.mix}

    def losses_of(self, part: Assignments) -> NDArray[np.float64]:
        """lhat of each row."""
        if self.of_cluster is not None:
            return self.of_cluster[part.cluster]
        if self.of_row is not None:
            return self.of_row.take(part.row)
        return np.zeros(len(part.row))

    def distances_of(self, part: Assignments) -> NDArray[np.float64]:
        """d^z of each row."""
        with np.errstate(over="ignore"):
            powers: NDArray[np.float64] = part.distance.astype(np.float64) ** self.exponent
        return powers

    def masses(self) -> Iterator[MassBlock]:
        """One pass over the rows."""
        for part in self.clustering.assignments():
            if len(part.row) == 0:
                continue
            if self.mix >= 1.0:
                mass = np.ones(len(part.row))
            else:
                mass = self.losses_of(part) + self.slope * self.distances_of(part) + self.even
            yield MassBlock(part.row, mass, part.cluster)

    def totals(self) -> tuple[float, float, int]:
        """Sum of the losses, sum of d^z, and rows where both are zero."""
        loss_sums, distance_sums, zero = [], [], 0
        for part in self.clustering.assignments():
            if len(part.row):
                loss, powers = self.losses_of(part), self.distances_of(part)
                loss_sums.append(float(loss.sum()))
                distance_sums.append(float(powers.sum()))
                zero += int(np.count_nonzero((loss == 0.0) & (powers == 0.0)))
        if not math.isfinite(sum(distance_sums)):
            raise ParameterError(
                f"--exponent {self.exponent:g} overflows at these distances",
                hint="give a smaller one",
            )
        return math.fsum(loss_sums), math.fsum(distance_sums), zero

    def zero_losses(self) -> int:
        """Rows whose loss is zero."""
        return sum(
            int(np.count_nonzero(self.losses_of(part) == 0.0))
            for part in self.clustering.assignments()
            if len(part.row)
        )

    def settle(
        self, given: float | str | None, loss_sum: float, distance_sum: float, seed: int
    ) -> float:
        """Turn ``auto`` and ``balanced`` into numbers."""
        if given == "auto":
            return losses.hoelder_constant(
                self.clustering, self._medoid_losses(), self.exponent, seed
            )
        if given is None or given == "balanced":
            if loss_sum == 0.0 or distance_sum == 0.0:
                return 1.0
            return loss_sum / distance_sum
        return float(given)

    def _medoid_losses(self) -> NDArray[np.float64]:
        if self.of_cluster is not None:
            return self.of_cluster
        found = np.zeros(self.clustering.k)
        for cluster, row in enumerate(self.clustering.medoid.tolist()):
            if row >= 0 and self.of_row is not None:
                found[cluster] = self.of_row.take(np.array([row], np.int64))[0]
        return found

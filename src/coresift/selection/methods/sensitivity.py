"""Clustering-based sensitivity sampling (Axiotis et al., ICML 2024).

With l(c) the model's loss at the representative of a cluster and d the distance to its
centroid, a row's mass is ``l(c(x)) + lambda d(x)^z``. Rows are drawn in proportion to it, and
weighted so that weighted sums over the selection are unbiased for sums over the dump.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.saved import Assignments, SavedClustering
from coresift.core import randomness
from coresift.core.errors import ParameterError
from coresift.core.exact import Quantum
from coresift.core.progress import Progress
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.selection.base import Context, Data
from coresift.selection.draws.drawing import Drawn, MassBlock, draw_distinct, draw_replacing
from coresift.selection.draws.line import RINGS, ring_of, shuffled
from coresift.selection.params.sensitivity import SensitivityParams
from coresift.selection.reading import losses
from coresift.selection.reading.joins import plural
from coresift.selection.reading.numbers import RowNumbers

_MIX_WITHOUT_LOSSES = 0.5
_PURPOSE = "select sensitivity"


def select(data: Data, size: Size | None, params: SensitivityParams, context: Context) -> Selection:
    """Draw rows by the loss of their cluster and their distance to its centroid.

    Without replacement exactly n distinct rows are drawn, with probabilities of inclusion
    min(1, c mass) that sum to n, and a row weighs the inverse of its own; ``score`` is that
    probability. They are drawn along the clusters, so that each cluster, and each range of
    distances in it, gives the rows that are expected of it but for a fraction of one. With
    replacement n independent draws are merged; a row drawn t times weighs t / (n p), and
    ``score`` is n p, its expected number of draws.
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
    generator = randomness.generator(context.seed, _PURPOSE)
    if params.with_replacement:
        drawn = draw_replacing(weighing.masses, n, generator)
    else:
        strata = clustering.k * RINGS
        masses, strata = shuffled(weighing.masses, strata, context.seed, _PURPOSE, context.budget)
        drawn = draw_distinct(masses, n, generator, strata)
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
        above = weighing.clustering.rows - weighing.zero
        yield (
            f"only {above:,} rows have a probability above zero: all were taken, and "
            f"{drawn.filled:,} of the others drawn uniformly"
        )
    elif weighing.zero:
        yield (
            f"{plural(weighing.zero, 'row')} with no loss and no distance cannot be drawn; --mix "
            "gives such rows a chance"
        )
    if len(drawn.rows) < n:
        yield f"{n:,} draws gave {len(drawn.rows):,} distinct rows"


@dataclass(frozen=True)
class _Totals:
    """Sum of the losses and of d^z; rows without a loss, and with neither."""

    loss: float
    distance: float
    no_loss: int
    neither: int


@dataclass(frozen=True)
class _Weighing:
    """Masses of the rows of a clustering, computed anew at each pass.

    Attributes
    ----------
    clustering : SavedClustering
        Whose rows.
    progress : Progress
        Where to report.
    exponent : float
        z.
    of_cluster : ndarray of float64, shape (k,), or None
        Loss of each cluster.
    of_row : RowNumbers or None
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
    progress: Progress
    exponent: float
    of_cluster: NDArray[np.float64] | None
    of_row: RowNumbers | None
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
        of_row = losses.of_rows(data, params.loss, context) if params.loss is not None else None
        bare = cls(clustering, context.progress, params.exponent, of_cluster, of_row)
        has_losses = of_cluster is not None or of_row is not None
        totals = bare.totals()
        slope = bare.settle(params.lambda_, totals, context.seed) if has_losses else 1.0
        mix = params.mix if params.mix is not None else (0.0 if has_losses else _MIX_WITHOUT_LOSSES)
        total = totals.loss + slope * totals.distance
        even = 0.0
        if mix > 0.0:
            even = mix / (1.0 - mix) * total / clustering.rows if mix < 1.0 and total else 1.0
        if total == 0.0:
            zero = clustering.rows
        elif even:
            zero = 0
        else:
            zero = totals.neither if slope else totals.no_loss
        return replace(bare, slope=slope, mix=mix, even=even, zero=zero)

    def resolved(self) -> dict[str, float | int | str]:
        """What was settled."""
        if self.of_cluster is None and self.of_row is None:
            return {"mix": self.mix}
        return {"lambda": self.slope, "mix": self.mix}

    def losses_of(self, part: Assignments) -> NDArray[np.float64]:
        """Loss that each row is taken to have."""
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

    def parts(self, stage: str) -> Iterator[Assignments]:
        """One pass over the assignments."""
        with self.progress.stage(stage, self.clustering.rows) as progress:
            for part in self.clustering.assignments():
                if len(part.row):
                    yield part
                    progress.advance(len(part.row))

    def masses(self) -> Iterator[MassBlock]:
        """Masses of the rows, in order."""
        for part in self.parts("draw"):
            if self.mix >= 1.0:
                mass = np.ones(len(part.row))
            else:
                mass = self.losses_of(part) + self.slope * self.distances_of(part) + self.even
            yield MassBlock(part.row, mass, part.cluster, self.stratum_of(part))

    def stratum_of(self, part: Assignments) -> NDArray[np.int64]:
        """Cluster, and in it how far from the centroid."""
        squared = part.distance.astype(np.float64) ** 2
        mean = self.mean_squared[part.cluster]
        relative = np.divide(squared, mean, out=np.zeros(len(mean)), where=mean > 0.0)
        return ring_of(part.cluster, relative)

    @cached_property
    def mean_squared(self) -> NDArray[np.float64]:
        """Mean squared distance of each cluster, shape (k,)."""
        return self.clustering.cost / np.maximum(self.clustering.size, 1)

    def totals(self) -> _Totals:
        """Exact sums, so that how the assignments are split does not show."""
        largest = np.zeros(2)
        for part in self.parts("weigh"):
            terms = self.losses_of(part), self.distances_of(part)
            largest = np.maximum(largest, [term.max() for term in terms])
        if not np.isfinite(largest).all():
            raise ParameterError(
                f"--exponent {self.exponent:g} overflows at these distances",
                hint="give a smaller one",
            )
        quanta = [Quantum.covering(bound, self.clustering.rows) for bound in largest.tolist()]
        units = [0.0, 0.0]
        no_loss = neither = 0
        for part in self.parts("weigh"):
            loss, powers = self.losses_of(part), self.distances_of(part)
            units[0] += quanta[0].sum(loss)
            units[1] += quanta[1].sum(powers)
            no_loss += int(np.count_nonzero(loss == 0.0))
            neither += int(np.count_nonzero((loss == 0.0) & (powers == 0.0)))
        return _Totals(quanta[0].value(units[0]), quanta[1].value(units[1]), no_loss, neither)

    def settle(self, given: float | str | None, totals: _Totals, seed: int) -> float:
        """Turn ``auto`` and ``balanced`` into numbers, and what was not said into one of them.

        The paper's lambda bounds how losses differ, which is what ``auto`` estimates. Where it
        cannot, or finds no difference, and where each row has its own loss, the shares of
        losses and distances are balanced.
        """
        if given == "auto" or (given is None and self.of_cluster is not None):
            known = self._medoid_losses()
            found = losses.hoelder_constant(self.clustering, known, self.exponent, seed)
            if given == "auto" and found is None:
                raise ParameterError(
                    "--lambda auto compares clusters, and no two lie apart",
                    hint="give a number, or cluster with a larger -k",
                )
            if found is not None and (found or given == "auto"):
                return found
        elif given is not None and given != "balanced":
            return float(given)
        if totals.loss == 0.0 or totals.distance == 0.0:
            return 1.0
        return totals.loss / totals.distance

    def _medoid_losses(self) -> NDArray[np.float64]:
        if self.of_cluster is not None:
            return self.of_cluster
        found = np.zeros(self.clustering.k)
        for cluster, row in enumerate(self.clustering.medoid.tolist()):
            if row >= 0 and self.of_row is not None:
                found[cluster] = self.of_row.take(np.array([row], np.int64))[0]
        return found

"""Whether influence scores mean anything.

Rows are left out, a probe is trained again, and what happens to the loss of a target is compared
with what the scores said.

- Removal (Koh and Liang, ICML 2017, section 4.2): without the rows R of highest score, the mean
  loss of the target should rise by the sum of their scores over n, the number trained on.
- Linear datamodeling score (Park et al., "TRAK: Attributing Model Behavior at Scale", ICML 2023,
  section 2; Ilyas et al., 2022): over random halves of the scored rows, Spearman's correlation of
  the sum of the scores of the rows kept with the loss of the target after training on them, turned
  so that 1 is perfect. Rows without a score are kept in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.core import randomness
from coresift.core.errors import ParameterError
from coresift.evaluation.base import Resources, Values
from coresift.influence.examples import Examples
from coresift.influence.probe import Training, unwarned
from coresift.influence.probe_curvature import KINDS, curvature
from coresift.influence.probe_scores import Factors, on_targets, solved

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

SUBSETS = 100
# of the rows trained on: more than half are no removal, and then the best tenth is left out
_MOST, _BEST = 2, 10
# losses of a target differ by far more between halves
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Validation:
    """What was trained again, and what came of it.

    Attributes
    ----------
    trained : int
        Rows that the probe is trained on.
    target_rows : int
        Rows of the target.
    loss : float
        Their mean loss.
    removed : int
        Rows left out for ``influence_effect``.
    loss_without : float
        The mean loss then.
    predicted_change : float or None
        What the scores predict of it; None without scores.
    actual_change : float
        What it is.
    subsets : int
        Halves that ``lds`` is over.
    scored : int
        Rows that these are halves of.
    """

    trained: int
    target_rows: int
    loss: float
    removed: int
    loss_without: float
    predicted_change: float | None
    actual_change: float
    subsets: int
    scored: int


@dataclass(frozen=True)
class Scored:
    """The subset under evaluation.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Row ids, ascending.
    scores : ndarray of float64, shape (n,), or None
        Their influence, where they have it.
    harm : bool
        Whether the lowest are meant to be first.
    """

    rows: Rows
    scores: Array | None
    harm: bool = False


def validate(
    training: Training,
    factors: Factors,
    target: Examples,
    subset: Scored,
    resources: Resources,
    *,
    repeats: int,
    subsets: int = SUBSETS,
    remove: int | None = None,
) -> tuple[Values, Validation]:
    """Train again without rows, and compare.

    Parameters
    ----------
    training : Training
        The probe.
    factors : Factors
        Gradients of the rows.
    target : Examples
        The rows that count.
    subset : Scored
        Rows, and their scores.
    resources : Resources
        The run's resources.
    repeats : int
        Uniform sets of as many rows to leave out, and times that scores are dealt out.
    subsets : int
        Halves for the linear datamodeling score.
    remove : int, optional
        Rows to leave out; by default those of the subset, or the best tenth where it holds more
        than half of all.

    Returns
    -------
    values : Values
        ``influence_effect``: by how much the loss of the target moved as the scores would have it
        (up; of harmful rows, down) without the rows. ``lds`` of the scores, and ``lds_<hessian>``
        of those made anew by each Hessian; beside each the same of scores dealt out at random.
    validation : Validation
        What it was found from.

    Raises
    ------
    ParameterError
        When so many rows cannot be left out.
    """
    mine = np.isin(subset.rows, training.rows, assume_unique=True)
    rows = subset.rows[mine]
    scores = None if subset.scores is None else subset.scores[mine]
    sign = -1.0 if subset.harm else 1.0
    out, predicted = _best(rows, scores, sign, len(training.rows), remove, resources.seed)
    loss = _loss(training, target, None)
    seed = resources.seed
    sets = [
        _smallest(training.rows, len(out), seed, f"evaluate/removed/{index}")
        for index in range(repeats)
    ]
    losses = _losses(training, target, [out, *sets], resources, "removal")
    values: Values = {"influence_effect": sign * (losses - loss)}
    varied = rows if scores is not None else training.rows
    halves = [
        _smallest(varied, len(varied) // 2, seed, f"evaluate/lds/{index}")
        for index in range(subsets)
    ]
    found = _losses(training, target, halves, resources, "subsets")
    places = [np.searchsorted(varied, gone) for gone in halves]
    known: dict[str, Array] = {} if scores is None else {"lds": scores}
    for kind in KINDS:
        known[f"lds_{kind}"] = _recomputed(kind, training, factors, target, varied, resources)
    values.update(_correlations(known, places, found, repeats, seed))
    told = Validation(
        trained=len(training.rows),
        target_rows=len(target.codes),
        loss=loss,
        removed=len(out),
        loss_without=float(losses[0]),
        predicted_change=predicted,
        actual_change=float(losses[0] - loss),
        subsets=subsets,
        scored=len(varied),
    )
    return values, told


def _best(
    rows: Rows, scores: Array | None, sign: float, count: int, remove: int | None, seed: int
) -> tuple[Rows, float | None]:
    """Rows to leave out, ascending, and what the loss is predicted to change by."""
    most = min(len(rows), count // _MOST)
    if remove is not None and remove > most:
        raise ParameterError(
            f"--remove {remove:,} is more than the {most:,} rows that can be left out",
            hint="rows of the subset that the probe was trained on, at most half of all it was",
        )
    size = len(rows) if remove is None else remove
    if size > most:
        size = max(1, count // _BEST)
    if scores is None:
        return _smallest(rows, size, seed, "evaluate/removed"), None
    order = np.argsort(-sign * scores, kind="stable")[:size]
    return np.sort(rows[order]), float(scores[order].sum()) / count


def _smallest(rows: Rows, size: int, seed: int, purpose: str) -> Rows:
    """Some of the rows, drawn uniformly, ascending."""
    keys = randomness.bits(seed, purpose, rows)
    return rows[np.sort(np.argsort(keys, kind="stable")[:size])]


def _loss(training: Training, target: Examples, gone: Rows | None) -> float:
    """Mean loss of the target, without some rows."""
    probe = training.probe
    if gone is not None:
        used = np.ones(len(training.rows), np.bool_)
        used[np.searchsorted(training.rows, gone)] = False
        probe = training.again(used, _TOLERANCE)
    return float(probe.losses(target.features, target.codes).mean())


def _losses(
    training: Training, target: Examples, sets: Sequence[Rows], resources: Resources, stage: str
) -> Array:
    engine = resources.engine.driver
    resources.budget.require(
        engine.workers * training.features.nbytes,
        f"training again on {len(training.rows):,} rows",
        hint="raise --memory, or give fewer --threads",
    )
    found = []
    with unwarned(), resources.progress.stage(stage, len(sets)) as progress:
        for loss in engine.map(lambda gone: _loss(training, target, gone), sets):
            found.append(loss)
            progress.advance(1)
    return np.array(found)


def _recomputed(
    kind: str,
    training: Training,
    factors: Factors,
    target: Examples,
    rows: Rows,
    resources: Resources,
) -> Array:
    """Influence of rows on the mean loss of the target."""
    residuals = training.probe.residuals(target.features, target.codes)
    found = curvature(kind, training, None, resources, systems=1)
    matrices = solved([(target.features, residuals)], found, resources)
    return on_targets(factors, matrices).take(rows)[:, 0]


def _correlations(
    known: Mapping[str, Array], left_out: Sequence[Rows], losses: Array, repeats: int, seed: int
) -> Values:
    values: Values = {}
    for name, scores in known.items():
        found = [_lds(scores, left_out, losses)]
        for index in range(repeats):
            dealt = randomness.generator(seed, "evaluate/lds/dealt", index).permutation(scores)
            found.append(_lds(dealt, left_out, losses))
        values[name] = np.array(found)
    return values


def _lds(scores: Array, left_out: Sequence[Rows], losses: Array) -> float:
    """Spearman's correlation of what left with the loss, 0 where there is nothing to rank."""
    from scipy.stats import rankdata

    # what is kept and what is left out add up to the same in all of them
    one, other = rankdata([scores[gone].sum() for gone in left_out]), rankdata(losses)
    if np.ptp(one) == 0.0 or np.ptp(other) == 0.0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])

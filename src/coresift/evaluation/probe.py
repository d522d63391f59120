"""A linear probe: how well a classifier trained on a set does on rows held out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.points import Points
from coresift.core import randomness
from coresift.core.memory import Budget
from coresift.evaluation.base import Resources, RowSet, Values, grid
from coresift.io.labels import Labels

HOLDOUT = 0.2
MOST_ROWS = 100_000
MOST_CLASSES = 1_000
_LEAST_ROWS = 512
# of the budget, when what the process takes by itself is off
_SHARE = 4
_PROCESS_BYTES = 128 << 20
_ITERATIONS = 300
_TILE = 1_024


@dataclass(frozen=True)
class _Model:
    """A linear classifier: the class of the largest score.

    Attributes
    ----------
    classes : ndarray of int64, shape (c,)
        Codes; none where there was no row to train on.
    weights : ndarray of float64, shape (dim, c)
        Of the features as they are.
    offset : ndarray of float64, shape (c,)
        Intercepts.
    converged : bool
        Whether the solver did.
    """

    classes: NDArray[np.int64]
    weights: NDArray[np.float64]
    offset: NDArray[np.float64]
    converged: bool = True

    def predict(self, block: NDArray[np.float64]) -> NDArray[np.int64]:
        """Class of each row; -1 where nothing was learnt."""
        if not len(self.classes):
            return np.full(len(block), -1, np.int64)
        best: NDArray[np.int64] = (block @ self.weights + self.offset).argmax(axis=1)
        return np.take(self.classes, best)


def probe(
    points: Points, sets: Sequence[RowSet], labels: Labels, resources: Resources
) -> tuple[Values, tuple[str, ...]]:
    """Accuracy on held-out rows of a logistic regression trained on each set.

    Of the rows with a label, 20% by hash are held out; a set trains on its other rows. Features
    are standardised by the weighted mean and deviation of the training rows; weights are scaled
    to a mean of 1, so that the penalty (scikit-learn's default, C=1) means the same for every
    set. ``probe_accuracy_full`` is that of training on all rows not held out, or on 100,000 of
    them drawn uniformly, or on fewer where the budget does not hold so many.

    Parameters
    ----------
    points : Points
        All rows.
    sets : sequence of RowSet
        What to train on; the first is the subset.
    labels : Labels
        Classes.
    resources : Resources
        The run's resources.

    Returns
    -------
    values : Values
        ``probe_accuracy`` and ``probe_accuracy_full``; none when there is nothing to learn.
    notes : tuple of str
        What was left out or sampled.
    """
    if labels.classes > MOST_CLASSES:
        return {}, (f"no probe: {labels.classes:,} classes are more than {MOST_CLASSES:,}",)
    if labels.classes < 2:
        return {}, ("no probe: all labels are one class",)
    everything = points.kept_rows()
    everything = everything[labels.codes[everything] >= 0]
    held = held_out(everything, resources.seed)
    tested = int(np.count_nonzero(held))
    if not 0 < tested < len(everything):
        return {}, (f"no probe: {tested:,} of {len(everything):,} rows fell into the hold-out",)
    rest = everything[~held]
    del everything, held
    limit = _limit(points.dim, labels.classes, resources.budget)
    notes = _subset_notes(sets[0], labels, tested, limit, len(rest), resources.seed)
    models = []
    with resources.progress.stage("probe", len(sets) + 1) as stage:
        for rows_of in [*sets, RowSet(rest, np.ones(len(rest)))]:
            models.append(_train(points, rows_of, labels, limit, resources.seed))
            stage.advance(1)
    slow = sum(not model.converged for model in models)
    if slow:
        notes.append(
            f"probe: {slow:,} of {len(models):,} fits did not converge in {_ITERATIONS} iterations"
        )
    accuracy = _test(points, models, labels, resources) / tested
    full = np.full(len(sets), accuracy[-1])
    return {"probe_accuracy": accuracy[:-1], "probe_accuracy_full": full}, tuple(notes)


def held_out(rows: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """Rows that no probe learns from: a fifth of all, by hash."""
    return randomness.uniform(seed, "evaluate/holdout", rows) < HOLDOUT


def training_bytes(rows: int, dim: int, budget: Budget) -> int:
    """What training may take, of a dump of ``rows`` rows."""
    return min(_share(budget), min(rows, MOST_ROWS) * _row_bytes(dim, MOST_CLASSES))


def _share(budget: Budget) -> int:
    # of the whole, not of what is left: that varies from run to run, and would the result
    return max(0, budget.total - _PROCESS_BYTES) // _SHARE


def _row_bytes(dim: int, classes: int) -> int:
    # features in float32 and float64, and the solver's scores of each class
    return dim * (4 + 8) + classes * 8 * 4


def _limit(dim: int, classes: int, budget: Budget) -> int:
    """Rows to train on at most: 100,000, or the power of two below what the budget holds."""
    fits = max(_LEAST_ROWS, _share(budget) // _row_bytes(dim, classes))
    return MOST_ROWS if fits >= MOST_ROWS else int(1 << (fits.bit_length() - 1))


def _subset_notes(
    subset: RowSet, labels: Labels, tested: int, limit: int, rest: int, seed: int
) -> list[str]:
    left_out = int(np.count_nonzero(held_out(_labelled(subset.rows, labels), seed)))
    size = len(subset.rows)
    notes = [
        f"probe: {left_out:,} of the subset's {size:,} rows are held out, of {tested:,} in all"
    ]
    if size - left_out > limit:
        notes.append(f"probe: trained on {limit:,} of the subset's rows, drawn uniformly")
    if rest > limit:
        why = "" if limit == MOST_ROWS else ", which is what --memory holds"
        notes.append(
            f"probe: probe_accuracy_full is of {limit:,} of {rest:,} rows, drawn uniformly{why}"
        )
    return notes


def _labelled(rows: NDArray[np.int64], labels: Labels) -> NDArray[np.int64]:
    return rows[labels.codes[rows] >= 0]


def _train(points: Points, rows_of: RowSet, labels: Labels, limit: int, seed: int) -> _Model:
    use = (labels.codes[rows_of.rows] >= 0) & ~held_out(rows_of.rows, seed)
    drawn = RowSet(rows_of.rows[use], rows_of.weight[use]).at_most(limit, seed, "evaluate/probe")
    codes = labels.codes[drawn.rows].astype(np.int64)
    return fit(points.take(drawn.rows), codes, drawn.weight)


def fit(
    block: NDArray[np.float32], codes: NDArray[np.int64], weight: NDArray[np.float64]
) -> _Model:
    """Train on rows, shape (m, dim), of classes ``codes``, single-threaded.

    A row of weight zero does not count. Without any row nothing is predicted; rows of one class
    predict it always.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    counted = weight > 0.0
    if not counted.all():
        block, codes, weight = block[counted], codes[counted], weight[counted]
    classes = np.unique(codes)
    if len(classes) < 2:
        return _Model(classes, np.zeros((block.shape[1], len(classes))), np.zeros(len(classes)))
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        features = block.astype(np.float64)
        shares = weight / weight.sum()
        mean = shares @ features
        features -= mean
        deviation = np.sqrt(np.einsum("i,ij,ij->j", shares, features, features))
        # a constant feature has a deviation of rounding errors
        scale = np.where(deviation > 1e-10 * np.abs(mean), deviation, 1.0)
        features /= scale
        model = LogisticRegression(solver="lbfgs", max_iter=_ITERATIONS)
        model.fit(features, codes, sample_weight=shares * len(shares))
    converged = not any(issubclass(item.category, ConvergenceWarning) for item in caught)
    weights, offset = model.coef_.T, model.intercept_
    if len(classes) == 2:
        # one score, of the second class against the first
        weights = np.hstack([np.zeros_like(weights), weights])
        offset = np.concatenate([[0.0], offset])
    weights = weights / scale[:, None]
    return _Model(classes, weights, offset - mean @ weights, converged)


def _test(
    points: Points, models: Sequence[_Model], labels: Labels, resources: Resources
) -> NDArray[np.int64]:
    """Held-out rows that each model gets right, in one pass."""

    def task(run: tuple[int, int]) -> tuple[int, NDArray[np.int64]]:
        rows, block = points.read(*run)
        truth = labels.codes[rows]
        held = np.flatnonzero((truth >= 0) & held_out(rows, resources.seed))
        right = np.zeros(len(models), np.int64)
        for start in range(0, len(held), _TILE):
            place = held[start : start + _TILE]
            features = block[place].astype(np.float64)
            for index, model in enumerate(models):
                right[index] += np.count_nonzero(model.predict(features) == truth[place])
        return run[1] - run[0], right

    total = np.zeros(len(models), np.int64)
    with resources.progress.stage("test", points.rows) as stage:
        for done, right in resources.engine.map(task, grid(points)):
            total += right
            stage.advance(done)
    return total

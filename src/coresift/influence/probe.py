"""A multinomial logistic probe on embeddings: the model whose influence is exact.

With features x in R^d, p = softmax(W x) and the one-hot label y, the objective is

    mean over rows of -log p_y + l2 / 2 |W|^2,

strongly convex in all of W, hence the l2 on the offset too. The gradient of a row's loss is
(p - y) (x) x, of which the two factors are all that is ever kept.

Features are the embedding less its mean over the rows trained on, over one number: the root of the
mean variance of the dimensions, so that l2 means the same at any scale of the embedding. A last
feature of 1 holds the offset.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.points import Points
from coresift.core import randomness
from coresift.core.errors import ParameterError
from coresift.core.memory import Budget
from coresift.engine.base import Shared
from coresift.influence.products import product
from coresift.io.labels import Labels

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

L2 = 0.01
MOST_CLASSES = 1_000
_TOLERANCE = 1e-8
# rounding may keep the solver from its tolerance
_ENOUGH = 1e-6
_ITERATIONS = 5_000
_LEAST_ROWS = 512
# of the budget, when what the process takes by itself is off
_SHARE = 2
_PROCESS_BYTES = 128 << 20
# a product of always this many rows gives each the same, whatever rows are beside it
TILE = 256


@dataclass(frozen=True)
class Probe(Shared):
    """A probe that has been fitted.

    Attributes
    ----------
    weights : ndarray of float64, shape (classes, dim + 1)
        W; the last column is the offset.
    mean : ndarray of float64, shape (dim,)
        What is taken off the embedding.
    scale : float
        What it is divided by.
    l2 : float
        The penalty.
    converged : bool
        Whether the solver did.
    """

    weights: Array
    mean: Array
    scale: float
    l2: float
    converged: bool = True

    def features(self, block: NDArray[np.float32]) -> Array:
        """Return x of each embedding, shape (m, dim + 1)."""
        found = np.ones((len(block), block.shape[1] + 1))
        np.subtract(block, self.mean, out=found[:, :-1])
        found[:, :-1] /= self.scale
        return found

    def probabilities(self, features: Array) -> Array:
        """Return p of each row, shape (m, classes)."""
        scores = in_tiles(features, self.weights)
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        return scores

    def residuals(self, features: Array, codes: Codes) -> Array:
        """Return p - y of each row, shape (m, classes)."""
        found = self.probabilities(features)
        found[np.arange(len(codes)), codes] -= 1.0
        return found

    def losses(self, features: Array, codes: Codes) -> Array:
        """Return -log p_y of each row, shape (m,)."""
        scores = in_tiles(features, self.weights)
        highest = scores.max(axis=1)
        total = np.log(np.exp(scores - highest[:, None]).sum(axis=1))
        found: Array = highest + total - scores[np.arange(len(codes)), codes]
        return found


def in_tiles(features: Array, weights: Array) -> Array:
    """``features @ weights.T``, each row the same whatever rows are beside it."""
    return product(features, weights, TILE)


@dataclass(frozen=True)
class Training:
    """A probe, and what it was fitted to.

    Attributes
    ----------
    probe : Probe
        The probe.
    rows : ndarray of int64, shape (n,)
        Row ids, ascending.
    features : ndarray of float64, shape (n, dim + 1)
        x of these rows.
    codes : ndarray of int64, shape (n,)
        Their classes.
    notes : tuple of str
        What was sampled, or did not converge.
    """

    probe: Probe
    rows: NDArray[np.int64]
    features: Array
    codes: Codes
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """Classes of the probe."""
        return len(self.probe.weights)

    def again(self, used: NDArray[np.bool_], tolerance: float = _TOLERANCE) -> Probe:
        """Fit to some of the rows.

        Features stay as they are, and each row counts 1 / n as before: the penalty weighs no less
        where rows are missing. That is what influence predicts.

        Parameters
        ----------
        used : ndarray of bool, shape (n,)
            Which.
        tolerance : float
            See :func:`fit`.
        """
        old = self.probe
        weight = np.full(int(np.count_nonzero(used)), 1.0 / len(used))
        found, converged = fit(
            self.features[used], self.codes[used], weight, old.l2, old.weights, tolerance
        )
        return Probe(found, old.mean, old.scale, old.l2, converged)


def training_bytes(rows: int, dim: int, classes: int, budget: Budget) -> int:
    """What training on ``rows`` rows may take."""
    return min(_share(budget), rows * _row_bytes(dim, classes))


def _share(budget: Budget) -> int:
    # of the whole, not of what is left: that varies from run to run, and would the result
    return max(0, budget.total - _PROCESS_BYTES) // _SHARE


def _row_bytes(dim: int, classes: int) -> int:
    # the embedding, features and a copy of them, and the solver's scores of each class
    return dim * (4 + 8 + 8) + classes * 8 * 4


def train(
    points: Points, labels: Labels, budget: Budget, seed: int, l2: float = L2, name: str = "label"
) -> Training:
    """Fit a probe to all rows with a label, or to as many as the budget holds.

    Then they are the power of two below it of the smallest hash.

    Parameters
    ----------
    points : Points
        The embeddings.
    labels : Labels
        Classes of the rows.
    budget : Budget
        What may be held.
    seed : int
        The run's seed.
    l2 : float
        The penalty, above 0.
    name : str
        The column of labels, for messages.

    Raises
    ------
    ParameterError
        When the labels are no classes that can be told apart.
    """
    if labels.classes > MOST_CLASSES:
        raise ParameterError(
            f"--label {name!r} has {labels.classes:,} classes; a probe tells at most "
            f"{MOST_CLASSES:,} apart",
            hint="name a coarser column of classes",
        )
    if np.count_nonzero(labels.count) < 2:
        raise ParameterError(
            f"--label {name!r}: all rows are of one class", hint="a probe needs two or more"
        )
    rows = points.kept_rows()
    rows = rows[labels.codes[rows] >= 0]
    notes = []
    fits = max(_LEAST_ROWS, _share(budget) // _row_bytes(points.dim, labels.classes))
    if fits < len(rows):
        size = 1 << (fits.bit_length() - 1)
        notes.append(
            f"the probe was trained on {size:,} of {len(rows):,} rows, drawn uniformly, which is "
            "what --memory holds"
        )
        keys = randomness.bits(seed, "influence/probe", rows)
        rows = np.sort(rows[np.argsort(keys, kind="stable")[:size]])
    codes = labels.codes[rows].astype(np.int64)
    block = points.take(rows)
    mean = block.mean(axis=0, dtype=np.float64)
    probe = Probe(np.zeros((labels.classes, points.dim + 1)), mean, 1.0, l2)
    features = probe.features(block)
    del block
    scale = float(np.sqrt(np.square(features[:, :-1]).mean())) or 1.0
    features[:, :-1] /= scale
    weight = np.full(len(rows), 1.0 / len(rows))
    with unwarned():
        weights, converged = fit(features, codes, weight, l2, probe.weights)
    if not converged:
        notes.append(f"the probe did not converge in {_ITERATIONS:,} iterations")
    probe = Probe(weights, mean, scale, l2, converged)
    return Training(probe, rows, features, codes, tuple(notes))


@contextmanager
def unwarned() -> Iterator[None]:
    """Let :func:`fit` run without warnings, which are of the whole process and not of a thread."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def fit(
    features: Array,
    codes: Codes,
    weight: Array,
    l2: float,
    start: Array,
    tolerance: float = _TOLERANCE,
) -> tuple[Array, bool]:
    """Minimise the sum of weight * -log p_y + l2 / 2 |W|^2, single-threaded.

    Parameters
    ----------
    features : ndarray of float64, shape (n, width)
        x of the rows.
    codes : ndarray of int64, shape (n,)
        Their classes.
    weight : ndarray of float64, shape (n,)
        What each row counts.
    l2 : float
        The penalty.
    start : ndarray of float64, shape (classes, width)
        W to start from; a class without a row is only ever ruled out.
    tolerance : float
        Of the gradient's largest element.

    Returns
    -------
    weights : ndarray of float64, shape (classes, width)
        W.
    converged : bool
        Whether the gradient is about as small as that.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    absent = np.setdiff1d(np.arange(len(start)), codes)
    shown, named, counted = features, codes, weight
    if len(absent):
        # scikit-learn learns the classes it is shown: rows that count nothing
        shown = np.vstack([features, np.zeros((len(absent), features.shape[1]))])
        named, counted = np.append(codes, absent), np.append(weight, np.zeros(len(absent)))
    # it minimises C * the sum + |W|^2 / 2; of two classes it has one vector w, that is
    # W = (-w, w) / 2, whose penalty is half of that
    binary = len(start) == 2
    model = LogisticRegression(
        C=(2.0 if binary else 1.0) / l2,
        fit_intercept=False,
        tol=tolerance,
        max_iter=_ITERATIONS,
        warm_start=True,
    )
    model.coef_ = start[1:] - start[:1] if binary else start.copy()
    with threadpool_limits(1):
        model.fit(shown, named, sample_weight=counted)
        found: Array = model.coef_
        if binary:
            found = np.vstack([-found, found]) / 2.0
        scores = features @ found.T
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        scores[np.arange(len(codes)), codes] -= 1.0
        gradient = (scores * weight[:, None]).T @ features + l2 * found
    return found, bool(np.abs(gradient).max() <= max(tolerance, _ENOUGH))

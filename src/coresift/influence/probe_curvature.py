"""What stands for the Hessian of a probe; gradients are matrices (p - y) x^T.

- exact: the mean over the rows of (diag p - p p^T) (x) x x^T. It is the Hessian of the loss, and of
  a linear model the Gauss-Newton matrix and the true Fisher too.
- fisher: the empirical Fisher, the mean of (p - y)(p - y)^T (x) x x^T. Rows that are fitted well
  count next to nothing in it (Kunstner, Balles and Hennig, "Limitations of the empirical Fisher
  approximation", NeurIPS 2019).
- kfac: S (x) A, S the mean of diag p - p p^T and A that of x x^T (Martens and Grosse, ICML 2015,
  section 3). The expectation over the model's labels, which Grosse et al., 2023, section 2.4,
  draw, is computed.
- diagonal: that of exact.
- identity: none; the product of gradients.
- kernel: I (x) A. Mohamadi, Bae and Sutherland, "A Fast, Well-Founded Approximation to the
  Empirical Neural Tangent Kernel", ICML 2023, section 3: let one kernel stand for all pairs of
  logits, that of the gradient of the sum of the C logits over sqrt(C). Of a linear model it is
  x . x', without error. Kernel regression with it (their section 5) has I (x) A for its Hessian,
  and so the influence (p - y) . (p_t - y_t) times x A^-1 x_t: one matrix of the features serves all
  classes.

The penalty l2 is part of the Hessian of the objective, so it is the damping unless one is given.
Up to 8,192 parameters exact and fisher are formed and factored; beyond, and where so few systems
are to be solved that it is faster, by conjugate gradients, preconditioned by kfac.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.influence.base import Resources
from coresift.influence.curvature import DENSE_DIM, factored
from coresift.influence.kfac import Kronecker
from coresift.influence.probe import Training

Array = NDArray[np.float64]

KINDS = ("exact", "kfac", "fisher", "diagonal", "identity", "kernel")
_TILE = 1024
# parameters whose matrix costs as much as solving one system without it: about 100 steps of two
# products with the features each
_WORTH = 400
_TOLERANCE = 1e-10
_ITERATIONS = 1_000


@dataclass(frozen=True)
class ProbeCurvature:
    """The damped Hessian, as what its inverse does.

    Attributes
    ----------
    solve : callable
        Takes gradients, shape (t, classes, width); gives H^-1 times each.
    quadratic : callable or None
        Takes x, shape (m, width), and p - y, shape (m, classes), of some rows; gives
        g . H^-1 g of each, shape (m,). None where each row would need a system solved.
    damping : float
        What was added to each eigenvalue.
    notes : list of str
        What was not reached; may grow with each call.
    """

    solve: Callable[[Array], Array]
    quadratic: Callable[[Array, Array], Array] | None
    damping: float
    notes: list[str] = field(default_factory=list)


def curvature(
    kind: str,
    training: Training,
    damping: float | None,
    resources: Resources,
    *,
    systems: int | None = None,
) -> ProbeCurvature:
    """Make the Hessian of a probe.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.
    training : Training
        The probe, and the rows it was fitted to, which the mean is over.
    damping : float or None
        None means the probe's l2.
    resources : Resources
        What the run lends.
    systems : int, optional
        How many will be solved with it; many, or ``quadratic`` is needed, by default.

    Raises
    ------
    InputError
        When it is singular, and the damping 0.
    ResourceError
        When its matrix does not fit.
    """
    added = training.probe.l2 if damping is None else damping
    if kind == "identity":
        return ProbeCurvature(lambda matrices: matrices, _plain, 0.0)
    if kind == "diagonal":
        return _diagonal(training, added)
    if kind in ("kernel", "kfac"):
        return _kronecker(training, added, resources, alike=kind == "kernel")
    side = training.probe.weights.size
    if side > DENSE_DIM or (systems is not None and systems * _WORTH < side):
        return _iterative(kind, training, added, resources)
    return _dense(kind, training, added, resources)


def _plain(features: Array, residuals: Array) -> Array:
    return np.asarray(np.square(residuals).sum(axis=1) * np.square(features).sum(axis=1))


def _diagonal(training: Training, damping: float) -> ProbeCurvature:
    found = training.probe.probabilities(training.features)
    found *= 1.0 - found
    total = np.zeros_like(training.probe.weights)
    for start in range(0, len(found), _TILE):
        total += found[start : start + _TILE].T @ np.square(
            training.features[start : start + _TILE]
        )
    scale = total / len(found) + damping
    if not scale.min() > 0.0:
        raise InputError(
            f"the diagonal is singular: {np.count_nonzero(scale <= 0.0):,} of its {scale.size:,} "
            "directions have no curvature, and --damping is 0",
            hint="leave --damping out, or give one above 0",
        )
    inverse = 1.0 / scale

    def quadratic(features: Array, residuals: Array) -> Array:
        squares = np.square(features) @ inverse.T
        return np.asarray((np.square(residuals) * squares).sum(axis=1))

    return ProbeCurvature(lambda matrices: matrices * inverse, quadratic, damping)


def _kronecker(
    training: Training, damping: float, resources: Resources, *, alike: bool
) -> ProbeCurvature:
    outputs = np.eye(training.classes)
    if not alike:
        found = training.probe.probabilities(training.features)
        outputs = np.diag(found.mean(axis=0)) - found.T @ found / len(found)
    factors = Kronecker.of(_moment(training, resources), outputs, damping)

    def quadratic(features: Array, residuals: Array) -> Array:
        turned = np.square(residuals @ factors.outputs) @ factors.inverse
        return np.asarray((turned * np.square(features @ factors.inputs)).sum(axis=1))

    return ProbeCurvature(factors.solve, quadratic, damping)


def _moment(training: Training, resources: Resources) -> Array:
    """Mean of x x^T."""
    features = training.features

    def task(start: int) -> Array:
        tile = features[start : start + _TILE]
        return tile.T @ tile

    total = np.zeros((features.shape[1], features.shape[1]))
    for part in resources.engine.driver.map(task, range(0, len(features), _TILE)):
        total += part
    return total / len(features)


def _dense(kind: str, training: Training, damping: float, resources: Resources) -> ProbeCurvature:
    features, classes = training.features, training.classes
    width = features.shape[1]
    side = classes * width
    resources.budget.require(
        8 * side * side + 8 * 4 * resources.engine.driver.workers * width * (width + _TILE),
        f"a Hessian of {side:,} parameters",
        hint="use --hessian kfac, or raise --memory",
    )
    outer = _Outer.of(kind, training)
    pairs = [(one, other) for one in range(classes) for other in range(one, classes)]

    def task(pair: tuple[int, int]) -> Array:
        total = np.zeros((width, width))
        for start in range(0, len(features), _TILE):
            tile = features[start : start + _TILE]
            total += (tile * outer.pair(*pair, start, start + _TILE)[:, None]).T @ tile
        return total / len(features)

    matrix = np.empty((classes, width, classes, width))
    with resources.progress.stage("hessian", len(pairs)) as stage:
        found = resources.engine.driver.map(task, pairs)
        for (one, other), block in zip(pairs, found, strict=True):
            matrix[one, :, other] = matrix[other, :, one] = block
            stage.advance(1)
    flat = matrix.reshape(side, side)
    flat[np.diag_indices(side)] += damping
    solve = factored(flat, f"the {kind} Hessian")

    def solved(matrices: Array) -> Array:
        return solve(matrices.reshape(-1, side)).reshape(matrices.shape)

    def quadratic(features: Array, residuals: Array) -> Array:
        rows = (residuals[:, :, None] * features[:, None, :]).reshape(-1, side)
        return np.asarray((rows * solve(rows)).sum(axis=1))

    return ProbeCurvature(solved, quadratic, damping)


@dataclass(frozen=True)
class _Outer:
    """The classes' factor of each row: diag p - p p^T, or (p - y)(p - y)^T.

    Attributes
    ----------
    values : ndarray of float64, shape (n, classes)
        p, or p - y.
    exact : bool
        Which.
    """

    values: Array
    exact: bool

    @classmethod
    def of(cls, kind: str, training: Training) -> _Outer:
        values = training.probe.probabilities(training.features)
        if kind == "exact":
            return cls(values, exact=True)
        values[np.arange(len(values)), training.codes] -= 1.0
        return cls(values, exact=False)

    def pair(self, one: int, other: int, start: int, stop: int) -> Array:
        """Element of two classes, of consecutive rows."""
        mine, theirs = self.values[start:stop, one], self.values[start:stop, other]
        if not self.exact:
            return mine * theirs
        return mine * (float(one == other) - theirs)

    def times(self, scores: Array, start: int, stop: int) -> Array:
        """Product with vectors, shape (m, t, classes), of consecutive rows."""
        values = self.values[start:stop, None, :]
        inner = (values * scores).sum(axis=2, keepdims=True)
        return np.asarray(values * (scores - inner) if self.exact else values * inner)


def _iterative(
    kind: str, training: Training, damping: float, resources: Resources
) -> ProbeCurvature:
    """Conjugate gradients, preconditioned (Golub and Van Loan, algorithm 11.5.1)."""
    features = training.features
    outer = _Outer.of(kind, training)
    # a preconditioner must be positive definite whatever the damping
    near = _kronecker(training, max(damping, training.probe.l2), resources, alike=False)
    notes: list[str] = []

    def product(matrices: Array) -> Array:
        count, classes, width = matrices.shape
        flat = np.ascontiguousarray(matrices).reshape(-1, width)

        def task(start: int) -> Array:
            tile = features[start : start + _TILE]
            scores = (tile @ flat.T).reshape(-1, count, classes)
            image = outer.times(scores, start, start + _TILE)
            return image.reshape(len(tile), -1).T @ tile

        total = np.zeros_like(flat)
        starts = range(0, len(features), _TILE)
        with resources.progress.stage("conjugate gradients", len(features)) as stage:
            for start, part in zip(starts, resources.engine.driver.map(task, starts), strict=True):
                total += part
                stage.advance(min(_TILE, len(features) - start))
        return total.reshape(matrices.shape) / len(features) + damping * matrices

    def solve(matrices: Array) -> Array:
        solution = np.zeros_like(matrices)
        residual = matrices.copy()
        nearly = near.solve(residual)
        step = nearly.copy()
        left = _dots(residual, nearly)
        enough = _TOLERANCE * np.sqrt(_dots(matrices, matrices))
        for _ in range(_ITERATIONS):
            going = np.flatnonzero(np.sqrt(_dots(residual, residual)) > enough)
            if not len(going):
                return solution
            image = product(step[going])
            length = (left[going] / _dots(step[going], image))[:, None, None]
            solution[going] += length * step[going]
            residual[going] -= length * image
            nearly = near.solve(residual[going])
            after = _dots(residual[going], nearly)
            step[going] = nearly + (after / left[going])[:, None, None] * step[going]
            left[going] = after
        notes.append(
            f"conjugate gradients stopped after {_ITERATIONS:,} steps, before --hessian {kind} was "
            "solved to full accuracy"
        )
        return solution

    return ProbeCurvature(solve, None, damping, notes)


def _dots(one: Array, other: Array) -> Array:
    return np.asarray((one * other).sum(axis=(1, 2)))

"""What stands for the Hessian, and how gradients of the target are multiplied by its inverse.

Koh and Liang, "Understanding Black-box Predictions via Influence Functions", ICML 2017, section 2:
the influence of a row on a target is g_row . H^-1 g_target. H is taken from the gradients of the
rows alone:

- identity: H = I, as in TracIn (Pruthi et al., NeurIPS 2020) and LESS (Xia et al., ICML 2024);
- fisher: the empirical Fisher, the mean of g g^T over the rows;
- diagonal: its diagonal.

To H a damping is added to each eigenvalue. ``auto`` is a tenth of the mean eigenvalue, which
is what Grosse et al., "Studying Large Language Model Generalization with Influence Functions",
2023, take (so does their kronfluence), and DataInf too (Kwon et al., ICLR 2024: the mean square
of a gradient's elements over 10).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.influence.base import Gradients, Resources
from coresift.influence.moments import Rows, second_moment, summed

Array = NDArray[np.float64]

AUTO = 0.1
# beyond it the matrix is not formed
DENSE_DIM = 8192
_TOLERANCE = 1e-8
_ITERATIONS = 1000


@dataclass(frozen=True)
class Curvature:
    """The damped Hessian, as what its inverse does.

    Attributes
    ----------
    solve : callable
        Takes gradients, shape (t, dim), float64; gives (H + damping)^-1 times each.
    damping : float
        What was added to each eigenvalue.
    notes : list of str
        What was replaced; may grow with each call of ``solve``.
    """

    solve: Callable[[Array], Array]
    damping: float = 0.0
    notes: list[str] = field(default_factory=list)


def identity() -> Curvature:
    """No curvature: steepest descent."""
    return Curvature(lambda targets: targets)


def diagonal(
    gradients: Gradients, damping: float | None, resources: Resources, rows: Rows = None
) -> Curvature:
    """The diagonal of the empirical Fisher.

    Parameters
    ----------
    gradients : Gradients
        Of the rows.
    damping : float or None
        None means ``auto``.
    resources : Resources
        What the run lends.
    rows : ndarray of int64, optional
        Estimate it from these.

    Raises
    ------
    InputError
        When an element is zero, and the damping too.
    """
    (total,), count = summed(gradients, resources, lambda block: [_squares(block)], rows)
    moment = total / count
    added = damped(damping, float(moment.mean()))
    scale = moment + added
    if not scale.min() > 0.0:
        raise _singular("the diagonal", f"{np.count_nonzero(scale <= 0.0):,} of its {len(scale):,}")
    return Curvature(lambda targets: targets / scale, added)


def fisher(
    gradients: Gradients, damping: float | None, resources: Resources, rows: Rows = None
) -> Curvature:
    """The empirical Fisher: by Cholesky, or beyond 8,192 parameters by conjugate gradients.

    Parameters and errors are those of :func:`diagonal`.
    """
    if gradients.dim > DENSE_DIM:
        return _iterative(gradients, damping, resources, rows)
    moment, _ = second_moment(gradients, resources, rows)
    added = damped(damping, float(np.trace(moment)) / len(moment))
    moment[np.diag_indices_from(moment)] += added
    return Curvature(factored(moment, "the Fisher"), added)


def damped(damping: float | None, mean: float) -> float:
    """The damping: as given, or by the mean eigenvalue."""
    return AUTO * mean if damping is None else damping


def factored(matrix: Array, what: str) -> Callable[[Array], Array]:
    """What the inverse of a symmetric matrix does to rows; the matrix is overwritten.

    Raises
    ------
    InputError
        When it is singular, as far as float64 can tell.
    """
    from scipy.linalg import LinAlgError, cho_factor, cho_solve
    from threadpoolctl import threadpool_limits

    largest = float(np.diagonal(matrix).max())
    # SciPy brings its own BLAS, of which the engine does not know
    with threadpool_limits(1, user_api="blas"):
        try:
            factor = cho_factor(matrix.T, lower=True, overwrite_a=True, check_finite=False)
        except LinAlgError:
            raise _singular(what, "some of its") from None
    pivots = np.square(np.diagonal(factor[0]))
    lost = int(np.count_nonzero(pivots <= len(matrix) * np.finfo(np.float64).eps * largest))
    if lost:
        raise _singular(what, f"{lost:,} of its {len(matrix):,}")

    def solve(targets: Array) -> Array:
        with threadpool_limits(1, user_api="blas"):
            found: Array = cho_solve(factor, targets.T, check_finite=False).T
        return np.ascontiguousarray(found)

    return solve


def _iterative(
    gradients: Gradients, damping: float | None, resources: Resources, rows: Rows
) -> Curvature:
    """Conjugate gradients (Hestenes and Stiefel, 1952), for all targets at the same time.

    One pass over the gradients for each step: F v is the mean of g (g . v).
    """
    (total,), count = summed(gradients, resources, lambda block: [_squares(block)], rows)
    added = damped(damping, float(total.sum()) / (count * gradients.dim))
    if not added > 0.0:
        raise _singular("the Fisher", f"some of its {gradients.dim:,}")
    notes: list[str] = []

    def product(vectors: Array) -> Array:
        def task(block: NDArray[np.float32]) -> list[Array]:
            wide = block.astype(np.float64)
            return [(wide @ vectors.T).T @ wide]

        (found,), _ = summed(gradients, resources, task, rows, "conjugate gradients")
        return found / count + added * vectors

    def solve(targets: Array) -> Array:
        # six of them here, and of each worker one, one that waits to be taken, and a sum
        resources.budget.require(
            8 * (6 + 3 * resources.engine.workers) * targets.size,
            f"conjugate gradients for {len(targets):,} targets",
            hint="give fewer target rows, use --hessian diagonal, or raise --memory",
        )
        solution = np.zeros_like(targets)
        residual = targets.copy()
        step = residual.copy()
        left = np.square(residual).sum(axis=1)
        enough = np.square(_TOLERANCE) * left
        for _ in range(_ITERATIONS):
            going = np.flatnonzero(left > enough)
            if not len(going):
                return solution
            image = product(step[going])
            length = left[going] / (step[going] * image).sum(axis=1)
            solution[going] += length[:, None] * step[going]
            residual[going] -= length[:, None] * image
            after = np.square(residual[going]).sum(axis=1)
            step[going] = residual[going] + (after / left[going])[:, None] * step[going]
            left[going] = after
        worst = float(np.sqrt((left * _TOLERANCE**2 / np.maximum(enough, 1e-300)).max()))
        notes.append(
            f"conjugate gradients stopped after {_ITERATIONS:,} steps, {worst:.1g} of the target's "
            "gradient being left"
        )
        return solution

    return Curvature(solve, added, notes)


def _squares(block: NDArray[np.float32]) -> Array:
    wide = block.astype(np.float64)
    return np.asarray(np.square(wide, out=wide).sum(axis=0))


def _singular(what: str, how: str) -> InputError:
    return InputError(
        f"{what} is singular: {how} directions have no curvature, and --damping is 0",
        hint="leave --damping out, or give one above 0",
    )

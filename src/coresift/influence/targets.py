"""Gradients of the target, multiplied once by the inverse Hessian.

Every --target given is either the whole target, whose rows count each or by their mean, or one of
several tasks, each of which counts by the mean of its rows: so LESS does (Xia et al., ICML 2024,
section 4.2; in its published code ``less/data_selection/matching.py``, the mean over the rows of a
task, then the largest over tasks).

Under cosine each target row's H^-1 g is scaled to norm 1 before means are taken, as LESS does with
H = I and Quad with K-FAC.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from coresift.influence.base import Gradients, Resources, blocks
from coresift.influence.products import inverse

Array = NDArray[np.float64]


def preconditioned(
    tasks: Sequence[Gradients],
    solve: Callable[[Array], Array],
    resources: Resources,
    *,
    each: bool,
    cosine: bool,
) -> Array:
    """H^-1 g of each target.

    Parameters
    ----------
    tasks : sequence of Gradients
        One, or one for each task.
    solve : callable
        See :class:`coresift.influence.curvature.Curvature`.
    resources : Resources
        What the run lends.
    each : bool
        Whether each row is a target, not the mean of each task.
    cosine : bool
        Whether H^-1 g of a row is scaled to norm 1.

    Returns
    -------
    ndarray of float64, shape (targets, dim)
    """
    if not each and not cosine:
        return solve(np.stack([_mean(task) for task in tasks]))
    parts = []
    for task in tasks:
        # gradients, what the solver makes of them, and a copy in between
        require(resources, task.rows * task.dim)
        found = solve(_all(task))
        if cosine:
            found = found * inverse(np.sqrt(np.square(found).sum(axis=1)))[:, None]
        parts.append(found if each else found.mean(axis=0, keepdims=True))
    return np.concatenate(parts)


def require(resources: Resources, elements: int) -> None:
    """Refuse targets that do not fit."""
    resources.budget.require(
        8 * 4 * elements,
        "the gradients of the target",
        hint="give fewer target rows, or --aggregate mean with --similarity dot",
    )


def _all(task: Gradients) -> Array:
    found = np.concatenate(
        [task.read(*run).astype(np.float64) for run in blocks(task.rows, task.dim)]
    )
    kept: Array = found[~np.isnan(found[:, 0])]
    return kept


def _mean(task: Gradients) -> Array:
    total = np.zeros(task.dim)
    count = 0
    for run in blocks(task.rows, task.dim):
        block = task.read(*run).astype(np.float64)
        block = block[~np.isnan(block[:, 0])]
        total += block.sum(axis=0)
        count += len(block)
    return total / count


def layer_targets(
    tasks: Sequence[tuple[Gradients, Gradients]],
    solve: Callable[[Array], Array],
    resources: Resources,
    *,
    each: bool,
    cosine: bool,
) -> Array:
    """H^-1 G of each target, from the inputs and output gradients of a layer.

    Returns
    -------
    ndarray of float64, shape (targets, OUT, IN)
    """
    parts = []
    for inputs, outputs in tasks:
        size = inputs.dim * outputs.dim
        into, out = _all(inputs), _all(outputs)
        if each:
            require(resources, len(into) * size)
        else:
            require(resources, size)
        if not each and not cosine:
            parts.append(solve((out.T @ into)[None] / len(into)))
            continue
        found = np.zeros((len(into) if each else 1, outputs.dim, inputs.dim))
        for place in range(len(into)):
            matrix = solve(np.outer(out[place], into[place])[None])[0]
            if cosine:
                matrix = matrix * inverse(np.sqrt(np.square(matrix).sum()[None]))
            found[place if each else 0] += matrix
        parts.append(found if each else found / len(into))
    return np.concatenate(parts)

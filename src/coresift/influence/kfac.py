"""Kronecker-factored curvature of a linear layer.

Martens and Grosse, "Optimizing Neural Networks with Kronecker-factored Approximate Curvature",
ICML 2015, section 3: a row's gradient of the weights, OUT x IN, is s a^T, with a the layer's input
and s the gradient of its output, and H = A (x) S with A the mean of a a^T and S the mean of s s^T.
Zhang et al., "Harnessing Diversity for Important Data Selection in Pretraining Large Language
Models" (Quad), ICLR 2025, use it on attention layers. In the eigenvectors of A and S,
(A (x) S + damping I)^-1 is exact, without the approximation of the damping that the paper needs
for speed, as in Grosse et al., 2023, and in kronfluence.

Where a and s stand in two columns, the influence of a row is s^T M a, with M = H^-1 G of the
target, and no row's gradient is ever formed. Where only gradients G stand in one column, the
factors come from them: the mean of G^T G and that of G G^T, over the mean of |G|^2. For G = s a^T
with a and s independent, which is K-FAC's own assumption, that is A (x) S.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.influence.base import Gradients, Resources
from coresift.influence.curvature import AUTO, Curvature
from coresift.influence.moments import Rows, second_moment, summed
from coresift.influence.products import TILE, inverse, norms

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Kronecker:
    """The damped A (x) S, by its eigenvectors.

    Attributes
    ----------
    inputs : ndarray of float64, shape (IN, IN)
        Eigenvectors of A, as columns.
    outputs : ndarray of float64, shape (OUT, OUT)
        Eigenvectors of S.
    inverse : ndarray of float64, shape (OUT, IN)
        One over each damped eigenvalue.
    damping : float
        What was added to each.
    """

    inputs: Array
    outputs: Array
    inverse: Array
    damping: float

    @classmethod
    def of(cls, inputs: Array, outputs: Array, damping: float | None) -> Kronecker:
        """Decompose A and S.

        Raises
        ------
        InputError
            When their product is singular and the damping 0.
        """
        mine, in_vectors = np.linalg.eigh(inputs)
        theirs, out_vectors = np.linalg.eigh(outputs)
        values = np.outer(np.maximum(theirs, 0.0), np.maximum(mine, 0.0))
        added = AUTO * float(values.mean()) if damping is None else damping
        least = values.size * np.finfo(np.float64).eps * float(values.max())
        lost = int(np.count_nonzero(values + added <= least))
        if lost:
            raise InputError(
                f"the K-FAC factors are singular: {lost:,} of their {values.size:,} directions "
                "have no curvature, and --damping is 0",
                hint="leave --damping out, or give one above 0",
            )
        return cls(in_vectors, out_vectors, 1.0 / (values + added), added)

    def solve(self, matrices: Array) -> Array:
        """What the inverse does to gradients, shape (t, OUT, IN)."""
        turned = self.outputs.T @ matrices @ self.inputs
        return np.asarray(self.outputs @ (turned * self.inverse) @ self.inputs.T)


def from_gradients(
    gradients: Gradients,
    shape: tuple[int, int],
    damping: float | None,
    resources: Resources,
    rows: Rows = None,
) -> Curvature:
    """K-FAC from gradients of the weights, row after row of the weights.

    Parameters
    ----------
    gradients : Gradients
        Of the rows; ``dim`` is OUT x IN.
    shape : tuple of int
        OUT and IN.
    damping, resources, rows
        See :func:`coresift.influence.curvature.diagonal`.

    Raises
    ------
    ResourceError
        When the factors do not fit.
    """
    out, into = shape
    # of each worker sums, some that wait to be taken, and products; what is taken, and the factors
    held = 3 * resources.engine.workers + 3
    resources.budget.require(
        8 * held * (out * out + into * into),
        f"the K-FAC factors of a layer of {out:,}x{into:,}",
        hint="use --hessian diagonal, or raise --memory",
    )

    def task(block: NDArray[np.float32]) -> list[Array]:
        wide = block.astype(np.float64).reshape(-1, out, into)
        flat = wide.reshape(-1, into)
        turned = np.ascontiguousarray(wide.transpose(0, 2, 1)).reshape(-1, out)
        return [flat.T @ flat, turned.T @ turned]

    (inputs, outputs), count = summed(gradients, resources, task, rows)
    total = float(np.trace(inputs))
    scale = total * count if total > 0.0 else 1.0
    found = Kronecker.of(inputs / np.sqrt(scale), outputs / np.sqrt(scale), damping)

    def solve(targets: Array) -> Array:
        return found.solve(targets.reshape(-1, out, into)).reshape(-1, out * into)

    return Curvature(solve, found.damping)


def from_layer(
    inputs: Gradients,
    outputs: Gradients,
    damping: float | None,
    resources: Resources,
    rows: Rows = None,
) -> Kronecker:
    """K-FAC from a layer's inputs and the gradients of its outputs.

    Parameters
    ----------
    inputs, outputs : Gradients
        a and s of the rows.
    damping, resources, rows
        See :func:`coresift.influence.curvature.diagonal`.
    """
    first, _ = second_moment(inputs, resources, rows)
    second, _ = second_moment(outputs, resources, rows)
    return Kronecker.of(first, second, damping)


class Layer:
    """Influence by a layer's inputs and the gradients of its outputs: s^T M a.

    Parameters
    ----------
    inputs, outputs : Gradients
        a and s of the rows.
    targets : ndarray of float64, shape (targets, OUT, IN)
        Preconditioned, and scaled by the learning rate.
    cosine : bool
        Scale each row's gradient to norm 1.
    """

    def __init__(
        self, inputs: Gradients, outputs: Gradients, targets: Array, *, cosine: bool
    ) -> None:
        self.rows = inputs.rows
        self.targets = len(targets)
        self._inputs = inputs
        self._outputs = outputs
        self._matrices = targets
        self._cosine = cosine

    def rough(self, start: int, stop: int) -> tuple[Array, Array]:
        """See :class:`coresift.influence.products.Term`: as :meth:`read`."""
        found = self.read(start, stop)
        return found, np.zeros(len(found))

    def read(self, start: int, stop: int) -> Array:
        """See :class:`coresift.influence.products.Term`."""
        return self._of(self._inputs.read(start, stop), self._outputs.read(start, stop))

    def take(self, rows: NDArray[np.int64]) -> Array:
        """See :class:`coresift.influence.products.Term`."""
        return self._of(self._inputs.take(rows), self._outputs.take(rows))

    def _of(self, into: NDArray[np.float32], out: NDArray[np.float32]) -> Array:
        found = np.empty((len(into), self.targets))
        tile = np.zeros((TILE, out.shape[1]))
        for start in range(0, len(into), TILE):
            some = into[start : start + TILE].astype(np.float64)
            tile[: len(some)] = out[start : start + TILE]
            tile[len(some) :] = 0.0
            for place, matrix in enumerate(self._matrices):
                turned = (tile @ matrix)[: len(some)]
                found[start : start + TILE, place] = np.multiply(turned, some, out=turned).sum(
                    axis=1
                )
        if self._cosine:
            found *= inverse(norms(into) * norms(out))[:, None]
        return found

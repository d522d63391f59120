"""Influence by a probe: (p - y) . W x of each row, W = H^-1 G of the target."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.points import Points
from coresift.core.errors import ParameterError
from coresift.engine.base import Shared
from coresift.influence.base import Resources
from coresift.influence.curvature import DENSE_DIM
from coresift.influence.probe import TILE, Codes, Probe, in_tiles
from coresift.influence.probe_curvature import ProbeCurvature
from coresift.influence.products import inverse
from coresift.influence.targets import require

Array = NDArray[np.float64]


class Factors:
    """Rows as a probe sees them: their features, and their classes.

    Parameters
    ----------
    probe : Probe
        The probe.
    points : Points
        The embeddings.
    codes : ndarray of int32, shape (rows,)
        Class of each row; -1 of one that has none.
    """

    def __init__(self, probe: Probe, points: Points, codes: NDArray[np.int32]) -> None:
        self.rows = points.rows
        self.probe = probe
        self._points = points
        self._codes = codes

    def read(self, start: int, stop: int) -> tuple[NDArray[np.int64], Array, Codes]:
        """Ids, x and classes of those of consecutive rows that have a class."""
        rows, vectors = self._points.read(start, stop)
        some = self._codes[rows] >= 0
        return rows[some], self.probe.features(vectors[some]), self._classes(rows[some])

    def take(self, rows: NDArray[np.int64]) -> tuple[Array, Codes]:
        """Return x and classes of some rows with a class, ascending."""
        return self.probe.features(self._points.take(rows)), self._classes(rows)

    def _classes(self, rows: NDArray[np.int64]) -> Codes:
        return self._codes[rows].astype(np.int64)

    def known(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether rows have a class."""
        return self._codes[rows] >= 0


class ProbeInfluence(Shared):
    """What a probe says of the influence of rows; NaN of a row without a class.

    Parameters
    ----------
    factors : Factors
        The rows.
    of : callable
        Takes x and classes of some rows; gives their influence, shape (m, targets).
    targets : int
        Targets; 1 where their mean is meant.
    """

    def __init__(self, factors: Factors, of: Callable[[Array, Codes], Array], targets: int) -> None:
        self.rows = factors.rows
        self._factors = factors
        self._of = of
        self._targets = targets

    @property
    def targets(self) -> int:
        """Targets; 1 where their mean is meant."""
        return self._targets

    def read(self, start: int, stop: int) -> Array:
        """Of consecutive rows, shape (stop - start, targets)."""
        found = np.full((stop - start, self._targets), np.nan)
        rows, features, codes = self._factors.read(start, stop)
        found[rows - start] = self._of(features, codes)
        return found

    def take(self, rows: NDArray[np.int64]) -> Array:
        """Of some rows, ascending, shape (len(rows), targets)."""
        found = np.full((len(rows), self._targets), np.nan)
        known = self._factors.known(rows)
        found[known] = self._of(*self._factors.take(rows[known]))
        return found


def on_targets(factors: Factors, matrices: Array, *, cosine: bool = False) -> ProbeInfluence:
    """Influence on targets.

    Parameters
    ----------
    factors : Factors
        The rows.
    matrices : ndarray of float64, shape (targets, classes, width)
        H^-1 G of each.
    cosine : bool
        Scale the gradients of rows to norm 1.
    """
    probe = factors.probe
    products = _products(matrices)

    def of(features: Array, codes: Codes) -> Array:
        residuals = probe.residuals(features, codes)
        found = products(features, residuals)
        if cosine:
            squared = np.square(features).sum(axis=1) * np.square(residuals).sum(axis=1)
            found *= inverse(np.sqrt(squared))[:, None]
        return found

    return ProbeInfluence(factors, of, len(matrices))


def _products(matrices: Array) -> Callable[[Array, Array], Array]:
    """(p - y) . W x of rows for each W, shape (m, targets), by their x and p - y."""
    count, classes, width = matrices.shape
    flat = np.ascontiguousarray(matrices).reshape(-1, width)

    def of(features: Array, residuals: Array) -> Array:
        found = np.empty((len(features), count))
        for start in range(0, len(features), TILE):
            some = slice(start, start + TILE)
            scores = in_tiles(features[some], flat).reshape(-1, count, classes)
            found[some] = (scores * residuals[some, None, :]).sum(axis=2)
        return found

    return of


def on_others(factors: Factors, found: ProbeCurvature) -> ProbeInfluence:
    """Influence on all other rows: minus the self-influence g . H^-1 g.

    At the optimum the gradient of the whole objective is 0, so that of what the other rows alone
    would minimise, their losses and the penalty, is -g: what training on a row does to it is the
    opposite of what it does to the row's own loss. A large self-influence marks rows that are
    fitted against the others, such as mislabelled ones (Koh and Liang, ICML 2017, section 5.4;
    Pruthi et al., NeurIPS 2020, section 4.1).

    Raises
    ------
    ParameterError
        When each row would need a system solved.
    """
    alone = _alone(factors, found)
    return ProbeInfluence(factors, lambda features, codes: -alone(features, codes), 1)


def own_loss(
    factors: Factors,
    found: ProbeCurvature | None,
    trained: int,
    seen: Sequence[tuple[Array, Array]] = (),
    *,
    without: bool = False,
) -> ProbeInfluence:
    """Minus the loss that a row has, or would have, had the probe been trained on other rows.

    To first order, of n rows trained on, the loss is more by g . H^-1 g over n without the row
    itself, and less by g . H^-1 g_t over n with each other row seen (Koh and Liang, section 2.1,
    with the row itself as the test point). Where the probe has learned a wrong label by heart, its
    loss is low, and without the row it is not.

    Parameters
    ----------
    factors : Factors
        The rows.
    found : ProbeCurvature or None
        The Hessian; None for the loss that the row has.
    trained : int
        n.
    seen : sequence of (ndarray, ndarray)
        x and p - y of other rows that the probe would have been trained on too, shape (m, width)
        and (m, classes) each.
    without : bool
        Whether the probe would not have been trained on the row.

    Raises
    ------
    ParameterError
        When each row would need a system solved.
    """
    alone = _alone(factors, found) if found is not None and without else None
    probe = factors.probe
    helped = None
    if found is not None and seen:
        total = np.sum([residuals.T @ features for features, residuals in seen], axis=0)
        helped = _products(found.solve(total[None]))

    def of(features: Array, codes: Codes) -> Array:
        losses = probe.losses(features, codes)[:, None]
        if alone is not None:
            losses += alone(features, codes) / trained
        if helped is not None:
            losses -= helped(features, probe.residuals(features, codes)) / trained
        return -losses

    return ProbeInfluence(factors, of, 1)


def _alone(factors: Factors, found: ProbeCurvature) -> Callable[[Array, Codes], Array]:
    """Self-influence of rows, shape (m, 1), by their x and classes."""
    quadratic, probe = found.quadratic, factors.probe
    if quadratic is None:
        raise ParameterError(
            f"the influence of rows on themselves, by a Hessian of more than {DENSE_DIM:,} "
            "parameters that is not kfac, diagonal or identity, would solve a system for each row",
            hint="use --hessian kfac",
        )

    def of(features: Array, codes: Codes) -> Array:
        residuals = probe.residuals(features, codes)
        parts = [np.empty((0, 1))]
        for start in range(0, len(features), TILE):
            some = slice(start, start + TILE)
            # always as many rows, so that what is beside a row does not show in it
            tiles = [_padded(values[some]) for values in (features, residuals)]
            parts.append(quadratic(tiles[0], tiles[1])[: len(features[some]), None])
        return np.concatenate(parts)

    return of


def _padded(values: Array) -> Array:
    if len(values) == TILE:
        return values
    return np.concatenate([values, np.zeros((TILE - len(values), values.shape[1]))])


def solved(
    tasks: Sequence[tuple[Array, Array]],
    found: ProbeCurvature,
    resources: Resources,
    *,
    each: bool = False,
    cosine: bool = False,
) -> Array:
    """H^-1 G of targets.

    Parameters
    ----------
    tasks : sequence of (ndarray, ndarray)
        x, shape (m, width), and p - y, shape (m, classes), of the rows of each.
    found : ProbeCurvature
        The Hessian.
    resources : Resources
        What the run lends.
    each : bool
        Whether each row is a target, not the mean of each task.
    cosine : bool
        Whether H^-1 g of a row is scaled to norm 1.

    Returns
    -------
    ndarray of float64, shape (targets, classes, width)
    """
    if not each and not cosine:
        means = [residuals.T @ features / len(features) for features, residuals in tasks]
        return found.solve(np.stack(means))
    parts = []
    for features, residuals in tasks:
        require(resources, len(features) * features.shape[1] * residuals.shape[1])
        matrices = found.solve(residuals[:, :, None] * features[:, None, :])
        if cosine:
            lengths = np.sqrt(np.square(matrices).sum(axis=(1, 2)))
            matrices = matrices * inverse(lengths)[:, None, None]
        parts.append(matrices if each else matrices.mean(axis=0, keepdims=True))
    return np.concatenate(parts)

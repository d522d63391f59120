"""Kernels as they are written down, and the distance of two measures by them."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from tests.data import digits

Values = NDArray[np.float64]


def matrix(
    name: str, left: NDArray[np.floating], right: NDArray[np.floating], scale: float
) -> Values:
    """All kernel values, pair by pair."""
    from scipy.spatial.distance import cdist

    if name == "sinc":
        difference = left.astype(np.float64)[:, None] - right.astype(np.float64)[None]
        return np.asarray(np.sinc(difference / scale).prod(axis=2), np.float64)
    r = cdist(left.astype(np.float64), right.astype(np.float64)) / scale
    if name == "gaussian":
        return np.asarray(np.exp(-(r**2) / 2), np.float64)
    if name == "laplace":
        return np.asarray(np.exp(-r), np.float64)
    if name == "matern-1.5":
        return np.asarray((1 + 3**0.5 * r) * np.exp(-(3**0.5) * r), np.float64)
    if name == "matern-2.5":
        return np.asarray((1 + 5**0.5 * r + 5 * r**2 / 3) * np.exp(-(5**0.5) * r), np.float64)
    assert name == "inverse-multiquadric"
    return np.asarray((1 + r**2) ** -0.5, np.float64)


@cache
def digits_kernel() -> Values:
    """The Gaussian kernel of bandwidth 2 of all digits."""
    return matrix("gaussian", digits()[0], digits()[0], 2.0)


@cache
def digits_uniform(size: int) -> float:
    """Mean distance of uniform subsets of the digits from all by this kernel."""
    random = np.random.default_rng(0)
    drawn = [random.choice(len(digits_kernel()), size, replace=False) for _ in range(10)]
    return float(np.mean([discrepancy(digits_kernel(), some) for some in drawn]))


def discrepancy(kernel: Values, chosen: NDArray[np.int64], share: Values | None = None) -> float:
    """Distance of some rows, equal in weight, from all rows with their shares."""
    measure = np.full(len(kernel), 1.0 / len(kernel)) if share is None else share / share.sum()
    measure = measure - np.bincount(chosen, minlength=len(kernel)) / len(chosen)
    return float(np.sqrt(max(0.0, measure @ kernel @ measure)))

"""Kernels as they are written down, and the distance of two measures by them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def matrix(
    name: str, left: NDArray[np.floating], right: NDArray[np.floating], scale: float
) -> Values:
    """All kernel values, pair by pair."""
    difference = left.astype(np.float64)[:, None] - right.astype(np.float64)[None]
    r = np.sqrt(np.square(difference).sum(axis=2)) / scale
    return np.asarray(
        {
            "gaussian": lambda: np.exp(-(r**2) / 2),
            "laplace": lambda: np.exp(-r),
            "matern-1.5": lambda: (1 + 3**0.5 * r) * np.exp(-(3**0.5) * r),
            "matern-2.5": lambda: (1 + 5**0.5 * r + 5 * r**2 / 3) * np.exp(-(5**0.5) * r),
            "inverse-multiquadric": lambda: (1 + r**2) ** -0.5,
            "sinc": lambda: np.sinc(difference / scale).prod(axis=2),
        }[name](),
        np.float64,
    )


def discrepancy(kernel: Values, chosen: NDArray[np.int64], share: Values | None = None) -> float:
    """Distance of some rows, equal in weight, from all rows with their shares."""
    measure = np.full(len(kernel), 1.0 / len(kernel)) if share is None else share / share.sum()
    measure = measure - np.bincount(chosen, minlength=len(kernel)) / len(chosen)
    return float(np.sqrt(max(0.0, measure @ kernel @ measure)))

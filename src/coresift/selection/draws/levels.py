"""Steps of a geometric scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MARKS = 2.0 ** (np.arange(4) / 4.0 - 1.0)
_NONE = -4096


def halves(ratio: NDArray[np.float64]) -> NDArray[np.int64]:
    """The largest j with 2^j <= ratio, exactly; 0 has a very low one."""
    _, exponent = np.frexp(ratio)
    return np.where(ratio > 0.0, exponent - 1, _NONE).astype(np.int64)


def quarters(ratio: NDArray[np.float64]) -> NDArray[np.int64]:
    """The largest j with 2^(j / 4) <= ratio, up to the rounding of the roots of 2."""
    mantissa, exponent = np.frexp(ratio)
    between = np.searchsorted(_MARKS, mantissa, side="right") - 1
    return np.where(ratio > 0.0, 4 * (exponent - 1) + between, _NONE).astype(np.int64)

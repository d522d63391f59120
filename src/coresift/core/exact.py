"""Sums whose value cannot depend on the order of the terms.

Each term is rounded to a multiple of a power-of-two unit, chosen from a bound on the terms
and on how many there are so that every partial sum is an integer below 2^53 units. Float64
addition of such numbers is exact, hence associative: no split into shards, files, threads
or workers can change a bit of the result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Quantum:
    """The unit that terms are rounded to.

    Attributes
    ----------
    unit : float
        A power of two.
    """

    unit: float

    @classmethod
    def covering(cls, bound: float, terms: int) -> Quantum:
        """Return the finest unit for ``terms`` terms of absolute value up to ``bound``."""
        if bound <= 0.0:
            return cls(1.0)
        exponent = math.frexp(bound)[1] + max(1, int(terms)).bit_length() - 52
        return cls(math.ldexp(1.0, max(exponent, -1000)))

    def round(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Terms in units: integers held as float64, which may be added in any order."""
        scaled: NDArray[np.float64] = np.multiply(values, 1.0 / self.unit, dtype=np.float64)
        np.rint(scaled, out=scaled)
        return scaled

    def sum(self, values: NDArray[np.floating]) -> float:
        """Sum of the terms, in units; add such sums freely, then call :meth:`value`."""
        return float(self.round(values).sum())

    def value(self, units: float) -> float:
        """Turn a sum in units into its value."""
        return units * self.unit

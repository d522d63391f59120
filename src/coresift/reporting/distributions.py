"""How a number is spread over all rows, over the selected ones, and over these by weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEAST_BINS, _MOST_BINS = 12, 60
# of the rows, at either end: farther ones are counted in the outermost bins
_TAIL = 0.001
_MARKS = (0.05, 0.5, 0.95)

Numbers = NDArray[np.floating]


@dataclass(frozen=True)
class Spread:
    """The distribution of some rows' numbers.

    Attributes
    ----------
    name : str
        Of which rows, for people.
    role : str
        ``all``, ``chosen`` or ``weighted``.
    shares : ndarray of float64, shape (bins,)
        Share of the rows in each bin.
    mean : float
        Their mean.
    marks : tuple of float
        The numbers below which 5%, 50% and 95% of the rows lie.
    """

    name: str
    role: str
    shares: NDArray[np.float64]
    mean: float
    marks: tuple[float, ...]


@dataclass(frozen=True)
class Distribution:
    """Distributions over the same bins.

    Attributes
    ----------
    title : str
        What the numbers are.
    edges : ndarray of float64, shape (bins + 1,)
        Bounds of the bins; the outermost ones take what lies beyond.
    spreads : tuple of Spread
        To be compared.
    """

    title: str
    edges: NDArray[np.float64]
    spreads: tuple[Spread, ...]

    @classmethod
    def of(
        cls,
        title: str,
        whole: Numbers | None,
        chosen: Numbers | None,
        weight: NDArray[np.float64] | None,
    ) -> Distribution | None:
        """Compare numbers; NaN is left out.

        Parameters
        ----------
        title : str
            What the numbers are.
        whole : ndarray, shape (rows,), or None
            Of all rows.
        chosen : ndarray, shape (n,), or None
            Of the selected rows.
        weight : ndarray of float64, shape (n,), or None
            Their weights; shown where they differ.
        """
        parts: list[tuple[str, str, Numbers, NDArray[np.float64] | None]] = []
        if whole is not None:
            parts.append(("all rows", "all", whole, None))
        if chosen is not None:
            parts.append(("selected rows", "chosen", chosen, None))
            if weight is not None and len(weight) and float(np.ptp(weight)) > 0.0:
                parts.append(("selected, by weight", "weighted", chosen, weight))
        known = [(name, role, *_finite(values, mass)) for name, role, values, mass in parts]
        known = [part for part in known if len(part[2]) and part[3].sum() > 0.0]
        if not known:
            return None
        edges = _edges(known[0][2], min(len(part[2]) for part in known))
        spreads = tuple(_spread(name, role, x, mass, edges) for name, role, x, mass in known)
        return cls(title, edges, spreads)


def _finite(
    values: Numbers, mass: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    good = np.isfinite(values)
    numbers = values[good].astype(np.float64)
    return numbers, np.ones(len(numbers)) if mass is None else mass[good]


def _edges(values: NDArray[np.float64], fewest: int) -> NDArray[np.float64]:
    """Bounds of bins, twice the cube root of the smallest group: more would show noise."""
    low, high = np.quantile(values, [_TAIL, 1.0 - _TAIL])
    if high <= low:
        low, high = float(values.min()), float(values.max())
    if high <= low:
        low, high = low - 0.5, low + 0.5
    bins = round(2.0 * fewest ** (1.0 / 3.0))
    return np.linspace(low, high, max(_LEAST_BINS, min(_MOST_BINS, bins)) + 1)


def _spread(
    name: str,
    role: str,
    values: NDArray[np.float64],
    mass: NDArray[np.float64],
    edges: NDArray[np.float64],
) -> Spread:
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    total = float(mass.sum())
    shares = np.bincount(place, mass, minlength=len(edges) - 1) / total
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(mass[order]) / total
    last = len(values) - 1
    places = np.minimum(np.searchsorted(reached, np.array(_MARKS) - 1e-12), last)
    marks = tuple(float(values[order[place]]) for place in places)
    return Spread(name, role, shares, float((values * mass).sum()) / total, marks)

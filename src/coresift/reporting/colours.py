"""What points may be coloured by: each as a few codes, so that a map is a few layers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HUES = 12
_STEPS = 6
GREY = 255

Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class Colouring:
    """Codes of the points, and what they mean.

    Attributes
    ----------
    key : str
        ``selection``, ``cluster``, ``weight``, ``score`` or ``label``.
    title : str
        For people.
    scale : str
        ``selection`` (one colour), ``hues`` (unordered) or ``steps`` (from low to high).
    codes : ndarray of uint8, shape (m,)
        255 for a point that has none.
    names : tuple of str
        What each code means.
    about : str
        What is to be known of it; may be empty.
    """

    key: str
    title: str
    scale: str
    codes: Codes
    names: tuple[str, ...]
    about: str = ""


def by_selection(chosen: NDArray[np.bool_]) -> Colouring:
    """Selected points against the others."""
    codes = np.where(chosen, 0, GREY).astype(np.uint8)
    return Colouring("selection", "selection", "selection", codes, ("selected",))


def by_cluster(label: NDArray[np.int32], k: int) -> Colouring:
    """The points' clusters; colours are used again where there are many."""
    codes = (label % HUES).astype(np.uint8)
    if k <= HUES:
        names = tuple(f"cluster {cluster}" for cluster in range(k))
        return Colouring("cluster", "cluster", "hues", codes, names)
    names = tuple(_sharing(code, k) for code in range(HUES))
    about = f"{k:,} clusters share {HUES} colours: neighbours of one colour may be two clusters."
    return Colouring("cluster", "cluster", "hues", codes, names, about)


def _sharing(code: int, k: int) -> str:
    """The clusters of one colour: two of them at most, and whether there are more."""
    clusters = range(code, k, HUES)
    return ", ".join([*map(str, clusters[:2]), *("\u2026" for _ in clusters[2:3])])


def by_label(codes: NDArray[np.int32], names: Sequence[str], title: str) -> Colouring:
    """Classes: those with most points have colours of their own, the others share grey.

    Parameters
    ----------
    codes : ndarray of int32, shape (m,)
        Class of each point; -1 for none.
    names : sequence of str
        Of the classes.
    title : str
        Name of the column.
    """
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    order = np.argsort(-counts, kind="stable")[:HUES]
    place = np.full(len(names) + 1, GREY, np.uint8)
    # those shown keep the order of their names, so that numbers stand in theirs
    best = sorted((int(code) for code in order if counts[code]), key=lambda i: _natural(names[i]))
    place[best] = np.arange(len(best))
    hidden = int(np.count_nonzero(counts)) - len(best)
    about = f"The {hidden:,} other classes are grey." if hidden else ""
    return Colouring("label", title, "hues", place[codes], tuple(names[i] for i in best), about)


def by_number(key: str, title: str, values: NDArray[np.floating]) -> Colouring | None:
    """Numbers in a few steps of about as many points each; None where there are none."""
    known = np.isfinite(values)
    if not known.any():
        return None
    codes = np.full(len(values), GREY, np.uint8)
    numbers = values[known].astype(np.float64)
    different = np.unique(numbers)
    if len(different) <= _STEPS:
        codes[known] = np.searchsorted(different, numbers)
        return Colouring(key, title, "steps", codes, tuple(f"{value:.4g}" for value in different))
    inner = np.unique(np.quantile(numbers, np.arange(1, _STEPS) / _STEPS))
    inner = inner[inner > different[0]]
    codes[known] = np.searchsorted(inner, numbers, side="right")
    bounds = [float(different[0]), *inner.tolist(), float(different[-1])]
    names = tuple(f"{a:.3g} to {b:.3g}" for a, b in itertools.pairwise(bounds))
    return Colouring(key, title, "steps", codes, names)


def _natural(name: str) -> tuple[float, str]:
    try:
        return float(name), name
    except ValueError:
        return float("inf"), name

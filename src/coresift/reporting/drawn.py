"""Which rows are drawn as points, and where: coordinates in two bytes each, and a background."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.core import randomness

# up to so many rows all are points; of more, some are, before a picture of the density of all
MOST_POINTS = 200_000
_SAMPLE_POINTS = 80_000
_SIDE = 560
_MARGIN = 0.03
_REACH = 32_767
ABSENT = -_REACH - 1

Coordinates = NDArray[np.float32]
# least and largest x, least and largest y
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Drawn:
    """The rows that are points of the map.

    Attributes
    ----------
    rows : ndarray of int64, shape (m,)
        Row ids, ascending.
    chosen : ndarray of bool, shape (m,)
        Those that the selection holds.
    all_rows, all_chosen : int
        How many rows and selected rows there are.
    """

    rows: NDArray[np.int64]
    chosen: NDArray[np.bool_]
    all_rows: int
    all_chosen: int

    @classmethod
    def of(cls, kept: NDArray[np.int64], chosen: NDArray[np.int64], seed: int) -> Drawn:
        """All rows if they are few; else a uniform sample of the selected and of the others.

        Parameters
        ----------
        kept, chosen : ndarray of int64
            Ids of all rows and of those selected, ascending.
        seed : int
            The seed.
        """
        rows = kept
        if len(kept) > MOST_POINTS:
            inside = _some(chosen, _SAMPLE_POINTS // 2, seed)
            others = np.setdiff1d(kept, chosen, assume_unique=True)
            rows = np.sort(np.r_[inside, _some(others, _SAMPLE_POINTS - len(inside), seed)])
        flags = np.isin(rows, chosen, assume_unique=True)
        return cls(rows, flags, len(kept), len(chosen))

    @property
    def sampled(self) -> bool:
        """Whether rows were left out."""
        return len(self.rows) < self.all_rows


def _some(rows: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Rows of the smallest keys; all of them if they are few."""
    if len(rows) <= count:
        return rows
    return rows[np.argsort(randomness.bits(seed, "report/drawn", rows), kind="stable")[:count]]


@dataclass(frozen=True)
class Layout:
    """Where the points lie.

    Attributes
    ----------
    name : str
        ``PCA`` or ``UMAP``.
    x, y : ndarray of int16, shape (m,)
        From -32,767 to 32,767 within the box; -32,768 for a point that is not in this layout.
    box : tuple of float
        Least and largest x, least and largest y.
    axes : tuple of str
        Titles of the axes.
    about : str
        What it shows, a sentence or two.
    points, chosen : int
        Points in it, and those among them that are selected.
    """

    name: str
    x: NDArray[np.int16]
    y: NDArray[np.int16]
    box: Box
    axes: tuple[str, str]
    about: str
    points: int
    chosen: int

    @classmethod
    def of(
        cls,
        name: str,
        some: Coordinates,
        box: Box,
        chosen: NDArray[np.bool_],
        *,
        axes: tuple[str, str],
        about: str,
    ) -> Layout:
        """Lay out points; those without coordinates are absent."""
        there = np.isfinite(some[:, 0])
        left, right, bottom, top = box
        x = _shrunk(some[:, 0], left, right)
        y = _shrunk(some[:, 1], bottom, top)
        count = int(np.count_nonzero(there))
        return cls(name, x, y, box, axes, about, count, int(np.count_nonzero(there & chosen)))


def _shrunk(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.int16]:
    found = np.full(len(values), ABSENT, np.int16)
    there = np.isfinite(values)
    steps = (values[there].astype(np.float64) - low) / (high - low) * (2 * _REACH) - _REACH
    found[there] = np.clip(np.rint(steps), -_REACH, _REACH).astype(np.int16)
    return found


def box_of(coordinates: Coordinates) -> Box:
    """Bounds of all points, with a margin; NaN is left out."""
    bounds: list[float] = []
    for axis in (0, 1):
        values = coordinates[:, axis]
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        margin = _MARGIN * (high - low) or 0.5
        bounds += [low - margin, high + margin]
    return bounds[0], bounds[1], bounds[2], bounds[3]


def counts_of(coordinates: Coordinates, box: Box, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Points in each cell of the box, (columns, rows), the first row at the bottom."""
    there = np.isfinite(coordinates[:, 0])
    x, y = coordinates[there].T
    counts: NDArray[np.float64] = np.histogram2d(x, y, bins=shape, range=[box[:2], box[2:]])[0]
    return counts


def density_png(coordinates: Coordinates, box: Box) -> bytes:
    """Picture of how many points lie where: grey, and clear where there are none."""
    from PIL import Image

    counts = counts_of(coordinates, box, (_SIDE, _SIDE))
    shade = np.log1p(counts) / np.log1p(max(1.0, counts.max()))
    alpha = np.where(counts > 0, 30.0 + 200.0 * shade, 0.0)
    pixels = np.full((_SIDE, _SIDE, 2), 128, np.uint8)
    pixels[..., 1] = np.rint(alpha.T[::-1])
    stream = io.BytesIO()
    Image.fromarray(pixels, "LA").save(stream, "PNG", optimize=True)
    return stream.getvalue()

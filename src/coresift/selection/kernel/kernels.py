"""Kernels: how similar rows are, from 1 for equal rows down to nothing for rows far apart.

All depend on the difference of two rows alone and are 1 at zero. Their power kernels, whose
Fourier transform is a power of theirs, follow Dwivedi and Mackey, "Generalized Kernel Thinning",
ICLR 2022, Section 2.3 and Table 1, up to a factor, which kernel thinning does not depend on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.bandwidth import median_distance
from coresift.clustering.points import Points
from coresift.selection.params.kernels import KernelParams

Values = NDArray[np.float64]

# vectors whose mean is the center of a pool
_CENTERED = 1024
# squared distances below this share of the squared norms are rounding: the rows are equal
_ROUNDING = 1e-13
# kernels of the distance itself, which see the root of what rounding leaves between equal rows
_ROUGH = ("laplace", "matern-1.5", "matern-2.5")


@dataclass(frozen=True)
class Rows:
    """Vectors as kernels take them.

    Attributes
    ----------
    values : ndarray of float64, shape (..., m, dim)
        The vectors, less a center, which loses fewer digits where they lie far from zero.
    squares : ndarray of float64, shape (..., m)
        Their squared norms.
    """

    values: Values
    squares: Values

    @classmethod
    def of(cls, vectors: NDArray[np.float32], center: Values) -> Rows:
        """Vectors of shape (..., m, dim), less the center."""
        values = vectors - center
        return cls(values, np.einsum("...ij,...ij->...i", values, values))

    def __len__(self) -> int:
        """Rows of the last but one axis."""
        return int(self.values.shape[-2])

    def take(self, places: NDArray[np.int64]) -> Rows:
        """Rows at some places; places of any shape."""
        return Rows(self.values[places], self.squares[places])

    def part(self, start: int, stop: int, step: int = 1) -> Rows:
        """Rows of a slice."""
        some = slice(start, stop, step)
        return Rows(self.values[..., some, :], self.squares[..., some])


@dataclass(frozen=True)
class Pooled:
    """Vectors of a pool, made ready when they are taken: in float64 all would take twice the room.

    Attributes
    ----------
    vectors : ndarray of float32, shape (m, dim)
        The vectors.
    center : ndarray of float64, shape (dim,)
        What is subtracted from them.
    """

    vectors: NDArray[np.float32]
    center: Values

    @classmethod
    def of(cls, vectors: NDArray[np.float32]) -> Pooled:
        """At least one vector; the center is the mean of about a thousand of them."""
        some = vectors[:: max(1, len(vectors) // _CENTERED)]
        return cls(vectors, some.mean(axis=0, dtype=np.float64))

    def __len__(self) -> int:
        """Rows."""
        return len(self.vectors)

    def __getitem__(self, some: slice) -> Pooled:
        """A run of them."""
        return Pooled(self.vectors[some], self.center)

    def take(self, places: NDArray[np.int64]) -> Rows:
        """Rows at some places; places of any shape."""
        return Rows.of(self.vectors[places], self.center)

    def part(self, start: int, stop: int) -> Rows:
        """Rows of a run."""
        return Rows.of(self.vectors[start:stop], self.center)


@dataclass(frozen=True)
class Kernel:
    """A kernel, or the mean of some.

    Attributes
    ----------
    parts : tuple of (str, float)
        Shapes and their bandwidths.
    """

    parts: tuple[tuple[str, float], ...]

    def __call__(self, left: Rows, right: Rows) -> Values:
        """Similarity of all pairs, shape (..., m, n); leading axes are those of both."""
        if self._radial:
            squared = np.matmul(left.values, np.swapaxes(right.values, -1, -2))
            squared *= -2.0
            squared += left.squares[..., :, None]
            squared += right.squares[..., None, :]
            if any(name in _ROUGH for name, _ in self.parts):
                largest = max(left.squares.max(initial=0.0), right.squares.max(initial=0.0))
                squared[squared < _ROUNDING * largest] = 0.0
            return self._of(squared)
        return self._mean(
            _sinc(left.values, right.values, scale, outer=True) for _, scale in self.parts
        )

    def paired(self, left: Rows, right: Rows) -> Values:
        """Similarity of rows at the same places, shape (..., m)."""
        if self._radial:
            difference = left.values - right.values
            return self._of(np.einsum("...ij,...ij->...i", difference, difference))
        return self._mean(
            _sinc(left.values, right.values, scale, outer=False) for _, scale in self.parts
        )

    @property
    def _radial(self) -> bool:
        return self.parts[0][0] != "sinc"

    def _of(self, squared: Values) -> Values:
        last = len(self.parts) - 1
        return self._mean(
            _SHAPES[name](squared if index == last else squared.copy(), scale)
            for index, (name, scale) in enumerate(self.parts)
        )

    def _mean(self, values: object) -> Values:
        parts = iter(values)  # type: ignore[call-overload]
        total: Values = next(parts)
        for part in parts:
            total += part
        if len(self.parts) > 1:
            total /= len(self.parts)
        return total

    def power(self, dim: int) -> Kernel:
        """The kernel that KT-SPLIT takes for this one in power kernel thinning.

        The exponent is the least in [1/2, 1] with a simple form: of a Gaussian 1/2, a Gaussian
        narrower by the root of 2. A Matérn kernel of order nu is, in the frequency domain, a
        power -(nu + dim/2) of (rate^2 + |w|^2), its power kernel another Matérn kernel of the
        same rate: Laplace (order 1/2), or order 3/2 where the exponent of that is below 1/2. A
        product of sincs is a box in the frequency domain, and so are all its powers. Laplace would
        need a Bessel function of a fractional order, and the inverse multiquadric has none.
        """
        ((name, scale),) = self.parts
        if name == "gaussian":
            return Kernel(((name, scale / math.sqrt(2.0)),))
        if name == "sinc":
            return self
        if name == "matern-1.5":
            return Kernel((("laplace", scale / math.sqrt(3.0)),))
        assert name == "matern-2.5"
        rate = math.sqrt(5.0) / scale
        if (dim + 1) / (dim + 5) >= 0.5:
            return Kernel((("laplace", 1.0 / rate),))
        return Kernel((("matern-1.5", math.sqrt(3.0) / rate),))

    def plus(self, dim: int) -> Kernel:
        """The kernel of KT+: this one and its power kernel, each divided by its largest value."""
        return Kernel(self.parts + self.power(dim).parts)


def find_kernel(params: KernelParams, points: Points, seed: int) -> Kernel:
    """The kernel that was asked for; ``--bandwidth median`` is that of a sample of the points."""
    width = params.bandwidth
    scale = median_distance(points, seed) if isinstance(width, str) else float(width)
    return Kernel(((params.kernel, scale),))


def _gaussian(squared: Values, scale: float) -> Values:
    squared *= -0.5 / scale**2
    return np.exp(squared, out=squared)


def _laplace(squared: Values, scale: float) -> Values:
    distance = np.sqrt(squared, out=squared)
    distance *= -1.0 / scale
    return np.exp(distance, out=distance)


def _matern_three(squared: Values, scale: float) -> Values:
    distance = np.sqrt(squared, out=squared)
    distance *= math.sqrt(3.0) / scale
    decay = np.exp(-distance)
    distance += 1.0
    distance *= decay
    return distance


def _matern_five(squared: Values, scale: float) -> Values:
    distance = np.sqrt(squared)
    distance *= math.sqrt(5.0) / scale
    decay = np.exp(-distance)
    squared *= 5.0 / (3.0 * scale**2)
    squared += distance
    squared += 1.0
    squared *= decay
    return squared


def _inverse_multiquadric(squared: Values, scale: float) -> Values:
    squared *= 1.0 / scale**2
    squared += 1.0
    np.sqrt(squared, out=squared)
    return np.divide(1.0, squared, out=squared)


def _sinc(left: Values, right: Values, scale: float, *, outer: bool) -> Values:
    """Product over the dimensions of sin(pi t) / (pi t), t the difference over the scale."""
    product = None
    for axis in range(left.shape[-1]):
        mine, theirs = left[..., axis], right[..., axis]
        difference = mine[..., :, None] - theirs[..., None, :] if outer else mine - theirs
        factor = np.sinc(difference / scale)
        product = factor if product is None else np.multiply(product, factor, out=product)
    assert product is not None
    return np.asarray(product, np.float64)


_SHAPES: dict[str, Callable[[Values, float], Values]] = {
    "gaussian": _gaussian,
    "laplace": _laplace,
    "matern-1.5": _matern_three,
    "matern-2.5": _matern_five,
    "inverse-multiquadric": _inverse_multiquadric,
}

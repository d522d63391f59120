"""Random projections that keep inner products: Johnson and Lindenstrauss, with random signs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coresift.core import randomness

# rows of the matrix that are made, multiplied and forgotten together
_BLOCK = 1024
# apart from one another as far as no model has parameters
_WORD = 1 << 44
# the eight signs that the bits of a byte stand for
_SIGNS = 2.0 * np.unpackbits(
    np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little"
).astype(np.float32) - np.float32(1.0)


class Projection:
    """Multiplies by a matrix of independent random signs over the root of ``dim``.

    Inner products are kept in expectation, with a standard deviation of at most
    sqrt(2 / dim) |x| |y| (Achlioptas, 2003; TRAK, Park et al., 2023, section 3.3). An element is a
    function of (seed, parameter, column), so the matrix is never there as a whole: a block of it
    is made when it is needed, which costs a tenth of the product with 256 rows.

    Parameters
    ----------
    dim : int
        Elements of its projection.
    seed : int
        The run's seed.
    """

    def __init__(self, dim: int, seed: int) -> None:
        self.dim = dim
        self._seed = seed

    def signs(self, start: int, stop: int) -> NDArray[np.float32]:
        """Rows of the matrix of signs, float32 of shape (stop - start, dim)."""
        words = np.arange(-(-self.dim // 64), dtype=np.int64)
        index = np.arange(start, stop, dtype=np.int64)[:, None] + words * _WORD
        found = randomness.bits(self._seed, "projection", index.reshape(-1))
        # a look-up of eight signs for each byte
        octets = found.astype("<u8", copy=False).view(np.uint8)
        signs = np.take(_SIGNS, octets, axis=0).reshape(len(index), -1)
        return signs[:, : self.dim]

    def apply(self, parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Project gradients.

        Parameters
        ----------
        parts : sequence of ndarray of float32, each of shape (rows, elements)
            The gradients, in parts that follow one another.

        Returns
        -------
        ndarray of float32, shape (rows, dim)
        """
        result = np.zeros((len(parts[0]), self.dim), np.float32)
        first = 0
        for part in parts:
            for start in range(0, part.shape[1], _BLOCK):
                stop = min(start + _BLOCK, part.shape[1])
                result += part[:, start:stop] @ self.signs(first + start, first + stop)
            first += part.shape[1]
        result *= np.float32(self.dim**-0.5)
        return result

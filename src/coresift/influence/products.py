"""Influence as products of gradients with preconditioned gradients of the target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from coresift.influence.base import Gradients

Array = NDArray[np.float64]

# so many targets, or fewer, cost less than reading the gradients: float64 is then for nothing
_FEW = 4
# rows of an exact product; its shape is always the same, so that what a row is given does not
# depend on which others it is taken with
TILE = 192
# of gradients that a task holds at a time
_READ_BYTES = 32 << 20
_HALF = 2.0**-24


class Term(Protocol):
    """What one checkpoint contributes to the influence of rows on targets."""

    rows: int
    targets: int

    def rough(self, start: int, stop: int) -> tuple[Array, Array]:
        """Of consecutive rows, shape (m, targets), and how far off each row may be, shape (m,)."""

    def read(self, start: int, stop: int) -> Array:
        """The same in float64, shape (m, targets)."""

    def take(self, rows: NDArray[np.int64]) -> Array:
        """Of some rows, ascending, in float64, shape (len(rows), targets)."""


class Products:
    """The sum over checkpoints (TracIn: Pruthi et al., NeurIPS 2020, section 3.2).

    Parameters
    ----------
    terms : sequence of Term
        One for each checkpoint, of the same rows and targets.
    """

    def __init__(self, terms: Sequence[Term]) -> None:
        self._terms = tuple(terms)
        self.rows = terms[0].rows

    @property
    def targets(self) -> int:
        """Targets; 1 where their mean is meant."""
        return self._terms[0].targets

    def rough(self, start: int, stop: int) -> tuple[Array, Array]:
        """Of consecutive rows, quickly: what :meth:`read` gives, and how far off it may be.

        Returns
        -------
        values : ndarray of float64, shape (m, targets)
            The influence, up to the rounding of float32 products.
        off : ndarray of float64, shape (m,)
            No value of the row is farther off.
        """
        values, off = self._terms[0].rough(start, stop)
        for term in self._terms[1:]:
            more, farther = term.rough(start, stop)
            values, off = values + more, off + farther
        return values, off

    def read(self, start: int, stop: int) -> Array:
        """Of consecutive rows, shape (stop - start, targets)."""
        return _total([term.read(start, stop) for term in self._terms])

    def take(self, rows: NDArray[np.int64]) -> Array:
        """Of some rows, ascending, shape (len(rows), targets)."""
        return _total([term.take(rows) for term in self._terms])


def _total(parts: Sequence[Array]) -> Array:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


class Dense:
    """Gradients as they are, times preconditioned ones.

    Parameters
    ----------
    gradients : Gradients
        Of the rows.
    targets : ndarray of float64, shape (targets, dim)
        Preconditioned, and scaled by the learning rate.
    cosine : bool
        Scale each row's gradient to norm 1.
    """

    def __init__(self, gradients: Gradients, targets: Array, *, cosine: bool) -> None:
        self.rows = gradients.rows
        self.targets = len(targets)
        self._gradients = gradients
        self._cosine = cosine
        self._wide = np.ascontiguousarray(targets)
        self._narrow = self._wide.astype(np.float32)
        self._longest = float(np.sqrt(np.square(targets).sum(axis=1).max()))

    def rough(self, start: int, stop: int) -> tuple[Array, Array]:
        """See :class:`Term`."""
        if self.targets <= _FEW:
            found = self.read(start, stop)
            return found, np.zeros(len(found))
        values, off = np.empty((stop - start, self.targets)), np.empty(stop - start)
        for some in self._parts(stop - start):
            block = self._gradients.read(start + some.start, start + some.stop)
            values[some] = block @ self._narrow.T
            # of a sum of products in float32, for any order (Higham, section 3.1), and of a target
            # that is rounded to it
            length = norms(block)
            if self._cosine:
                scale = inverse(length)
                values[some] *= scale[:, None]
                length = length * scale
            off[some] = _HALF * (block.shape[1] + 4) * self._longest * length
        return values, off

    def read(self, start: int, stop: int) -> Array:
        """See :class:`Term`."""
        found = np.empty((stop - start, self.targets))
        for some in self._parts(stop - start):
            found[some] = self._exact(self._gradients.read(start + some.start, start + some.stop))
        return found

    def take(self, rows: NDArray[np.int64]) -> Array:
        """See :class:`Term`."""
        found = np.empty((len(rows), self.targets))
        for some in self._parts(len(rows)):
            found[some] = self._exact(self._gradients.take(rows[some]))
        return found

    def _parts(self, rows: int) -> Iterator[slice]:
        """Rows that are read together, in tiles: fewer of wide gradients."""
        step = max(1, _READ_BYTES // (4 * TILE * self._gradients.dim)) * TILE
        for start in range(0, rows, step):
            yield slice(start, min(start + step, rows))

    def _exact(self, block: NDArray[np.float32]) -> Array:
        values = in_tiles(block, self._wide)
        return values * inverse(norms(block))[:, None] if self._cosine else values


def in_tiles(block: NDArray[np.float32], targets: Array) -> Array:
    """Products of rows with targets in float64, each the same whatever rows are beside it."""
    if len(targets) <= _FEW:
        found = np.empty((len(block), len(targets)))
        for start in range(0, len(block), TILE):
            wide = block[start : start + TILE].astype(np.float64)
            for place, target in enumerate(targets):
                found[start : start + TILE, place] = (wide * target).sum(axis=1)
        return found
    return product(block, targets, TILE)


def product(block: NDArray[np.floating[Any]], targets: Array, rows: int) -> Array:
    """``block @ targets.T`` in float64, by products of always so many rows."""
    found = np.empty((len(block), len(targets)))
    tile = np.empty((rows, block.shape[1]))
    for start in range(0, len(block), rows):
        some = block[start : start + rows]
        tile[: len(some)] = some
        tile[len(some) :] = 0.0
        found[start : start + rows] = (tile @ targets.T)[: len(some)]
    return found


def norms(block: NDArray[np.float32]) -> Array:
    """Norms of rows, in float64, each by itself."""
    found = np.empty(len(block))
    for start in range(0, len(block), TILE):
        wide = block[start : start + TILE].astype(np.float64)
        found[start : start + TILE] = np.sqrt(np.square(wide, out=wide).sum(axis=1))
    return found


def inverse(length: Array) -> Array:
    """1 / norm; a gradient of zero points nowhere, and has no influence."""
    return np.divide(1.0, length, out=np.zeros_like(length), where=length != 0.0)

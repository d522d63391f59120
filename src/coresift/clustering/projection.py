"""Rows in a few directions and a remainder: what a lower bound on distances needs.

For an orthonormal basis Q of h directions and x' = x - origin, write x' = Q a + e with
a = Q^T x' and e orthogonal to Q. By Cauchy-Schwarz x'.c' <= a_x . a_c + |e_x| |e_c|, so

    |x - c|^2  >=  |x'|^2 + |c'|^2 - 2 (a_x . a_c + |e_x| |e_c|),

one matrix product of h + 3 columns instead of dim. In the principal directions of the data,
where |e| is small, few centroids pass the bound. Those that do are looked at again with more
directions, the tail: its product replaces |e_x| |e_c|, pair by pair. A basis changes speed,
never a result.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.distances import workspace
from coresift.core import randomness
from coresift.engine.base import Engine

_GRID = (16, 32, 64, 96, 128, 192, 256)
_LARGEST = _GRID[-1]
# Shares of the variance, measured on images and on mixtures of 384 dimensions.
_HEAD, _SOME, _ALL = 0.90, 0.85, 0.95
_LEAST_DIM = 256
_STEP = 256
UNIT = 2.0**-24


@dataclass(frozen=True)
class Projection:
    """Directions to project on.

    Attributes
    ----------
    origin : ndarray of float32, shape (dim,)
        Subtracted first: small numbers have small errors.
    basis : ndarray of float32, shape (dim, h), or None
        Orthonormal columns, by falling variance; None stands for all directions.
    skew : float
        Bound on how far the basis, rounded to float32, is from orthonormal.
    shares : tuple of float
        Share of the sample's variance in the first 1, 2, ... directions.
    head : int
        Directions of the matrix product; the others are the tail. 0 stands for all of them.
    """

    origin: NDArray[np.float32]
    basis: NDArray[np.float32] | None = None
    skew: float = 0.0
    shares: tuple[float, ...] = ()
    head: int = 0

    @classmethod
    def fit(cls, sample: NDArray[np.float32]) -> Projection:
        """Find the principal directions of a sample, shape (m, dim), by subspace iteration."""
        origin = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
        cloud = sample - origin
        width = min(_LARGEST, 2 * sample.shape[1] // 3, len(sample) // 2)
        if width < 1:
            return cls(origin)
        generator = randomness.generator(0, "projection")
        basis = generator.standard_normal((sample.shape[1], width)).astype(np.float32)
        for _ in range(2):
            basis = np.linalg.qr(cloud.T @ (cloud @ basis))[0]
        spread = cloud @ basis
        _, turn = np.linalg.eigh(spread.T @ spread)
        wide = basis.astype(np.float64) @ turn[:, ::-1]
        # one step of Newton and Schulz: orthonormal to float32's rounding
        wide -= 0.5 * (wide @ (wide.T @ wide - np.eye(width)))
        exact = np.ascontiguousarray(wide, np.float32)
        gram = exact.T.astype(np.float64) @ exact
        skew = float(np.linalg.norm(gram - np.eye(width)))
        total = float(np.square(cloud).sum()) or 1.0
        shares = np.square(cloud @ exact).sum(axis=0).cumsum() / total
        return cls(origin, exact, skew, tuple(shares.tolist()))

    @classmethod
    def suited_to(cls, sample: NDArray[np.float32], k: int) -> Projection:
        """Directions of a sample, shape (m, dim), that make a search among ``k`` rows fast."""
        if k < 2 * _GRID[0] or sample.shape[1] < _LEAST_DIM:
            return cls(sample.mean(axis=0, dtype=np.float64).astype(np.float32))
        return cls.fit(sample).suited(k)

    def suited(self, k: int) -> Projection:
        """Choose how many directions make a search among ``k`` centroids fast.

        A head that rules out nearly all centroids, and a tail that rules out most others; all
        of space where the data has no such directions, or ``k`` is too small for it to pay.
        """
        most = min(2 * self.dim // 3, k // 2) if self.dim >= _LEAST_DIM else 0
        grid = [h for h in _GRID if h <= min(most, len(self.shares))]
        head = next((h for h in grid if self.shares[h - 1] >= _HEAD), None)
        if head is not None:
            wide = next((h for h in grid if self.shares[h - 1] >= _ALL), grid[-1])
            return self.narrowed(wide, head if 2 * head <= wide else wide)
        if grid and self.shares[grid[-1] - 1] >= _SOME:
            return self.narrowed(grid[-1])
        return Projection(self.origin)

    def narrowed(self, width: int, head: int = 0) -> Projection:
        """Return the first directions alone; all of space where that is hardly less.

        Parameters
        ----------
        width : int
            Directions to keep.
        head : int
            How many of them are the head; 0 for all.
        """
        if self.basis is None or 3 * width > 2 * self.dim:
            return Projection(self.origin)
        basis = np.ascontiguousarray(self.basis[:, :width])
        return Projection(self.origin, basis, self.skew, head=head if head < basis.shape[1] else 0)

    @property
    def dim(self) -> int:
        """Dimensions of the rows."""
        return len(self.origin)

    @property
    def width(self) -> int:
        """Columns of a projected row: tail, head, remainder of the head, 1 and squared norm."""
        directions = self.dim if self.basis is None else self.basis.shape[1]
        return directions + 3 + (2 if self.head else 0)

    @property
    def tail(self) -> int:
        """Columns of the tail: its directions, its remainder and minus that of the head."""
        return self.basis.shape[1] - self.head + 2 if self.basis is not None and self.head else 0

    @property
    def rest(self) -> int:
        """Column of the remainder of all directions."""
        return self.tail - 2 if self.tail else self.width - 3

    @property
    def relative_error(self) -> float:
        """Bound on the relative error of a float32 dot product over the dimensions."""
        return 1.01 * (self.dim + 8) * UNIT

    @property
    def turn_error(self) -> float:
        """Bound on |a - Q^T x'| / |x'| and on what the skew adds, for rows in float32."""
        if self.basis is None:
            return 0.0
        return float(np.sqrt(self.basis.shape[1])) * self.relative_error + 2.0 * self.skew

    def rows(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Project rows.

        Parameters
        ----------
        block : ndarray of float32, shape (m, dim)
            Rows.

        Returns
        -------
        ndarray of float32, shape (m, width)
            The tail; then a and |e| (not rounded down) of the head, 1 and |x'|^2.
        """
        result = np.empty((len(block), self.width), np.float32)
        for start in range(0, len(block), _STEP):
            part = result[start : start + _STEP]
            shifted = workspace.take("shifted", (len(part), self.dim))
            np.subtract(block[start : start + _STEP], self.origin, out=shifted)
            squares = np.einsum("ij,ij->i", shifted, shifted)
            if self.basis is None:
                part[:, :-3] = shifted
                part[:, -3] = 0.0
            else:
                turned = workspace.take("turned", (len(part), self.basis.shape[1]))
                np.matmul(shifted, self.basis, out=turned)
                self._fill(part, turned, squares * (1.0 + 4.0 * self.turn_error))
            part[:, -2] = 1.0
            part[:, -1] = squares
        return result

    def _fill(
        self, part: NDArray[np.float32], turned: NDArray[np.float32], squares: NDArray[np.float32]
    ) -> None:
        """Put directions and remainders in their columns."""
        tail, head = self.tail, self.head or turned.shape[1]
        part[:, tail:-3] = turned[:, :head]
        rest = squares - np.einsum("ij,ij->i", turned[:, :head], turned[:, :head])
        part[:, -3] = np.sqrt(np.maximum(rest, 0.0))
        if tail:
            part[:, : tail - 2] = turned[:, head:]
            rest = squares - np.einsum("ij,ij->i", turned, turned)
            part[:, tail - 2] = np.sqrt(np.maximum(rest, 0.0))
            part[:, tail - 1] = -part[:, -3]

    def centers(
        self, points: NDArray[np.float32], engine: Engine | None = None
    ) -> tuple[NDArray[np.float32], float]:
        """Project centroids.

        Parameters
        ----------
        points : ndarray of float32, shape (k, dim)
            Centroids.
        engine : Engine, optional
            Where to run.

        Returns
        -------
        weights : ndarray of float32, shape (width, k)
            A projected row times these, with or without the tail of both, is at least minus half
            the squared distance, up to :meth:`slack`.
        reach : float
            Largest |c'|, not rounded down.
        """
        weights = np.empty((self.width, len(points)), np.float32)

        def task(start: int) -> float:
            part = weights[:, start : start + _STEP]
            shifted = points[start : start + _STEP].astype(np.float64) - self.origin
            squares = np.einsum("ij,ij->i", shifted, shifted)
            if self.basis is None:
                part[:-3] = shifted.T
                part[-3] = 0.0
            else:
                turned = shifted @ self.basis.astype(np.float64)
                self._fill_weights(part, turned, squares * (1.0 + 4.0 * self.skew + 8.0 * UNIT))
            part[-2] = -0.5 * squares
            part[-1] = -0.5
            return float(squares.max(initial=0.0))

        spread = map if engine is None else engine.driver.map
        longest = max(spread(task, range(0, len(points), _STEP)), default=0.0)
        return weights, float(np.sqrt(longest)) * (1.0 + 1e-6)

    def _fill_weights(
        self, part: NDArray[np.float32], turned: NDArray[np.float64], squares: NDArray[np.float64]
    ) -> None:
        """Put directions and remainders in their rows."""
        tail, head = self.tail, self.head or turned.shape[1]
        part[tail:-3] = turned[:, :head].T
        part[-3] = _remainder(squares, turned[:, :head])
        if tail:
            part[: tail - 2] = turned[:, head:].T
            part[tail - 2] = _remainder(squares, turned)
            part[tail - 1] = part[-3]

    def steps(
        self,
        before: NDArray[np.float32],
        after: NDArray[np.float32],
        engine: Engine | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Project how points moved.

        From -|x - c|^2 / 2 = x'.c' - |c'|^2 / 2 - |x'|^2 / 2, a step s of c changes it by
        x'.s - (|c' + s|^2 - |c'|^2) / 2, which is at least a_x . a_s - |e_x| |e_s| less the
        same term.

        Parameters
        ----------
        before, after : ndarray of float32, shape (k, dim)
            The points.
        engine : Engine, optional
            Where to run.

        Returns
        -------
        changes : ndarray of float32, shape (k, width)
            A projected row times these bounds from below by how much minus half the squared
            distance grows, up to :meth:`step_slack`.
        moved : ndarray of float32, shape (k,)
            |s|, not rounded down.
        """
        changes = np.zeros((len(after), self.width), np.float32)
        moved = np.empty(len(after), np.float32)

        def task(start: int) -> None:
            part = changes[start : start + _STEP]
            old = before[start : start + _STEP].astype(np.float64)
            new = after[start : start + _STEP].astype(np.float64)
            step = new - old
            squares = np.einsum("ij,ij->i", step, step)
            moved[start : start + _STEP] = np.sqrt(squares) * (1.0 + 4.0 * UNIT)
            new += old
            new -= 2.0 * self.origin
            part[:, -2] = -0.5 * np.einsum("ij,ij->i", step, new)
            if self.basis is None:
                part[:, :-3] = step
                return
            turned = step.astype(np.float32) @ self.basis
            tail, head = self.tail, self.head or turned.shape[1]
            longest = squares * (1.0 + 4.0 * self.turn_error + 8.0 * UNIT)
            part[:, tail:-3] = turned[:, :head]
            part[:, : max(0, tail - 2)] = turned[:, head:]
            part[:, self.rest] = -_remainder(longest, turned)

        for _ in (map if engine is None else engine.driver.map)(task, range(0, len(after), _STEP)):
            pass
        return changes, moved

    def step_slack(
        self, squares: NDArray[np.float32], moved: NDArray[np.float32], reach: float
    ) -> NDArray[np.float64]:
        """How far the product with :meth:`steps` may lie above the change that it bounds.

        Parameters
        ----------
        squares : ndarray of float32, shape (m,)
            |x'|^2 of the rows.
        moved : ndarray of float32, shape (m,)
            |s| of the point of each row.
        reach : float
            Largest |c'| before and after.
        """
        error = 4.0 * (self.turn_error + self.relative_error + 8.0 * UNIT)
        norm = np.sqrt(squares.astype(np.float64)) * (1.0 + self.relative_error)
        return error * moved * (norm + reach)

    def slack(self, squares: NDArray[np.float32], reach: float) -> NDArray[np.float64]:
        """How far the product of float32 numbers may lie below minus half the squared distance.

        Parameters
        ----------
        squares : ndarray of float32, shape (m,)
            |x'|^2 of the rows.
        reach : float
            Largest |c'|.
        """
        norm = np.sqrt(squares.astype(np.float64)) * (1.0 + self.relative_error)
        turned = (self.turn_error + 8.0 * UNIT) * norm * reach
        return self.relative_error * np.square(norm + reach) + turned


def _remainder(squares: NDArray[np.float64], turned: NDArray[np.floating]) -> NDArray[np.float64]:
    """Norm of what the directions leave, not rounded down when it becomes float32."""
    rest = np.maximum(squares - np.einsum("ij,ij->i", turned, turned), 0.0)
    remainder: NDArray[np.float64] = np.sqrt(rest) * (1.0 + 4.0 * UNIT)
    return remainder

"""Drawing rules: rows in proportion to masses, without replacement or with.

Masses are streamed in the order of rows, several times over, and never held. They are turned
into integers, whose sums are exact: rows then lie end to end on a line of integer length, and
drawing is putting points on that line. Every rule is exact on the integers, which stand for
the masses to about one part in 2^60 of their sum, and no split into blocks can change it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coresift.core.errors import ParameterError

_LINE_BITS = 60
_SLACK = 1 << 16


@dataclass(frozen=True)
class MassBlock:
    """Consecutive rows and their masses.

    Attributes
    ----------
    rows : ndarray of int64, shape (m,)
        Row ids, ascending.
    mass : ndarray of float64, shape (m,)
        Not negative, finite.
    cluster : ndarray of int32, shape (m,)
        Carried along.
    stratum : ndarray of int64, shape (m,), or None
        Where they lie on the line: rows of a lower stratum first, in the order of rows within
        one. None is all in one.
    """

    rows: NDArray[np.int64]
    mass: NDArray[np.float64]
    cluster: NDArray[np.int32]
    stratum: NDArray[np.int64] | None = None


Masses = Callable[[], Iterator[MassBlock]]


@dataclass(frozen=True)
class Drawn:
    """Rows that were drawn, ascending.

    Attributes
    ----------
    rows, cluster : ndarray
        The rows, and what their blocks carried.
    weight : ndarray of float64
        Number of times drawn over its expectation.
    expected : ndarray of float64
        Expected number of draws; without replacement, the probability of inclusion.
    certain : int
        Rows with probability 1.
    filled : int
        Rows of mass zero that had to be drawn, uniformly, to make up the number.
    """

    rows: NDArray[np.int64]
    cluster: NDArray[np.int32]
    weight: NDArray[np.float64]
    expected: NDArray[np.float64]
    certain: int = 0
    filled: int = 0


@dataclass(frozen=True)
class _Summary:
    largest: NDArray[np.float64]
    tail: float
    positive: int
    rows: int


def _summarise(masses: Masses, size: int) -> _Summary:
    """The ``size`` largest masses, descending, and the sum of all others."""
    held: list[NDArray[np.float64]] = []
    count = positive = rows = 0
    tail = 0.0

    def compact() -> NDArray[np.float64]:
        nonlocal held, count, tail
        values = np.concatenate(held) if held else np.empty(0)
        if len(values) > size:
            values = np.partition(values, len(values) - size)
            tail += float(values[: len(values) - size].sum())
            values = values[len(values) - size :]
        held, count = [values], len(values)
        return values

    for block in masses():
        held.append(block.mass)
        count += len(block.mass)
        rows += len(block.mass)
        positive += int(np.count_nonzero(block.mass))
        if count > 2 * size + _SLACK:
            compact()
    largest = np.sort(compact())[::-1]
    return _Summary(largest, tail, positive, rows)


@dataclass(frozen=True)
class Scale:
    """How masses become integers.

    Both numbers are powers of two, so that the rounding of the sums they come from does not
    show.

    Attributes
    ----------
    unit : float
        The mass that 1 stands for.
    cap : float
        Larger masses count as this one.
    """

    unit: float
    cap: float = math.inf

    @classmethod
    def of(cls, total: float, cap: float = math.inf) -> Scale:
        """Return the scale at which ``total`` is about 2^60."""
        if not math.isfinite(total):
            raise ParameterError(
                "the probabilities overflow", hint="give a smaller --exponent or --lambda"
            )
        return cls(math.ldexp(1.0, math.frexp(total)[1] - _LINE_BITS), cap)

    def integers(self, mass: NDArray[np.float64]) -> NDArray[np.int64]:
        """Masses as integers; only a mass of zero gives 0."""
        scaled = np.rint(np.minimum(mass, self.cap) / self.unit)
        np.maximum(scaled, mass > 0.0, out=scaled)
        return scaled.astype(np.int64)


@dataclass(frozen=True)
class Inclusion:
    """Probabilities of inclusion ``min(1, c mass)`` that sum to a given size.

    Attributes
    ----------
    scale : Scale
        How masses become integers.
    certain : int
        Rows with probability 1.
    limit : int
        The integers above this one are certain.
    line : int
        Sum of the integers that are not.
    points : int
        Rows to draw from the line.
    """

    scale: Scale
    certain: int
    limit: int
    line: int
    points: int

    def probability(self, integers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Probability of inclusion of each row."""
        expected = integers * (self.points / self.line)
        return np.where(integers > self.limit, 1.0, np.minimum(1.0, expected))


def _without_certain(largest: NDArray[np.float64], tail: float) -> tuple[int, float]:
    """Number of certain rows among the ``largest``, and the masses' sum without them.

    Row t of the largest is certain as long as its share of what is left, times the number left
    to draw, is above 1. Sums are taken from the small end: nothing cancels.
    """
    left = tail + np.cumsum(largest[::-1])[::-1]
    to_draw = len(largest) - np.arange(len(largest))
    certain = int(np.argmax(largest * to_draw <= left)) if len(largest) else 0
    return certain, float(left[certain])


def inclusion(masses: Masses, size: int) -> Inclusion:
    """Solve for the probabilities of inclusion, in two passes.

    There must be at least ``size`` rows of positive mass.
    """
    return _solve(masses, size, _summarise(masses, size))


def _solve(masses: Masses, size: int, summary: _Summary) -> Inclusion:
    certain, left = _without_certain(summary.largest, summary.tail)
    step = left / (size - certain)
    if not math.isfinite(step):
        raise ParameterError(
            "the probabilities overflow", hint="give a smaller --exponent or --lambda"
        )
    # A row at the step is certain; where beyond it a mass lies makes no difference, and
    # capped masses leave the fine end of the integers to the rows that are drawn.
    cap = math.ldexp(1.0, math.frexp(step)[1] + 1)
    capped = np.minimum(summary.largest, cap)
    scale = Scale.of(summary.tail + float(capped.sum()), cap)
    total = sum(int(scale.integers(block.mass).sum()) for block in masses())
    largest = np.sort(scale.integers(summary.largest))[::-1]
    left_of = total - np.concatenate([[0], np.cumsum(largest)[:-1]])
    certain = int(np.argmax(largest <= left_of // (size - np.arange(size))))
    line = int(left_of[certain])
    points = size - certain
    return Inclusion(scale, certain, line // points, line, points)


def systematic_points(line: int, points: int, offset: int) -> NDArray[np.int64]:
    """Evenly spaced points ``floor((j line + offset) / points)`` on a line, without overflow."""
    whole, rest = divmod(line, points)
    j = np.arange(points, dtype=np.int64)
    return j * whole + (j * rest + offset) // points


def hits(
    integers: NDArray[np.int64], start: int, points: NDArray[np.int64]
) -> tuple[NDArray[np.intp], int]:
    """Element that each point in reach falls on, and where the line goes on."""
    ends = start + np.cumsum(integers)
    stop = int(ends[-1]) if len(ends) else start
    low, high = np.searchsorted(points, [start, stop])
    return np.searchsorted(ends, points[low:high], side="right"), stop


class _Line:
    """Rows laid end to end by their strata, as they come."""

    def __init__(self, masses: Masses, solved: Inclusion, strata: int) -> None:
        self._solved = solved
        # where the next row of each stratum begins
        self._next = np.zeros(strata + 1, np.int64)
        if strata > 1:
            for block in masses():
                if block.stratum is not None:
                    np.add.at(self._next, block.stratum + 1, self.lengths(block))
            np.cumsum(self._next, out=self._next)

    def lengths(self, block: MassBlock) -> NDArray[np.int64]:
        """Integers of the rows; none for those that are certain."""
        integers = self._solved.scale.integers(block.mass)
        return np.where(integers > self._solved.limit, 0, integers)

    def hits(self, block: MassBlock, points: NDArray[np.int64]) -> NDArray[np.intp]:
        """Rows of a block that points fall on, each at most once."""
        lengths = self.lengths(block)
        if block.stratum is None:
            at_once, self._next[0] = hits(lengths, int(self._next[0]), points)
            return at_once
        order = np.argsort(block.stratum, kind="stable")
        stratum, lengths = block.stratum[order], lengths[order]
        before = np.cumsum(lengths) - lengths
        first = np.searchsorted(stratum, stratum)
        begin = self._next[stratum] + before - before[first]
        np.add.at(self._next, stratum, lengths)
        low, high = np.searchsorted(points, [begin, begin + lengths])
        hit: NDArray[np.intp] = order[low < high]
        return hit


def _lifted(masses: Masses, rows: int) -> Masses:
    """Masses that make every positive row certain and all others equally likely."""

    def lifted() -> Iterator[MassBlock]:
        for block in masses():
            mass = np.where(block.mass > 0.0, 2.0 * rows, 1.0)
            yield replace(block, mass=mass)

    return lifted


_Part = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]


def _joined(parts: list[_Part]) -> _Part:
    rows, cluster, weight, expected = (np.concatenate(part) for part in zip(*parts, strict=True))
    return rows, cluster, weight, expected


def draw_distinct(
    masses: Masses, size: int, generator: np.random.Generator, strata: int = 1
) -> Drawn:
    """Draw exactly ``size`` rows with probabilities of inclusion min(1, c mass).

    Systematic sampling along the line, with a random start: three passes, and one more where
    there are strata. Of each run of strata so many rows are drawn as are expected, but for a
    fraction of one, as stratified sampling would. When fewer rows have a positive mass, all of
    them are taken and the others drawn uniformly.

    Parameters
    ----------
    masses : callable
        Gives the masses, again at each call.
    size : int
        Rows to draw, at most as many as there are.
    generator : numpy.random.Generator
        Gives the start.
    strata : int
        The strata are below it.
    """
    summary = _summarise(masses, size)
    filled = 0
    if summary.positive < size:
        filled = size - summary.positive
        masses = _lifted(masses, summary.rows)
        summary = _summarise(masses, size)
    solved = _solve(masses, size, summary)
    points = systematic_points(solved.line, solved.points, int(generator.integers(0, solved.line)))
    line = _Line(masses, solved, strata)
    parts: list[_Part] = []
    for block in masses():
        integers = solved.scale.integers(block.mass)
        chosen = integers > solved.limit
        chosen[line.hits(block, points)] = True
        picked = np.flatnonzero(chosen)
        probability = solved.probability(integers[picked])
        parts.append((block.rows[picked], block.cluster[picked], 1.0 / probability, probability))
    return Drawn(*_joined(parts), solved.certain, filled)


def draw_replacing(masses: Masses, size: int, generator: np.random.Generator) -> Drawn:
    """Draw ``size`` times independently in proportion to the masses, and merge repeats.

    Three passes. When all masses are zero, the draws are uniform.
    """
    summary = _summarise(masses, 1)
    filled = 0
    if summary.positive == 0:
        filled = size
        masses = _lifted(masses, summary.rows)
        summary = _summarise(masses, 1)
    scale = Scale.of(summary.tail + float(summary.largest.sum()))
    line = sum(int(scale.integers(block.mass).sum()) for block in masses())
    points = np.sort(generator.integers(0, line, size))
    parts: list[_Part] = []
    start = 0
    for block in masses():
        integers = scale.integers(block.mass)
        hit, start = hits(integers, start, points)
        picked, times = np.unique(hit, return_counts=True)
        expected = np.multiply(integers[picked], size / line, dtype=np.float64)
        weight: NDArray[np.float64] = times / expected
        parts.append((block.rows[picked], block.cluster[picked], weight, expected))
    return Drawn(*_joined(parts), filled=filled)

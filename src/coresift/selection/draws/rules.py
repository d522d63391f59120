"""Drawing rules as keys: a number for each row, of which the smallest are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.core import randomness
from coresift.core.smallest import Smallest, SmallestPerGroup, ranks
from coresift.selection.draws.stream import ScoreBlock

_PURPOSE = "draw"
# below the log of any positive number, its noise included
_LAST = -1024.0


@dataclass(frozen=True)
class Rule:
    """A drawing rule that gives each row a key: all but ``weighted``.

    The ``n`` largest of ``f(score) + noise``, with Gumbel noise of scale 1 / coldness, are n
    draws one after the other, without replacement, in proportion to exp(coldness f(score))
    (Kirsch et al., TMLR 2023, section 3; Kool et al., ICML 2019, section 2). f is the score
    itself (softmax), its logarithm (power) or minus the logarithm of its rank (softrank). The
    noise is a function of the seed and the row, so that no split into blocks changes it, and
    that a larger size keeps the rows of a smaller one.

    Attributes
    ----------
    draw : str
        Its name.
    coldness : float
        Of the three above.
    sign : float
        -1 where high scores are preferred, 1 where low ones are.
    bound : float
        The largest score times sign that is there to draw from.
    seed : int
        The run's seed.
    """

    draw: str
    coldness: float
    sign: float
    bound: float
    seed: int

    def reached(self, block: ScoreBlock) -> ScoreBlock:
        """The rows that are there to draw from; those without a score are not."""
        there = block.score * self.sign <= self.bound
        return block if there.all() else block.take(there)

    def keys(self, block: ScoreBlock, rank: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Keys of some rows, smallest first; softrank goes by the rank, 1 for the best."""
        if self.draw == "top":
            return block.score * self.sign
        uniform = randomness.uniform(self.seed, _PURPOSE, block.rows)
        if self.draw == "threshold":
            return -uniform
        noise = -np.log(-np.log(uniform))
        if rank is not None:
            return -self._perturbed(-np.log(rank), noise)
        if self.draw == "softmax":
            return -self._perturbed(-self.sign * block.score, noise)
        with np.errstate(divide="ignore"):
            logs = np.log(block.score)
        # a score of 0 has no logarithm: it is drawn after all others, by the noise alone
        zero = block.score == 0.0
        logs[zero] = 0.0
        return -np.where(zero, noise + _LAST, self._perturbed(logs, noise))

    def _perturbed(
        self, values: NDArray[np.float64], noise: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Values with noise, in whichever scale nothing overflows at any coldness."""
        if self.coldness >= 1.0:
            return values + noise / self.coldness
        return self.coldness * values + noise


class Best:
    """The rows of smallest key: so many of each group, and so many in all.

    Parameters
    ----------
    size : int
        How many in all, at least the sum of ``each``.
    each : ndarray of int64, shape (groups,), or None
        How many each group is sure to keep, where it has them.
    """

    def __init__(self, size: int, each: NDArray[np.int64] | None) -> None:
        sure = 0 if each is None else int(each.sum())
        self._size = size
        self._limits = each
        self._each = None if each is None or sure == 0 else SmallestPerGroup(each)
        self._all = Smallest(size) if sure < size else None

    def add(self, block: ScoreBlock, keys: NDArray[np.float64]) -> None:
        """Offer some rows."""
        if self._all is not None:
            self._all.add(keys, block.rows, block.score)
        if self._each is not None:
            assert block.group is not None
            self._each.add(block.group, keys, block.rows, block.score)

    def merge(self, other: Best) -> None:
        """Offer those of another."""
        if self._all is not None and other._all is not None:
            self._all.merge(other._all)
        if self._each is not None and other._each is not None:
            self._each.merge(other._each)

    def bounds(self, groups: int) -> NDArray[np.float64]:
        """Key that a row of each group must not exceed to be among those that were offered."""
        bound = np.full(groups, -np.inf)
        if self._all is not None:
            keys, _ = self._all.result()
            bound[:] = keys[-1] if len(keys) == self._size else np.inf
        if self._each is not None and self._limits is not None:
            group, keys, _ = self._each.result()
            np.maximum.at(bound, group, keys.astype(np.float64))
            bound[np.bincount(group, minlength=groups) < self._limits] = np.inf
        return bound

    def result(self) -> Ranked:
        """The rows, each with its rank: of its group where that says all, else among all."""
        parts = list(self._parts())
        rows, keys, score = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.argsort(rows)
        if self._all is None and self._each is not None:
            rank = ranks(self._each.result()[0])
        else:
            rank = np.empty(len(rows), np.int64)
            rank[np.lexsort((rows, keys))] = np.arange(len(rows))
        sure = len(parts[0][0]) if self._each is not None else 0
        return Ranked(rows[order], score[order] + 0.0, rank[order].astype(np.int32), sure)

    def _parts(
        self,
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]]:
        sure = np.empty(0, np.int64)
        if self._each is not None:
            _, keys, sure = self._each.result()
            yield sure, keys.astype(np.float64), self._each.carried()[0]
        if self._all is not None:
            keys, rows = self._all.result()
            others = np.flatnonzero(~np.isin(rows, sure))[: self._size - len(sure)]
            yield rows[others], keys[others].astype(np.float64), self._all.carried()[0][others]


@dataclass(frozen=True)
class Ranked:
    """Rows that were drawn, ascending.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Their ids.
    score : ndarray of float64, shape (n,)
        Their scores; no zero is negative.
    rank : ndarray of int32, shape (n,)
        Their place in the order of the keys.
    sure : int
        How many were kept for their group.
    """

    rows: NDArray[np.int64]
    score: NDArray[np.float64]
    rank: NDArray[np.int32]
    sure: int

"""Drawing by ranks, exactly, without a number held for each row.

A row's rank is needed only where the row can be drawn. The order of some rows, taken at random,
brackets the ranks of all others; by the ends of its bracket a row can or cannot be among those
of smallest key; and the ranks of the few that can are counted out. Each step is a pass over the
scores; what is held is the sample and the rows that can be drawn, which are hardly more than
those that are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.core import randomness
from coresift.core.smallest import Smallest
from coresift.selection.draws.rules import Best, Rule
from coresift.selection.draws.stream import Pass, ScoreBlock

# the ranks of no more rows than this are exact at once; else a bracket is one part in so many
_SAMPLE = 1 << 16


def draw_by_rank(
    over: Pass,
    rule: Rule,
    size: int,
    each: NDArray[np.int64] | None,
    rows: int,
    by_group: NDArray[np.int64] | None,
) -> Best:
    """Draw the rows of smallest key, where keys go by the rank.

    Parameters
    ----------
    over : Pass
        Gives the scores.
    rule : Rule
        Makes keys of ranks.
    size, each
        Rows to draw, as of :class:`coresift.selection.draws.rules.Best`.
    rows : int
        Rows that are there to draw from.
    by_group : ndarray of int64, shape (groups,), or None
        Those of each group, where rows are ranked in their group; else among all.
    """
    counts = np.array([rows]) if by_group is None else by_group
    brackets = _Brackets.of(over, rule, _Order(_sample(over, rule), rule.sign, counts))

    def choose(blocks: Iterator[ScoreBlock]) -> Best:
        best = Best(size, each)
        for block in blocks:
            there = rule.reached(block)
            best.add(there, rule.keys(there, brackets.last(there)))
        return best

    best = Best(size, each)
    for found in over(choose, "choose"):
        best.merge(found)
    if rows <= _SAMPLE:
        return best
    bounds = best.bounds(1 if each is None else len(each))

    def gather(blocks: Iterator[ScoreBlock]) -> list[ScoreBlock]:
        parts = []
        for block in blocks:
            there = rule.reached(block)
            bound = bounds if there.group is None or each is None else bounds[there.group]
            parts.append(there.take(rule.keys(there, brackets.first(there)) <= bound))
        return parts

    some = ScoreBlock.joined([part for parts in over(gather, "choose") for part in parts])
    exact = _Brackets.of(over, rule, _Order(some, rule.sign, counts))
    best = Best(size, each)
    best.add(some, rule.keys(some, exact.last(some)))
    return best


def _sample(over: Pass, rule: Rule) -> ScoreBlock:
    """Some of the rows that are there to draw from, or all."""

    def task(blocks: Iterator[ScoreBlock]) -> Smallest:
        sample = Smallest(_SAMPLE)
        for block in blocks:
            there = rule.reached(block)
            group = () if there.group is None else (there.group,)
            bits = randomness.bits(rule.seed, "draw sample", there.rows)
            sample.add(bits, there.rows, there.score, *group)
        return sample

    sample = Smallest(_SAMPLE)
    for found in over(task, "rank"):
        sample.merge(found)
    _, rows = sample.result()
    return ScoreBlock(rows, *sample.carried())


def _find(
    entries: NDArray[np.generic], values: NDArray[np.generic]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """How many of distinct ascending entries are below each value, and whether one is equal."""
    below = np.searchsorted(entries, values)
    equal = entries[np.minimum(below, len(entries) - 1)] == values
    return below, np.asarray(equal)


class _Order:
    """The order of some rows: by group, where that counts; by score, best first; by id.

    Rows of one score, and of one group, are a run. Most other rows lie between two runs, and
    need no look at ids.

    Parameters
    ----------
    block : ScoreBlock
        The rows.
    sign : float
        The smallest score times sign is the best.
    counts : ndarray of int64, shape (groups,)
        Rows of each group; of all, where rows are ranked among all.
    """

    def __init__(self, block: ScoreBlock, sign: float, counts: NDArray[np.int64]) -> None:
        self.counts = counts
        self._sign = sign
        # above all ids here, and so the place of those beyond
        self._beyond = int(block.rows.max()) + 1
        self._scores = np.unique(block.score * sign)
        self._pairs = np.unique(self._pair(block, *_find(self._scores, block.score * sign)))
        run, _ = self._run(block)
        self._first = np.concatenate([[0], np.cumsum(np.bincount(run))])
        self._codes = np.sort(self._code(run, block.rows))

    def __len__(self) -> int:
        return len(self._codes)

    def group(self, block: ScoreBlock) -> NDArray[np.int64]:
        """Group that each row is ranked in."""
        if len(self.counts) == 1 or block.group is None:
            return np.zeros(len(block.rows), np.int64)
        return block.group

    def _pair(
        self, block: ScoreBlock, below: NDArray[np.int64], equal: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """A number for each row, in the order of group and score."""
        return self.group(block) * (2 * len(self._scores) + 1) + 2 * below + equal

    def _run(self, block: ScoreBlock) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The first run that does not stand before each row, and whether it is the row's."""
        below, equal = _find(self._scores, block.score * self._sign)
        if len(self.counts) == 1:
            return below, equal
        return _find(self._pairs, self._pair(block, below, equal))

    def _code(self, run: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """A number for each row, in the order of run and id."""
        return run * (self._beyond + 1) + np.minimum(rows, self._beyond)

    def before(self, block: ScoreBlock) -> NDArray[np.int64]:
        """How many of the ordered rows stand before each row."""
        run, equal = self._run(block)
        before = self._first[run]
        tied = np.flatnonzero(equal)
        before[tied] = np.searchsorted(self._codes, self._code(run[tied], block.rows[tied]))
        return before


@dataclass(frozen=True)
class _Brackets:
    """Between which ranks rows lie, 1 for the best.

    Attributes
    ----------
    order : _Order
        Rows that others lie between.
    upto : ndarray of int64, shape (ordered rows + 2,)
        Rows that stand before each of the ordered rows, or are it; with 0 before, all after.
    """

    order: _Order
    upto: NDArray[np.int64]

    @classmethod
    def of(cls, over: Pass, rule: Rule, order: _Order) -> _Brackets:
        """Count in one pass the rows between each two."""

        def task(blocks: Iterator[ScoreBlock]) -> NDArray[np.int64]:
            counts = np.zeros(len(order) + 2, np.int64)
            for block in blocks:
                np.add.at(counts, order.before(rule.reached(block)) + 1, 1)
            return counts

        counts = np.zeros(len(order) + 2, np.int64)
        for found in over(task, "rank"):
            counts += found
        return cls(order, np.cumsum(counts))

    def _ranks(self, block: ScoreBlock, places: NDArray[np.int64]) -> NDArray[np.int64]:
        group = self.order.group(block)
        start = np.cumsum(self.order.counts) - self.order.counts
        return np.clip(places - start[group], 1, self.order.counts[group])

    def first(self, block: ScoreBlock) -> NDArray[np.int64]:
        """The best rank that each row can have."""
        return self._ranks(block, self.upto[self.order.before(block)] + 1)

    def last(self, block: ScoreBlock) -> NDArray[np.int64]:
        """The worst; of the ordered rows, the one they have."""
        return self._ranks(block, self.upto[self.order.before(block) + 1])

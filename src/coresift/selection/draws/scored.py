"""Score, then draw: from a stream of scores over the shards to a selection.

How scores come about is the method's; what a rule makes of them is said here once. The columns
of the selection mean

- ``score``: the row's score as it came;
- ``weight``: 1, since rows of top, threshold, power, softmax and softrank stand for themselves
  alone; of ``weighted`` the inverse of the probability of inclusion, so that weighted sums over
  the selection are unbiased for sums over the rows there were to draw from;
- ``rank``: the order of the keys, 0 first, which is the order of the draws; of ``weighted``,
  which has none, that of the scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.core import randomness
from coresift.core.errors import InputError, ParameterError
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.selection.base import Context
from coresift.selection.draws.drawing import MassBlock, draw_distinct
from coresift.selection.draws.ranking import draw_by_rank
from coresift.selection.draws.rules import Best, Rule
from coresift.selection.draws.stream import ScoreBlock, Scored
from coresift.selection.params.draw import DrawParams
from coresift.selection.reading.joins import plural


def require_size(size: Size | None, params: DrawParams, method: str) -> None:
    """Refuse a draw that nothing ends."""
    if size is None and params.threshold is None:
        raise ParameterError(
            f"{method} needs a size or a threshold", hint="give -n 5000, -n 10% or --threshold T"
        )


def draw(
    scored: Scored,
    size: Size | None,
    params: DrawParams,
    context: Context,
    *,
    per_group: bool = False,
    least: NDArray[np.int64] | None = None,
) -> Selection:
    """Draw rows by their scores; equal keys go to the first row.

    Parameters
    ----------
    scored : Scored
        The scores.
    size : Size or None
        Rows to draw, of each group where it is ``per_group``; None draws all that reach the
        threshold.
    params : DrawParams
        The rule.
    context : Context
        The run's resources.
    per_group : bool
        Draw from each group on its own; ``rank`` is then of the group.
    least : ndarray of int64, shape (groups,), or None
        Rows that each group keeps at least, its best by the rule: in all at most the size.

    Raises
    ------
    ParameterError
        When the rule does not go with what is asked for, or there are fewer rows.
    InputError
        At the first row without a score, unless invalid rows are dropped; at the first whose
        score the rule cannot draw by; when no row reaches the threshold.
    """
    _refuse(scored, params, grouped=per_group or (least is not None and bool(least.any())))
    if size is not None and not per_group:
        size.resolve(scored.data.rows)  # more than there is, told before a pass
    sign = 1.0 if scored.lowest else -1.0
    bound = np.inf if params.threshold is None else params.threshold * sign
    rule = Rule(params.draw, params.coldness, sign, bound, context.seed)
    tally = _tally(scored, rule, params)
    notes = []
    if tally.missing:
        notes.append(f"{plural(tally.missing, 'row')} without a score were dropped")
    resolved: dict[str, float | int | str] = {}
    if per_group:
        least, note = _limits(size, tally.reached)
        notes.extend(note)
        n = int(least.sum())
        resolved["groups"] = int(np.count_nonzero(tally.reached))
    else:
        n = _resolve(size, tally.count, scored, params)
    if params.draw == "weighted":
        return _weighted(scored, rule, n, tally, notes, context)

    def task(blocks: Iterator[ScoreBlock]) -> Best:
        best = Best(n, least)
        for block in blocks:
            there = rule.reached(block)
            best.add(there, rule.keys(there))
        return best

    if params.draw == "softrank":
        by_group = tally.reached if per_group else None
        best = draw_by_rank(scored.over, rule, n, least, tally.count, by_group)
    else:
        best = Best(n, least)
        for found in scored.over(task, "choose"):
            best.merge(found)
    drawn = best.result()
    if least is not None and not per_group:
        resolved["kept_by_floor"] = drawn.sure
    return Selection(
        drawn.rows,
        np.ones(len(drawn.rows)),
        tally.rows,
        score=drawn.score,
        rank=drawn.rank,
        resolved=resolved,
        notes=tuple(notes),
    )


def _refuse(scored: Scored, params: DrawParams, *, grouped: bool) -> None:
    """Refuse what a rule cannot do."""
    if scored.lowest and params.draw in ("power", "weighted"):
        raise ParameterError(
            f"--draw {params.draw} draws in proportion to the score, and low ones are preferred",
            hint="draw by softmax or softrank, or turn the score round and prefer high ones",
        )
    if grouped and params.draw == "weighted":
        raise ParameterError(
            "--draw weighted draws from all rows together, not by group",
            hint="draw by power: in proportion to the score too, but each row weighs 1",
        )


def _resolve(size: Size | None, reached: int, scored: Scored, params: DrawParams) -> int:
    if size is None:
        return reached
    if params.threshold is not None and size.count is not None and size.count > reached:
        raise ParameterError(
            f"size {size.count:,} is more than the {reached:,} rows with a score of "
            f"{_side(scored)} {params.threshold:g}",
            hint="leave out -n to take all of them",
        )
    return size.resolve(reached)


def _side(scored: Scored) -> str:
    return "at most" if scored.lowest else "at least"


def _limits(size: Size | None, counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[str]]:
    """Rows that each group gives."""
    if size is None:
        return counts, []
    if size.count is None:
        return np.array([size.resolve(int(count)) for count in counts], np.int64), []
    small = int(np.count_nonzero((counts > 0) & (counts < size.count)))
    notes = []
    if small:
        notes.append(
            f"{plural(small, 'group')} of {np.count_nonzero(counts):,} with fewer than "
            f"{size.count:,} rows gave all of them"
        )
    return np.minimum(counts, size.count), notes


@dataclass
class _Tally:
    """What the first pass finds.

    Attributes
    ----------
    reached : ndarray of int64, shape (groups,)
        Rows of each group that are there to draw from.
    rows, missing : int
        Rows with a score, and without.
    no_score : int
        The first without.
    bad : tuple of int and float, or None
        The first row whose score the rule cannot draw by, and the score.
    positive : int
        Rows with a score above zero.
    largest : float
        No score is larger.
    """

    reached: NDArray[np.int64]
    rows: int = 0
    missing: int = 0
    no_score: int = -1
    bad: tuple[int, float] | None = None
    positive: int = 0
    largest: float = 0.0

    @property
    def count(self) -> int:
        """Rows that are there to draw from."""
        return int(self.reached.sum())

    def add(self, block: ScoreBlock, rule: Rule) -> None:
        """Count some rows."""
        none = np.isnan(block.score)
        missing = int(np.count_nonzero(none))
        if missing and not self.missing:
            self.no_score = int(block.rows[none.argmax()])
        self.missing += missing
        self.rows += len(block.rows) - missing
        there = rule.reached(block)
        groups = np.zeros(len(there.rows), np.int64) if there.group is None else there.group
        self.reached += np.bincount(groups, minlength=len(self.reached))
        if rule.draw in ("power", "weighted", "softmax"):
            good = np.isfinite(there.score)
            if rule.draw != "softmax":
                good &= there.score >= 0.0
            if self.bad is None and not good.all():
                first = int(good.argmin())
                self.bad = int(there.rows[first]), float(there.score[first])
            self.positive += int(np.count_nonzero(there.score > 0.0))
            self.largest = max(self.largest, float(there.score.max(initial=0.0)))

    def merge(self, other: _Tally) -> None:
        """Add the counts of rows further down."""
        self.no_score = self.no_score if self.missing else other.no_score
        self.bad = self.bad or other.bad
        self.reached += other.reached
        self.rows += other.rows
        self.missing += other.missing
        self.positive += other.positive
        self.largest = max(self.largest, other.largest)


def _tally(scored: Scored, rule: Rule, params: DrawParams) -> _Tally:
    """Check in one pass that each row has a score that the rule can draw by, and count."""
    groups = scored.groups

    def task(blocks: Iterator[ScoreBlock]) -> _Tally:
        tally = _Tally(np.zeros(groups, np.int64))
        for block in blocks:
            tally.add(block, rule)
        return tally

    tally = _Tally(np.zeros(groups, np.int64))
    for found in scored.over(task, "score"):
        tally.merge(found)
        if tally.missing and not scored.data.drops_invalid:
            row = tally.no_score
            raise InputError(
                f"{scored.data.locate(row)} (row {row}): {scored.name} is null or not a number",
                hint="--invalid drop leaves such rows out",
            )
        if tally.bad is not None:
            row, score = tally.bad
            wanted = "finite scores" if not math.isfinite(score) else "scores of 0 or more"
            raise InputError(
                f"{scored.data.locate(row)} (row {row}): {scored.name} is {score:g}, and --draw "
                f"{rule.draw} needs {wanted}",
                hint="--draw softrank goes by the order of the scores, whatever they are",
            )
    if tally.count == 0:
        if params.threshold is None:
            raise InputError(f"no row has a score by {scored.name}")
        raise InputError(
            f"no row has a score of {_side(scored)} {params.threshold:g}", hint="move --threshold"
        )
    return tally


def _weighted(
    scored: Scored, rule: Rule, n: int, tally: _Tally, notes: list[str], context: Context
) -> Selection:
    """Draw with probabilities of inclusion min(1, c score), by systematic sampling."""
    # the largest score becomes about 1: exact, and no sum overflows
    shift = -math.frexp(tally.largest)[1]

    def task(blocks: Iterator[ScoreBlock]) -> list[ScoreBlock]:
        return [rule.reached(block) for block in blocks]

    def passed() -> Iterator[ScoreBlock]:
        for blocks in scored.over(task, "draw"):
            yield from blocks

    def masses() -> Iterator[MassBlock]:
        for block in passed():
            none = np.zeros(len(block.rows), np.int32)
            yield MassBlock(block.rows, np.ldexp(block.score, shift), none)

    drawn = draw_distinct(masses, n, randomness.generator(context.seed, "draw weighted"))
    if drawn.filled:
        notes.append(
            f"only {tally.positive:,} rows have a score above zero: all were taken, and "
            f"{drawn.filled:,} of the others drawn uniformly"
        )
    score = np.empty(len(drawn.rows))
    for block in passed():
        if len(block.rows):
            low, high = np.searchsorted(drawn.rows, [block.rows[0], block.rows[-1] + 1])
            score[low:high] = block.score[np.searchsorted(block.rows, drawn.rows[low:high])]
    rank = np.empty(len(score), np.int32)
    rank[np.lexsort((drawn.rows, -score))] = np.arange(len(score), dtype=np.int32)
    return Selection(
        drawn.rows,
        drawn.weight,
        tally.rows,
        score=score + 0.0,
        rank=rank,
        resolved={"certain_rows": drawn.certain},
        notes=tuple(notes),
    )

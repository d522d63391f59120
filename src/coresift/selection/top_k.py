"""The rows of highest or lowest score, over all or per group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.core.errors import InputError, ParameterError
from coresift.core.memory import Budget
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.core.smallest import Keys, Smallest, SmallestPerGroup, ranks
from coresift.selection.base import Context, Data
from coresift.selection.columns import Block, Column, as_numbers, merged
from coresift.selection.joins import (
    LINE_BYTES,
    Lookup,
    Matches,
    SideFile,
    plural,
    require_each_once,
    require_named,
)
from coresift.selection.params.top_k import TopKParams
from coresift.selection.strata import count_strata


def select(data: Data, size: Size | None, params: TopKParams, context: Context) -> Selection:
    """Choose the rows of best score; ties go to the earlier row.

    Rows are not drawn, so each stands for itself alone: the weight is 1. ``rank`` 0 is the
    best, of its group with ``--per``. With ``--threshold`` only rows that reach it are there
    to choose from, and all of them are taken without a size.
    """
    if size is None and params.threshold is None:
        raise ParameterError(
            "top-k needs a size or a threshold", hint="give -n 5000, -n 10% or --threshold T"
        )
    scores = _Scores.of(data, params, context.budget)
    group = data.column(params.per, "--per") if params.per is not None else None
    if size is not None and group is None:
        size.resolve(data.rows)  # more than there is, told before the dump is read
    notes = list(data.candidates.notes)
    tally = scores.check(data, params)
    if tally.missing:
        notes.append(f"{plural(tally.missing, 'row')} without a score were dropped")
    notes.extend(tally.notes)
    if group is not None:
        return _per_group(data, size, group, scores, tally, notes)
    n = _resolve(size, tally, params)
    smallest = Smallest(n)

    def task(blocks: Iterator[Block]) -> Smallest:
        best = Smallest(n)
        for _, rows, keys in scores.keys(blocks):
            best.add(keys, rows)
        return best

    for best in data.map(task, scores.columns, "choose"):
        smallest.add(*best.result())
    keys, rows = smallest.result()
    return _selection(rows, keys, np.arange(len(rows)), scores.sign, tally, notes)


def _resolve(size: Size | None, tally: _Tally, params: TopKParams) -> int:
    if size is None:
        return tally.reached
    if params.threshold is None:
        return size.resolve(tally.reached)
    side = "at most" if params.lowest else "at least"
    if size.count is not None and size.count > tally.reached:
        raise ParameterError(
            f"size {size.count:,} is more than the {tally.reached:,} rows with a score of "
            f"{side} {params.threshold:g}",
            hint="leave out -n to take all of them",
        )
    return size.resolve(tally.reached)


def _per_group(
    data: Data,
    size: Size | None,
    group: Column,
    scores: _Scores,
    tally: _Tally,
    notes: list[str],
) -> Selection:
    columns = (*scores.columns, group)

    def reached(blocks: Iterator[Block]) -> Iterator[tuple[NDArray[np.int64], pa.Array]]:
        for block, rows, _ in scores.keys(blocks):
            yield rows, _of_rows(block, rows)

    groups_seen = count_strata(data, columns, "--per", reached)
    counts = groups_seen.count
    if size is None:
        limits = counts
    elif size.count is not None:
        limits = np.minimum(counts, size.count)
        small = int(np.count_nonzero(counts < size.count))
        if small:
            notes.append(
                f"{plural(small, 'group')} of {len(counts):,} with fewer than {size.count:,} rows "
                "gave all of them"
            )
    else:
        limits = np.array([size.resolve(int(count)) for count in counts], np.int64)

    def task(blocks: Iterator[Block]) -> SmallestPerGroup:
        best = SmallestPerGroup(limits)
        for block, rows, keys in scores.keys(merged(blocks, len(limits))):
            best.add(groups_seen.codes(_of_rows(block, rows)), keys, rows)
        return best

    smallest = SmallestPerGroup(limits)
    for best in data.map(task, columns, "choose"):
        smallest.add(*best.result())
    groups, keys, rows = smallest.result()
    return _selection(rows, keys, ranks(groups), scores.sign, tally, notes, {"groups": len(counts)})


def _of_rows(block: Block, rows: NDArray[np.int64]) -> pa.Array:
    return block.values[-1].take(pa.array(np.searchsorted(block.rows, rows)))


def _selection(
    rows: NDArray[np.int64],
    keys: Keys,
    rank: NDArray[np.int64],
    sign: float,
    tally: _Tally,
    notes: list[str],
    resolved: dict[str, float | int | str] | None = None,
) -> Selection:
    order = np.argsort(rows)
    score: NDArray[np.float64] = (
        keys[order].astype(np.float64) * sign + 0.0
    )  # the sum turns -0 into 0
    return Selection(
        rows[order],
        np.ones(len(rows)),
        tally.rows,
        score=score,
        rank=rank[order].astype(np.int32),
        resolved=resolved or {},
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Tally:
    """What the first pass found: rows with a score, how many reach the threshold."""

    rows: int
    reached: int
    missing: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Joined:
    side: SideFile
    lookup: Lookup
    values: NDArray[np.float64]


@dataclass(frozen=True)
class _Scores:
    """Where scores come from.

    Attributes
    ----------
    columns : tuple of Column
        What the blocks must hold first: the score, or the ids.
    name : str
        Of the score, for messages.
    sign : float
        -1 where the highest are wanted: keys are scores times this, the smallest are taken.
    bound : float
        The largest key that reaches the threshold.
    joined : _Joined or None
        The file of scores.
    """

    columns: tuple[Column, ...]
    name: str
    sign: float
    bound: float
    joined: _Joined | None

    @classmethod
    def of(cls, data: Data, params: TopKParams, budget: Budget) -> _Scores:
        sign = 1.0 if params.lowest else -1.0
        bound = np.inf if params.threshold is None else params.threshold * sign
        if params.scores is None or params.on is None:
            text = params.score or ""
            return cls((data.column(text, "--score"),), text, sign, bound, None)
        side = SideFile.open(params.scores, "--scores")
        budget.require(side.dump.rows * LINE_BYTES, f"the join with {side.path}")
        require_named(params.on, data.schema.names, "--on", "the dump")
        kind = data.schema.field(params.on).type
        lookup = Lookup.of(side, params.on, kind, "the dump")
        text = params.score or side.only_number("score", [params.on], "--score")
        values = side.evaluate(text, "--score")
        joined = _Joined(side, lookup, values)
        return cls((data.column(params.on, "--on"),), text, sign, bound, joined)

    def _scored(self, blocks: Iterator[Block]) -> Iterator[tuple[Block, NDArray[np.float64]]]:
        if self.joined is None:
            for block in blocks:
                yield block, as_numbers(block.values[0], f"--score {self.name!r}")
            return
        for block in merged(blocks, len(self.joined.values)):
            yield block, self.joined.values[self.joined.lookup.places(block.values[0])]

    def keys(
        self, blocks: Iterator[Block]
    ) -> Iterator[tuple[Block, NDArray[np.int64], NDArray[np.float64]]]:
        """Rows that reach the threshold, and their keys; rows without a score are left out."""
        for block, values in self._scored(blocks):
            keys = values * self.sign
            reached = keys <= self.bound
            yield block, block.rows[reached], keys[reached]

    def check(self, data: Data, params: TopKParams) -> _Tally:
        """Check in one pass that each row has a score, and count.

        Raises
        ------
        InputError
            At the first row without a score, unless invalid rows are dropped; when ids do not
            match.
        """
        notes: tuple[str, ...] = ()
        if self.joined is not None:
            notes = _check_join(data, self.columns[0], self.joined, str(params.on))

        def task(blocks: Iterator[Block]) -> tuple[int, int, int, int]:
            rows = reached = missing = 0
            first = -1
            for block, values in self._scored(blocks):
                none = np.isnan(values)
                rows += len(values)
                reached += int(np.count_nonzero(values * self.sign <= self.bound))
                if none.any():
                    missing += int(np.count_nonzero(none))
                    first = int(block.rows[none.argmax()]) if first < 0 else first
            return rows, reached, missing, first

        rows = reached = missing = 0
        for counted in data.map(task, self.columns, "score"):
            rows += counted[0]
            reached += counted[1]
            missing += counted[2]
            if counted[2] and not data.drops_invalid:
                raise InputError(
                    f"{data.locate(counted[3])} (row {counted[3]}): --score {self.name!r} is null "
                    "or not a number",
                    hint="--invalid drop leaves such rows out",
                )
        if reached == 0:
            if params.threshold is None:
                raise InputError(f"no row has a score by {self.name!r}")
            side = "at most" if params.lowest else "at least"
            raise InputError(
                f"no row has a score of {side} {params.threshold:g}", hint="move --threshold"
            )
        return _Tally(rows - missing, reached, missing, notes)


def _check_join(data: Data, ids: Column, joined: _Joined, on: str) -> tuple[str, ...]:
    """Refuse ids of the dump that have no line, or share one; note lines that nobody uses."""

    def task(blocks: Iterator[Block]) -> Matches:
        parts = [
            Matches.of(joined.lookup, block.values[0], block.rows)
            for block in merged(blocks, len(joined.values))
        ]
        return Matches.joined(parts)

    return require_each_once(
        joined.lookup,
        data.map(task, (ids,), "join"),
        path=joined.side.path,
        what="score",
        on=on,
        there="the dump",
        hint="score them too, or leave them out with --where",
    )

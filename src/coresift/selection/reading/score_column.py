"""Scores from a column of the dump, from an expression of its columns, or joined from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.selection.base import Context, Data
from coresift.selection.draws.scored import draw, require_size
from coresift.selection.draws.stream import ScoreBlock, Scored
from coresift.selection.params.score import ScoreParams
from coresift.selection.reading.columns import Block, Column, as_numbers, merged
from coresift.selection.reading.joins import (
    LINE_BYTES,
    Lookup,
    Matches,
    SideFile,
    require_each_once,
    require_named,
)
from coresift.selection.reading.strata import Strata, count_strata

Result = TypeVar("Result")


def draw_by_column(
    data: Data, size: Size | None, params: ScoreParams, context: Context
) -> Selection:
    """Draw rows by the scores that are given; without a size, all that reach the threshold."""
    require_size(size, params, params.method)
    if size is not None and params.per is None:
        size.resolve(data.rows)  # more than there is, told before the dump is read
    scored, notes = _open(data, params, context)
    drawn = draw(scored, size, params, context, per_group=params.per is not None)
    return replace(drawn, notes=(*notes, *drawn.notes))


def _open(data: Data, params: ScoreParams, context: Context) -> tuple[Scored, list[str]]:
    """Find the scores, and the groups of ``--per``; notes on rows that are left out, and lines.

    Raises
    ------
    ParameterError, InputError
        When there are no such columns, no numbers in them, or ids that do not match.
    """
    source = _Source.of(data, params, context)
    group = None if params.per is None else data.column(params.per, "--per")
    # the first use reads the dump, and says which rows are invalid
    notes = list(data.candidates.notes)
    if source.joined is not None:
        notes.extend(_check_join(data, source.column, source.joined, str(params.on)))
    columns = (source.column,) if group is None else (source.column, group)
    strata = None if group is None else count_strata(data, (group,), "--per", _values)

    def over(task: Callable[[Iterator[ScoreBlock]], Result], stage: str) -> Iterator[Result]:
        def of_shard(blocks: Iterator[Block]) -> Result:
            return task(source.scored(blocks, strata))

        return data.map(of_shard, columns, stage)

    groups = 1 if strata is None else len(strata.count)
    return Scored(data, source.name, over, params.lowest, groups), notes


def _values(blocks: Iterator[Block]) -> Iterator[tuple[NDArray[np.int64], pa.Array]]:
    for block in blocks:
        yield block.rows, block.values[0]


@dataclass(frozen=True)
class _Joined:
    side: SideFile
    lookup: Lookup
    values: NDArray[np.float64]


@dataclass(frozen=True)
class _Source:
    """What the blocks of the dump must hold first, and what makes scores of it.

    Attributes
    ----------
    column : Column
        The score, or the ids.
    name : str
        Of the score, for messages.
    joined : _Joined or None
        The file of scores.
    """

    column: Column
    name: str
    joined: _Joined | None

    @classmethod
    def of(cls, data: Data, params: ScoreParams, context: Context) -> _Source:
        if params.scores is None or params.on is None:
            text = params.score or ""
            return cls(data.column(text, "--score"), f"--score {text!r}", None)
        side = SideFile.open(params.scores, "--scores")
        context.budget.require(side.dump.rows * LINE_BYTES, f"the join with {side.path}")
        require_named(params.on, data.schema.names, "--on", "the dump")
        kind = data.schema.field(params.on).type
        lookup = Lookup.of(side, params.on, kind, "the dump")
        text = params.score or side.only_number("score", [params.on], "--score")
        values = side.evaluate(text, "--score")
        joined = _Joined(side, lookup, values)
        return cls(data.column(params.on, "--on"), f"--score {text!r}", joined)

    def scored(self, blocks: Iterator[Block], strata: Strata | None) -> Iterator[ScoreBlock]:
        """Scores and groups of the rows."""
        lines = 0 if self.joined is None else len(self.joined.values)
        groups = 0 if strata is None else len(strata.count)
        for block in merged(blocks, max(lines, groups)):
            if self.joined is None:
                score = as_numbers(block.values[0], self.name)
            else:
                score = self.joined.values[self.joined.lookup.places(block.values[0])]
            group = None if strata is None else strata.codes(block.values[1])
            yield ScoreBlock(block.rows, score, group)


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

"""A stream of scores over the shards of a dump: what a method gives to be drawn from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from coresift.selection.base import Data

Result = TypeVar("Result")


@dataclass(frozen=True)
class ScoreBlock:
    """Rows and their scores.

    Attributes
    ----------
    rows : ndarray of int64, shape (m,)
        Row ids.
    score : ndarray of float64, shape (m,)
        NaN where a row has none.
    group : ndarray of int64, shape (m,), or None
        The group of each row, where there are groups.
    """

    rows: NDArray[np.int64]
    score: NDArray[np.float64]
    group: NDArray[np.int64] | None = None

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> ScoreBlock:
        """Some of the rows."""
        group = None if self.group is None else self.group[chosen]
        return ScoreBlock(self.rows[chosen], self.score[chosen], group)

    @classmethod
    def joined(cls, blocks: Sequence[ScoreBlock]) -> ScoreBlock:
        """Rows of several blocks, at least one."""
        groups = [block.group for block in blocks if block.group is not None]
        return cls(
            np.concatenate([block.rows for block in blocks]),
            np.concatenate([block.score for block in blocks]),
            np.concatenate(groups) if groups else None,
        )


class Pass(Protocol):
    """One pass over the scores."""

    def __call__(
        self, task: Callable[[Iterator[ScoreBlock]], Result], stage: str
    ) -> Iterator[Result]:
        """Run a task on the blocks of each shard, on any engine; results in the order of rows.

        Whatever the split, the blocks hold the same rows, ascending, with the same scores.
        """


@dataclass(frozen=True)
class Scored:
    """Where scores come from.

    Attributes
    ----------
    data : Data
        The dump, to say where a row lies.
    name : str
        Of the score, for messages: ``--score 'value'``.
    over : Pass
        Gives the scores, again at each call.
    lowest : bool
        Whether low ones are preferred.
    groups : int
        Groups there are, where blocks have them.
    """

    data: Data
    name: str
    over: Pass
    lowest: bool = False
    groups: int = 1

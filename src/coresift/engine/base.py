"""The seam between the methods and the machines they run on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """One ordered map.

    Every pass over data is ``engine.map(task, items)``: the task runs on each item, in any
    order and on any worker; the results come back in the order of the items, so that a
    reduction over them is the same on every engine.
    """

    @property
    def workers(self) -> int:
        """How many tasks run at the same time."""

    def map(self, task: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Results of ``task`` for each item, in the order of the items."""

    def close(self) -> None:
        """Give back what the engine holds."""

"""The seam between the methods and the machines they run on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """One ordered map.

    Every pass over data is ``engine.map(task, items)``: the task runs on each item, in any
    order and on any worker; the results come back in the order of the items, so that a
    reduction over them is the same on every engine. A task may run in another process: what it
    learns it returns, or writes to a row store; it must not change anything else.
    """

    @property
    def workers(self) -> int:
        """How many tasks run at the same time."""

    @property
    def driver(self) -> Engine:
        """One for work on arrays that this process holds: it stays in this process."""

    def map(
        self,
        task: Callable[[Item], Result],
        items: Iterable[Item],
        merge: Callable[[Result, Result], Result] | None = None,
    ) -> Iterator[Result]:
        """Results of ``task`` for each item, in the order of the items.

        With ``merge`` the results of neighbouring items may come as one: ``merge(a, b)``, where
        a is of the items before those of b, may change and return a.
        """

    def writes_to(self, folder: Path) -> bool:
        """Whether tasks had better write a large result's files themselves, and can."""

    def close(self) -> None:
        """Give back what the engine holds."""


class Shared:
    """What tasks use and nobody changes: an engine of several processes sends it to each once."""

"""An engine without threads, for tests that map many times over very little."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Inline:
    """Runs each task at once."""

    workers = 1

    def map(self, task: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        return map(task, items)

    def close(self) -> None:
        pass

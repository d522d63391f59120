"""The engine inside a task: one item after the other, since its workers are busy with tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class SerialEngine:
    """An ordered map on the calling thread."""

    workers = 1

    @property
    def driver(self) -> SerialEngine:
        """All work stays in this process."""
        return self

    def map(
        self,
        task: Callable[[Item], Result],
        items: Iterable[Item],
        merge: Callable[[Result, Result], Result] | None = None,  # noqa: ARG002
    ) -> Iterator[Result]:
        """Results in the order of the items."""
        return map(task, items)

    def writes_to(self, folder: Path) -> bool:  # noqa: ARG002
        """One process writes files; tasks only read."""
        return False

    def close(self) -> None:
        """There is nothing to give back."""

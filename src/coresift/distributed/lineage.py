"""What was written to stores and how, so that a lost worker's parts can be written again.

A store's content is a function of the tasks that wrote to it, in their order. Their results are
with the driver, which does not need them twice: only what they wrote to the lost parts is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Step:
    """A map whose tasks wrote to stores, or rows that the driver wrote.

    Attributes
    ----------
    packed : reference to Packed, or None
        The task.
    reads : frozenset of str
        Stores that it uses.
    items : list of tuple of object and set of int
        Items that wrote, and the workers whose parts they changed.
    put : tuple or None
        What the driver wrote: arguments of :meth:`Worker.put`.
    writes : set of str
        Stores that were written to.
    under_way : bool
        Whether its tasks are still running.
    """

    packed: Any = None
    reads: frozenset[str] = frozenset()
    items: list[tuple[Any, set[int]]] = field(default_factory=list)
    put: tuple[Any, ...] | None = None
    writes: set[str] = field(default_factory=set)
    under_way: bool = False

    def of(self, worker: int) -> list[Any]:
        """Items that changed a worker's parts."""
        return [item for item, workers in self.items if worker in workers]


class Lineage:
    """The steps that made the stores that are still there."""

    def __init__(self) -> None:
        self._steps: list[Step] = []

    def add(self, step: Step) -> None:
        """Remember a step that is about to be taken."""
        step.under_way = step.put is None
        self._steps.append(step)

    def over(self, step: Step) -> None:
        """The step was taken; forget it if it wrote nothing."""
        step.under_way = False
        if not step.writes:
            self._steps = [other for other in self._steps if other is not step]

    def __iter__(self) -> Iterator[Step]:
        """Steps in their order."""
        return iter(list(self._steps))

    def needed(self, alive: set[str]) -> set[str]:
        """Stores without which those that are alive could not be made again.

        Steps that only made others are forgotten.
        """
        needed = set(alive)
        kept: list[Step] = []
        for step in reversed(self._steps):
            if step.under_way or step.writes & needed:
                needed |= step.reads | step.writes
                kept.append(step)
        self._steps = kept[::-1]
        return needed

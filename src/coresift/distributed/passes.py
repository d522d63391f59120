"""One pass over items on the workers: streams of outcomes, put in order, and lost workers."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from coresift.core.errors import ResourceError
from coresift.distributed.lineage import Step
from coresift.distributed.worker import Outcome

# how often a worker is heard of in a pass whose results are merged, and after how many seconds:
# each report has sums as large as all centroids
_REPORTS = 4
_PAUSE_S = 1.0
# how often a lost worker is replaced before it is given up
ATTEMPTS = 5


class Workers(Protocol):
    """Who runs tasks, and replaces workers that are lost."""

    def started(
        self,
        worker: int,
        step: Step,
        items: Sequence[tuple[int, Any]],
        merge: Callable[[Any, Any], Any] | None,
        every: int,
        pause: float,
    ) -> Any:
        """Let a worker run a task on some items; the stream of its outcomes."""

    def heard(self, stream: Any) -> Outcome | None:
        """The next outcome of a stream; None when the worker was lost."""

    def recover(self, lost: set[int]) -> None:
        """Put new workers in the place of lost ones, and write their parts again."""

    def given_up(self, worker: int) -> ResourceError:
        """The error when a worker is lost again and again."""


class Pass:
    """A map under way.

    Parameters
    ----------
    workers : Workers
        Who runs it.
    step : Step
        Is told what was written.
    items : sequence
        What to run on.
    owners : sequence of int
        Worker of each item.
    merge : callable or None
        Merges results of neighbours; owners must then be ascending.
    """

    def __init__(
        self,
        workers: Workers,
        step: Step,
        items: Sequence[Any],
        owners: Sequence[int],
        merge: Callable[[Any, Any], Any] | None,
    ) -> None:
        self._workers = workers
        self._step = step
        self._items = items
        self._owners = owners
        self._merge = merge
        self._left: dict[int, list[int]] = {}
        for number, worker in enumerate(owners):
            self._left.setdefault(worker, []).append(number)
        self._every = {
            worker: max(1, len(numbers) // _REPORTS) for worker, numbers in self._left.items()
        }
        self._streams: dict[int, Any] = {}
        self._stopped: set[int] = set()
        self._found: dict[int, deque[Outcome]] = {worker: deque() for worker in self._left}

    def results(self) -> Iterator[Any]:
        """Results in the order of items."""
        for worker in self._left:
            self._begin(worker)
        number = attempts = 0
        while number < len(self._items):
            worker = self._owners[number]
            lost: set[int] = set()
            if not self._found[worker]:
                lost = self._listen(worker)
            if lost:
                attempts += 1
                if attempts > ATTEMPTS:
                    raise self._workers.given_up(min(lost))
                self._go_on(lost)
                continue
            outcome = self._found[worker].popleft()
            if outcome.error is not None:
                raise pickle.loads(outcome.error)  # noqa: S301  # a worker of this run made it
            number += len(outcome.items)
            yield outcome.value

    def _begin(self, worker: int) -> None:
        self._stopped.discard(worker)
        numbered = [(number, self._items[number]) for number in self._left[worker]]
        self._streams[worker] = self._workers.started(
            worker, self._step, numbered, self._merge, self._every[worker], _PAUSE_S
        )

    def _listen(self, worker: int) -> set[int]:
        """Wait for a worker's next outcome; return who was lost, if anybody."""
        outcome = self._workers.heard(self._streams[worker])
        if outcome is None or outcome.lost is not None:
            self._stopped.add(worker)
            return {worker if outcome is None or outcome.lost is None else outcome.lost}
        for number, workers in outcome.wrote.items():
            self._step.items.append((self._items[number], workers))
        self._step.writes |= outcome.stores
        del self._left[worker][: len(outcome.items)]
        self._found[worker].append(outcome)
        return set()

    def _go_on(self, lost: set[int]) -> None:
        """Start again what lost workers had not done, once the others are through."""
        for worker, left in self._left.items():
            while left and worker not in self._stopped and not self._failed(worker):
                lost = lost | self._listen(worker)
        self._workers.recover(lost)
        for worker, left in self._left.items():
            if left and worker in self._stopped:
                self._begin(worker)

    def _failed(self, worker: int) -> bool:
        """Whether the last thing heard of a worker ends the pass."""
        found = self._found[worker]
        return bool(found) and found[-1].error is not None

"""The engine of one machine: threads over shards, single-threaded BLAS inside each task."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

from threadpoolctl import threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_threads() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalEngine:
    """An ordered map on a pool of threads.

    BLAS is held to one thread until :meth:`close`: parallelism comes from the tasks, so that
    the number of threads cannot change how a product is summed. Between maps too, since the
    threads of OpenBLAS spin for a while after a product and take the tasks' processors.

    Parameters
    ----------
    threads : int, optional
        Tasks that run at the same time; all processors by default.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads or available_threads()
        # kept from map to map, so that what a thread has allocated serves again
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="coresift")
        self._limits = threadpool_limits(1, user_api="blas")

    @property
    def workers(self) -> int:
        """Tasks that run at the same time."""
        return self._threads

    @property
    def driver(self) -> LocalEngine:
        """All work stays in this process."""
        return self

    def map(
        self,
        task: Callable[[Item], Result],
        items: Iterable[Item],
        merge: Callable[[Result, Result], Result] | None = None,  # noqa: ARG002
    ) -> Iterator[Result]:
        """Results in the order of the items; at most two per thread are held at a time."""
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(self._pool.submit(task, item))
                if len(pending) >= 2 * self._threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
            wait(pending)

    def writes_to(self, folder: Path) -> bool:  # noqa: ARG002
        """One process writes files; tasks only read."""
        return False

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._limits.restore_original_limits()

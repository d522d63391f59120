"""A worker: a process with some threads, its part of each store, and the tasks on its rows."""

from __future__ import annotations

import os
import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coresift._version import __version__
from coresift.core.errors import CoresiftError, InputError, ParameterError, ResourceError
from coresift.core.memory import Budget, give_back
from coresift.distributed.packing import Packed, unpack
from coresift.distributed.rows import LocalRows
from coresift.engine.local import LocalEngine
from coresift.io.store import Scratch

# of the memory that is left, what one store may take
_STORE_SHARE = 2


@dataclass(frozen=True)
class StoreSpec:
    """What there is to know of a store to make a part of it."""

    name: str
    rows: int
    width: int
    dtype: str


@dataclass
class Outcome:
    """What became of one item, or of several whose results were merged.

    Attributes
    ----------
    items : list of int
        Their numbers, in order.
    value : object
        The result.
    wrote : dict of int to set of int
        For items that wrote to stores: the workers whose parts they changed.
    stores : set of str
        The stores that were written to.
    error : bytes or None
        The exception, pickled, that ended the work on the last item.
    lost : int or None
        The worker that could not be reached, where that is why.
    """

    items: list[int]
    value: Any = None
    wrote: dict[int, set[int]] = field(default_factory=dict)
    stores: set[str] = field(default_factory=set)
    error: bytes | None = None
    lost: int | None = None

    def merged(self, after: Outcome, merge: Callable[[Any, Any], Any]) -> Outcome:
        """Take in what comes after."""
        value = merge(self.value, after.value)
        return Outcome(
            self.items + after.items, value, self.wrote | after.wrote, self.stores | after.stores
        )


class PeerLostError(Exception):
    """Another worker could not be reached."""

    def __init__(self, worker: int) -> None:
        super().__init__(worker)
        self.worker = worker


class Worker:
    """What runs in each process; a Ray actor is made of it.

    Parameters
    ----------
    index : int
        Which worker this is.
    threads : int
        Tasks at the same time.
    memory : int or None
        Bytes that the process may hold; None is a share of what is free.
    sharing : int
        Workers on this machine.
    folder : str or None
        Scratch folder.
    """

    def __init__(
        self, index: int, threads: int, memory: int | None, sharing: int, folder: str | None
    ) -> None:
        self.index = index
        self._engine = LocalEngine(threads)
        default = Budget.default().total // sharing
        self._budget = Budget(default if memory is None else memory // sharing)
        self._scratch = Scratch(folder)
        self._stores: dict[str, LocalRows] = {}
        self._files: dict[str, Scratch] = {}
        self._shared: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._peers: list[Any] = []
        self._item = threading.local()
        self._replaying = False

    def about(self) -> dict[str, Any]:
        """Who this is."""
        return {"version": __version__, "host": socket.gethostname(), "pid": os.getpid()}

    def node(self) -> str:
        """The machine, as Ray names it."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def sees(self, path: str) -> bool:
        """Whether there is such a file here."""
        return Path(path).exists()

    def meet(self, peers: list[Any]) -> None:
        """Learn how to reach all workers."""
        self._peers = peers

    def make(self, specs: Sequence[StoreSpec]) -> bool:
        """Make this worker's part of some stores; return whether they are in memory."""
        resident = True
        for spec in specs:
            dtype = np.dtype(spec.dtype)
            workers = len(self._peers)
            size = -(-spec.rows // workers) * spec.width * dtype.itemsize
            held = size < self._budget.left() // _STORE_SHARE
            scratch = None if held else Scratch(self._scratch.folder)
            if scratch is not None:
                self._files[spec.name] = scratch
                resident = False
            shape = spec.name, spec.rows, spec.width, dtype
            self._stores[spec.name] = LocalRows(*shape, workers, self, self.index, scratch)
        return resident

    def forget(self, stores: Sequence[str], shared: Sequence[str]) -> None:
        """Free what is not needed any more."""
        for name in stores:
            self._stores.pop(name, None)
            if name in self._files:
                self._files.pop(name).close()
        with self._lock:
            for name in shared:
                self._shared.pop(name, None)
        give_back()

    def run(
        self,
        packed: Packed,
        items: Sequence[tuple[int, Any]],
        merge: Callable[[Any, Any], Any] | None,
        every: int,
        pause: float,
        retries: int,
    ) -> Iterator[Outcome]:
        """Outcomes of a task for some numbered items, in their order.

        Parameters
        ----------
        packed : Packed
            The task.
        items : sequence of tuple of int and object
            The items.
        merge : callable or None
            Merges the values of neighbours.
        every : int
            Items that are merged at least, but for the last ones.
        pause : float
            Seconds from one report to the next at least, but for the last one.
        retries : int
            How often a failed item is tried again.
        """
        task = self._load(packed)

        def guarded(item: tuple[int, Any]) -> Outcome:
            return self._outcome(task, item, retries)

        waiting: Outcome | None = None
        reported = time.monotonic()
        for outcome in self._engine.map(guarded, items):
            if outcome.error is not None or merge is None:
                if waiting is not None:
                    yield waiting
                waiting = None
                yield outcome
            elif waiting is None:
                waiting = outcome
            else:
                waiting = waiting.merged(outcome, merge)
            late = time.monotonic() >= reported + pause
            if waiting is not None and len(waiting.items) >= every and late:
                yield waiting
                waiting = None
                reported = time.monotonic()
            if outcome.error is not None:
                return
        if waiting is not None:
            yield waiting

    def replay(self, packed: Packed, items: Sequence[Any]) -> None:
        """Write again to this worker's parts what some items wrote to them."""
        self._replaying = True
        try:
            for _ in self._engine.map(self._load(packed), items):
                pass
        finally:
            self._replaying = False

    def fetch(self, name: str, worker: int, rows: slice | NDArray[np.int64]) -> NDArray[Any]:
        """A copy of some rows of a worker's part."""
        if worker == self.index:
            return self._stores[name].own(rows)
        return np.asarray(self._ask(worker, "fetch", name, worker, rows))

    def put(
        self, name: str, worker: int, rows: int | NDArray[np.int64], values: NDArray[Any]
    ) -> None:
        """Write to a worker's part; -1 only says that this worker's own is about to be written."""
        owner = self.index if worker < 0 else worker
        wrote = getattr(self._item, "wrote", None)
        if wrote is not None:
            wrote.add(owner)
            self._item.stores.add(name)
        if worker < 0:
            return
        if worker == self.index:
            self._stores[name].set_own(rows, values)
        elif not self._replaying:
            self._ask(worker, "put", name, worker, rows, values)

    def freed(self, name: str) -> None:
        """Stores are forgotten when the driver says so."""

    def _ask(self, worker: int, what: str, *arguments: object) -> Any:
        import ray
        from ray.exceptions import RayActorError

        try:
            return ray.get(getattr(self._peers[worker], what).remote(*arguments))
        except RayActorError:
            raise PeerLostError(worker) from None

    def _load(self, packed: Packed) -> Any:
        import ray

        def load(kind: str, name: str) -> Any:
            if kind == "store":
                return self._stores[name]
            with self._lock:
                if name not in self._shared:
                    self._shared[name] = self._load(ray.get(packed.shared[name]))
                return self._shared[name]

        return unpack(packed, load)

    def _outcome(self, task: Callable[[Any], Any], item: tuple[int, Any], retries: int) -> Outcome:
        number, argument = item
        wrote = self._item.wrote = set[int]()
        stores = self._item.stores = set[str]()
        try:
            value = self._tried(task, argument, retries)
        except PeerLostError as error:
            return Outcome([number], error=b"", lost=error.worker)
        except Exception as error:  # noqa: BLE001  # the driver raises it
            return Outcome([number], error=_pickled(error, socket.gethostname()))
        finally:
            self._item.wrote = None
        return Outcome([number], value, {number: wrote} if wrote else {}, stores)

    def _tried(self, task: Callable[[Any], Any], argument: object, retries: int) -> Any:
        for _ in range(retries):
            try:
                return task(argument)
            except (OSError, InputError, ResourceError):
                # a file system may have had a bad moment
                continue
        return task(argument)


def _pickled(error: Exception, host: str) -> bytes:
    """An error that says on which machine it happened."""
    if isinstance(error, CoresiftError) and not isinstance(error, ParameterError):
        error.message = f"{error.message} (on {host})"
        error.args = (error.message,)
    try:
        return pickle.dumps(error)
    except Exception:  # noqa: BLE001  # some errors of libraries cannot be pickled
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error} (on {host})"))

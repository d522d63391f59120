"""The engine of a Ray cluster: one ordered map over workers that each have a part of the rows."""

from __future__ import annotations

import itertools
import logging
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from coresift._version import __version__
from coresift.core.errors import ResourceError
from coresift.distributed.connect import connect
from coresift.distributed.lineage import Lineage, Step
from coresift.distributed.packing import pack
from coresift.distributed.passes import ATTEMPTS, Pass
from coresift.distributed.placing import place
from coresift.distributed.rows import RemoteRows
from coresift.distributed.worker import Outcome, StoreSpec, Worker
from coresift.engine.base import Shared
from coresift.engine.local import LocalEngine
from coresift.engine.serial import SerialEngine

Item = TypeVar("Item")
Result = TypeVar("Result")

_LOG = logging.getLogger("coresift")
_START_S = 120.0
_CPUS = 4


class RayEngine:
    """An ordered map on the workers of a Ray cluster.

    Each worker has a fixed share of the rows: its parts of all stores, and the items that start
    there. Tasks go to the data.

    Parameters
    ----------
    address : str or None
        See :func:`coresift.distributed.connect.connect`.
    threads : int or None
        Tasks at the same time on the whole cluster; all its processors by default.
    memory : int or None
        Bytes that the workers of a machine may hold together; None is a share of what is free.
    folder : str or None
        Scratch folder on each machine.
    cpus_per_worker : int
        Threads of a worker.
    gpus_per_worker : float
        GPUs that each is given.
    retries : int
        How often an item that failed to read is tried again.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        threads: int | None = None,
        memory: int | None = None,
        folder: str | None = None,
        cpus_per_worker: int = _CPUS,
        gpus_per_worker: float = 0.0,
        retries: int = 1,
    ) -> None:
        self._ray = connect(address)
        self._driver = LocalEngine(threads)
        self._options = (memory, folder)
        self._worker = self._ray.remote(
            num_gpus=gpus_per_worker,
            scheduling_strategy="SPREAD",
            max_restarts=0,
            concurrency_groups={"rows": 4},
        )(_methods(self._ray))
        self._retries = retries
        self._threads = self._sizes(threads, cpus_per_worker)
        self._actors: list[Any] = []
        self._specs: dict[str, StoreSpec] = {}
        self._dead: list[str] = []
        self._dead_shared: list[str] = []
        self._shared: dict[int, tuple[str, Any, frozenset[str]]] = {}
        self._lineage = Lineage()
        self._names = itertools.count()
        self.retried = 0
        try:
            self._actors = [self._started(index) for index in range(len(self._threads))]
            self._introduce()
        except BaseException:
            self.close()
            raise

    @property
    def workers(self) -> int:
        """Tasks that run at the same time."""
        return sum(self._threads)

    @property
    def parts(self) -> int:
        """Workers that rows are divided among."""
        return len(self._threads)

    @property
    def driver(self) -> LocalEngine:
        """Threads of this process."""
        return self._driver

    def __reduce__(self) -> tuple[type[SerialEngine], tuple[()]]:
        """Inside a task, work is done one item after the other."""
        return SerialEngine, ()

    def store(self, rows: int, width: int, dtype: np.dtype[Any]) -> RemoteRows:
        """Make an array of which each worker has a part."""
        name = f"rows-{next(self._names)}"
        spec = StoreSpec(name, rows, width, np.dtype(dtype).str)
        self._specs[name] = spec
        made = self._every("make", [spec])
        return RemoteRows(name, rows, width, np.dtype(dtype), self.parts, self, resident=all(made))

    def map(
        self,
        task: Callable[[Item], Result],
        items: Iterable[Item],
        merge: Callable[[Result, Result], Result] | None = None,
    ) -> Iterator[Result]:
        """Results in the order of the items; a worker's are merged where that is allowed."""
        every = list(items)
        if not every:
            return
        self._tidy()
        step = self._step(task)
        owners = place(every, self.parts)
        if merge is not None and owners != sorted(owners):
            merge = None
        self._lineage.add(step)
        try:
            yield from Pass(self, step, every, owners, merge).results()
        finally:
            self._lineage.over(step)

    def writes_to(self, folder: Path) -> bool:
        """Whether all workers see the folder: it is on a file system that they share."""
        with tempfile.NamedTemporaryFile(prefix=".coresift-", dir=folder) as probe:
            return all(self._every("sees", probe.name))

    def close(self) -> None:
        """Let the workers go; the cluster stays."""
        self._driver.close()
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors = []

    # what stores ask for

    def fetch(self, name: str, worker: int, rows: slice | NDArray[np.int64]) -> NDArray[Any]:
        """A copy of some rows of a worker's part."""
        return np.array(self._one(worker, "fetch", name, worker, rows))

    def put(
        self, name: str, worker: int, rows: int | NDArray[np.int64], values: NDArray[Any]
    ) -> None:
        """Write to a worker's part."""
        held = self._ray.put(np.ascontiguousarray(values))
        call = (name, worker, rows, held)
        self._one(worker, "put", *call)
        self._lineage.add(Step(put=call, writes={name}))

    def freed(self, name: str) -> None:
        """A store that nobody can reach any more; may be called at any moment."""
        self._dead.append(name)

    # workers

    def _sizes(self, threads: int | None, cpus_per_worker: int) -> list[int]:
        """Threads of each worker: as many as fit on each machine, spread evenly."""
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        cpus = [int(node["Resources"].get("CPU", 0)) for node in nodes]
        sizes: list[int] = []
        for count in cpus:
            parts = -(-count // max(1, cpus_per_worker))
            sizes += [count // parts + (index < count % parts) for index in range(parts)]
        if not sizes:
            raise ResourceError("the Ray cluster has no processors for workers")
        if threads is not None:
            while sum(sizes) > threads and len(sizes) > 1:
                sizes.pop()
            sizes[0] = min(sizes[0], threads) if len(sizes) == 1 else sizes[0]
        self._sharing = max(1, *(-(-count // max(1, cpus_per_worker)) for count in cpus))
        return sizes

    def _started(self, index: int, *, again: bool = False) -> Any:
        """A new worker; one in the place of a lost one takes no processor of its own."""
        memory, folder = self._options
        actor = self._worker.options(num_cpus=0 if again else self._threads[index])
        return actor.remote(index, self._threads[index], memory, self._sharing, folder)

    def _introduce(self) -> None:
        try:
            found = self._ray.get(
                [actor.about.remote() for actor in self._actors], timeout=_START_S
            )
        except self._ray.exceptions.GetTimeoutError:
            raise ResourceError(
                f"the Ray cluster did not start {self.parts} workers in {_START_S:.0f} s",
                hint="is it busy? `ray status` tells; --threads asks for fewer",
            ) from None
        for about in found:
            if about["version"] != __version__:
                raise ResourceError(
                    f"{about['host']} has coresift {about['version']}, and this is {__version__}",
                    hint="install the same version on all machines of the cluster",
                )
        self._ray.get([actor.meet.remote(self._actors) for actor in self._actors])

    def _every(self, what: str, *arguments: object) -> list[Any]:
        asked = [self._ask(worker, what, *arguments) for worker in range(self.parts)]
        return [
            self._one(worker, what, *arguments, asked=answer) for worker, answer in enumerate(asked)
        ]

    def _ask(self, worker: int, what: str, *arguments: object) -> Any:
        return getattr(self._actors[worker], what).remote(*arguments)

    def _one(self, worker: int, what: str, *arguments: object, asked: Any = None) -> Any:
        for _ in range(ATTEMPTS):
            try:
                return self._ray.get(asked or self._ask(worker, what, *arguments))
            except self._ray.exceptions.RayActorError:
                self.recover({worker})
                asked = None
        raise self.given_up(worker)

    def given_up(self, worker: int) -> ResourceError:
        """The error when a worker is lost again and again."""
        return ResourceError(
            f"worker {worker} of the Ray cluster was lost {ATTEMPTS} times",
            hint="was it killed for its memory? a smaller --memory may help",
        )

    def recover(self, lost: set[int]) -> None:
        """Put new workers in the place of lost ones, and write their parts again."""
        lost = lost | self._missing()
        for _ in range(ATTEMPTS):
            for worker in sorted(lost):
                self.retried += 1
                _LOG.warning("worker %d was lost: another one takes its place", worker)
                self._actors[worker] = self._started(worker, again=True)
            try:
                fresh = [self._actors[worker] for worker in sorted(lost)]
                self._ray.get([actor.meet.remote(self._actors) for actor in fresh])
                specs = list(self._specs.values())
                self._ray.get([actor.make.remote(specs) for actor in fresh])
                for step in self._lineage:
                    self._again(step, lost)
                # only now may the others read from them
                self._ray.get([actor.meet.remote(self._actors) for actor in self._actors])
            except self._ray.exceptions.RayActorError:
                # what was half written again is not gone on with
                lost = lost | self._missing()
                continue
            return
        raise self.given_up(min(lost))

    def _again(self, step: Step, lost: set[int]) -> None:
        if step.put is not None:
            if step.put[1] in lost:
                self._ray.get(self._actors[step.put[1]].put.remote(*step.put))
            return
        self._ray.get(
            [
                self._actors[worker].replay.remote(step.packed, step.of(worker))
                for worker in sorted(lost)
                if step.of(worker)
            ]
        )

    def _missing(self) -> set[int]:
        """Workers that do not answer."""
        missing = set()
        asked = [actor.about.remote() for actor in self._actors]
        for worker, answer in enumerate(asked):
            try:
                self._ray.get(answer)
            except self._ray.exceptions.RayActorError:
                missing.add(worker)
        return missing

    # tasks

    def _step(self, task: object) -> Step:
        packed = pack(task, self._share)
        return Step(packed=self._ray.put(packed), reads=packed.stores)

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
        run = self._actors[worker].run.options(num_returns="streaming")
        return run.remote(step.packed, items, merge, every, pause, self._retries)

    def heard(self, stream: Any) -> Outcome | None:
        """The next outcome of a stream; None when the worker was lost."""
        try:
            outcome: Outcome = self._ray.get(next(stream))
        except (StopIteration, self._ray.exceptions.RayActorError):
            return None
        return outcome

    def _share(self, value: Shared) -> tuple[str, Any, frozenset[str]]:
        """Put an object where workers find it, once."""
        key = id(value)
        if key not in self._shared:
            packed = pack(value, self._share)
            name = f"shared-{next(self._names)}"
            self._shared[key] = name, self._ray.put(packed), packed.stores
            weakref.finalize(value, self._unshared, key).atexit = False
        return self._shared[key]

    def _unshared(self, key: int) -> None:
        self._dead_shared.append(self._shared.pop(key)[0])

    def _tidy(self) -> None:
        """Forget stores that nobody can reach, and what made only these."""
        if not (self._dead or self._dead_shared):
            return
        dead, self._dead = set(self._dead), []
        needed = self._lineage.needed(set(self._specs) - dead)
        gone = [name for name in self._specs if name not in needed]
        self._dead = [name for name in dead if name in needed]
        for name in gone:
            del self._specs[name]
        objects, self._dead_shared = self._dead_shared, []
        self._every("forget", gone, objects)


def _methods(ray: Any) -> type:
    """The worker as Ray wants it: reading and writing rows goes on beside a task."""

    class CoresiftWorker(Worker):
        pass

    for name in ("about", "node", "sees", "meet", "make", "forget", "fetch", "put"):
        method = getattr(Worker, name)

        def call(self: Worker, *arguments: Any, _method: Callable[..., Any] = method) -> Any:
            return _method(self, *arguments)

        setattr(CoresiftWorker, name, ray.method(concurrency_group="rows")(call))
    return CoresiftWorker

"""What every verb shares: the common options, and the resources of one run."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypedDict

from coresift.core.errors import ParameterError
from coresift.core.memory import Budget, peak_rss
from coresift.core.progress import Progress, Silent
from coresift.core.size import parse_bytes
from coresift.engine.base import Engine
from coresift.engine.local import LocalEngine
from coresift.io.dump import BATCH_BYTES, RUN_BYTES, Dump, InputOptions, open_dump
from coresift.io.journal import Journal
from coresift.io.provenance import Provenance
from coresift.io.store import Scratch
from coresift.io.vectors import Vectors, ingest

if TYPE_CHECKING:
    from coresift.clustering.kmeans import FitOptions
    from coresift.distributed.engine import RayEngine

# of the budget, for the batch of one worker: it is held encoded, decoded and widened
_BATCH_SHARE = 64

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

# what decides the vectors of a dump, beside its fingerprint and the column
_OF_VECTORS = ("embedding_dtype", "where", "metric", "invalid")

RESUMED = "went on from where an earlier run was interrupted"

_CHOICES = {
    "metric": ("l2", "cosine"),
    "invalid": ("error", "drop"),
    "device": ("auto", "cpu", "cuda"),
    "engine": ("local", "ray"),
}


class CommonOptions(TypedDict, total=False):
    """Options that every verb takes; the names and defaults are the command line's."""

    embedding: str | None
    embedding_dtype: str | None
    vectors: str | Sequence[str] | None
    dtype: str | None
    dim: int | None
    where: str | None
    metric: str
    invalid: str
    seed: int
    memory: str | int | None
    threads: int | None
    device: str
    engine: str
    ray_address: str | None
    cpus_per_worker: int
    gpus_per_worker: float
    batch_rows: int | None
    scratch: str | os.PathLike[str] | None
    progress: Progress
    announce: Callable[[Provenance], None]


def as_paths(paths: Paths) -> list[str]:
    """One path or several, as a list."""
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    return [os.fspath(path) for path in given]


def absolute(path: str) -> str:
    """A path that means the same from another working directory."""
    return path if "://" in path else str(Path(path).absolute())


@dataclass
class Clock:
    """Seconds by stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    _start: float = field(default_factory=time.perf_counter)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + spent

    def report(self) -> dict[str, float]:
        """Seconds by stage and in ``total``, to the millisecond."""
        total = time.perf_counter() - self._start
        return {name: round(value, 3) for name, value in {**self.seconds, "total": total}.items()}


class Run:
    """The resources of one run: use as a context manager.

    Parameters
    ----------
    paths : path or sequence of paths
        PATHs of the dump.
    options : CommonOptions
        The common options that were given.

    Attributes
    ----------
    paths : list of str
        As given.
    options : InputOptions
        How to read the dump.
    given : frozenset of str
        Names of the common options that were given explicitly.
    seed, device : int, str
        As given or by default.
    engine, budget, scratch, progress, clock
        The resources.
    """

    def __init__(self, paths: Paths, options: CommonOptions) -> None:
        given: dict[str, Any] = {k: v for k, v in options.items() if v is not None}
        for name in options:
            if name not in CommonOptions.__annotations__:
                near = difflib.get_close_matches(name, CommonOptions.__annotations__, 1)
                raise ParameterError(
                    f"no option {name!r}", hint=f"did you mean {near[0]!r}?" if near else None
                )
        for name, allowed in _CHOICES.items():
            if name in given and given[name] not in allowed:
                raise ParameterError(
                    f"--{name} {given[name]!r} is not one of {', '.join(allowed)}",
                )
        if given.get("engine") != "ray":
            for name in ("ray_address", "cpus_per_worker", "gpus_per_worker"):
                if name in given:
                    raise ParameterError(
                        f"--{name.replace('_', '-')} is about --engine ray, which is not asked for",
                        hint="add --engine ray, or leave it out",
                    )
        self.given = frozenset(given)
        self.paths = as_paths(paths)
        vectors = given.get("vectors", ())
        self.options = InputOptions(
            embedding=given.get("embedding"),
            embedding_dtype=given.get("embedding_dtype"),
            vectors=(vectors,) if isinstance(vectors, str) else tuple(vectors),
            dtype=given.get("dtype"),
            dim=given.get("dim"),
            where=given.get("where"),
            metric=given.get("metric", "l2"),
            invalid=given.get("invalid", "error"),
        )
        self.seed = int(given.get("seed", 0))
        self.device = str(given.get("device", "auto"))
        if self.device not in ("auto", "cpu"):
            from coresift.clustering.kernels import choose_kernel

            # without a GPU, cuda is refused even where there is nothing for it to do
            choose_kernel("auto", self.device)
        self.progress: Progress = given.get("progress") or Silent()
        self._announce: Callable[[Provenance], None] | None = given.get("announce")
        threads = given.get("threads")
        if threads is not None and threads < 1:
            raise ParameterError(f"--threads {threads} is not at least 1")
        self._batch_rows: int | None = given.get("batch_rows")
        if self._batch_rows is not None and self._batch_rows < 1:
            raise ParameterError(f"--batch-rows {self._batch_rows} is not at least 1")
        memory = given.get("memory")
        self.budget = Budget(parse_bytes(memory)) if memory is not None else Budget.default()
        self._folder: str | os.PathLike[str] | None = given.get("scratch")
        self._remote: RayEngine | None = None
        self._journal: Journal | None = None
        self.engine, self.scratch = self._place(given, threads)
        self.clock = Clock()
        self._stack = ExitStack()

    def _place(self, given: dict[str, Any], threads: int | None) -> tuple[Engine, Scratch]:
        """Where tasks run and arrays lie."""
        if given.get("engine", "local") == "local":
            return LocalEngine(threads), Scratch(self._folder)
        from coresift.distributed.engine import RayEngine
        from coresift.distributed.scratch import RemoteScratch

        engine = self._remote = RayEngine(
            given.get("ray_address"),
            threads=threads,
            memory=self.budget.total if "memory" in given else None,
            folder=None if self._folder is None else os.fspath(self._folder),
            cpus_per_worker=int(given.get("cpus_per_worker", 4)),
            gpus_per_worker=float(given.get("gpus_per_worker", 0)),
        )
        return engine, RemoteScratch(engine, self._folder)

    def require_one_machine(self, what: str) -> None:
        """Refuse a cluster for what does not run on one.

        Raises
        ------
        ParameterError
            With ``--engine ray``.
        """
        if self._remote is not None:
            raise ParameterError(f"{what} runs on one machine", hint="leave out --engine ray")

    def open(self, options: InputOptions | None = None) -> Dump:
        """Open the dump: footers only."""
        dump = open_dump(self.paths, options or self.options)
        dump.rows_at_a_time = self._batch_rows
        share = self.budget.total // (_BATCH_SHARE * self.engine.workers)
        dump.batch_bytes = max(1 << 19, min(BATCH_BYTES, share))
        dump.run_bytes = max(1 << 22, min(RUN_BYTES, 2 * share))
        return dump

    def resume(self, provenance: Provenance) -> bool:
        """Remember from here on what is done; return whether an interrupted run left something.

        Raises
        ------
        ResourceError
            When the same command is running.
        """
        # on a cluster other things are remembered than on one machine
        key = provenance.key if self._remote is None else f"{provenance.key}-ray"
        journal = self._journal = Journal.open(self._folder, key)
        self._stack.enter_context(journal)
        self.scratch = self._remembering(journal)
        return journal.begun

    def _remembering(self, journal: Journal) -> Scratch:
        if self._remote is None:
            return journal
        from coresift.distributed.scratch import RemoteJournal

        return RemoteJournal(self._remote, journal)

    def announce(self, provenance: Provenance) -> None:
        """Tell whoever asked for it what the result will come from.

        A verb calls it once, when it has checked all it can and before the work; whoever is told
        may raise to stop it there.
        """
        if self._announce is not None:
            self._announce(provenance)

    def finish(self) -> None:
        """Forget how the result was reached: it is there."""
        if self._journal is not None:
            self._journal.remove()

    def vectors(
        self, dump: Dump, *, reserve: int, keep: bool, folder: Path | None = None
    ) -> Vectors:
        """Decode and check every vector, or take them as another command left them.

        Parameters
        ----------
        dump : Dump
            What to read.
        reserve : int
            Bytes to leave for the work that follows.
        keep : bool
            Whether they are left in the scratch folder for other commands.
        folder : Path, optional
            Another folder to leave them in.

        Raises
        ------
        CoresiftError
            See :func:`coresift.io.vectors.ingest`; when another command is using them.
        """
        scratch = self.scratch
        if keep and self._remote is not None:
            raise ParameterError(
                "--keep-scratch keeps vectors on one machine, and --engine ray has them on many",
                hint="leave it out",
            )
        if keep:
            options = [getattr(dump.options, name) for name in _OF_VECTORS]
            names = [dump.fingerprint.digest, dump.embedding.name, *options]
            key = hashlib.sha256(json.dumps(names).encode()).hexdigest()[:32]
            scratch = self._stack.enter_context(
                Journal.open(folder or self._folder, f"vectors-{key}")
            )
        return ingest(dump, self.engine, self.budget, scratch, self.progress, reserve=reserve)

    def fit_options(self) -> FitOptions:
        """What training is lent."""
        from coresift.clustering.kmeans import FitOptions

        return FitOptions(
            spherical=self.options.metric == "cosine",
            device=self.device,
            seed=self.seed,
            engine=self.engine,
            budget=self.budget,
            scratch=self.scratch,
            progress=self.progress,
        )

    def report(self) -> dict[str, Any]:
        """Measured cost of the run: ``seconds`` by stage and ``peak_rss_bytes``."""
        return {"seconds": self.clock.report(), "peak_rss_bytes": peak_rss()}

    def input_provenance(self, dump: Dump) -> dict[str, Any]:
        """The fields of :class:`Provenance` that describe the input."""
        options = asdict(dump.options)
        options["vectors"] = [absolute(path) for path in dump.options.vectors]
        return {
            "paths": [absolute(path) for path in self.paths],
            "options": options,
            "fingerprint": dump.fingerprint.to_json(),
            "seed": self.seed,
        }

    def __enter__(self) -> Self:
        self._stack.enter_context(self.scratch)
        self._stack.callback(self.engine.close)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

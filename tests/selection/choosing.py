"""Running a method on a dump without writing anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from coresift.clustering.saved import SavedClustering
from coresift.core.memory import Budget
from coresift.core.progress import Silent
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.distributed.engine import RayEngine
from coresift.distributed.scratch import RemoteScratch
from coresift.engine.base import Engine
from coresift.engine.local import LocalEngine
from coresift.io.dump import InputOptions, open_dump
from coresift.io.store import Scratch
from coresift.selection import registry
from coresift.selection.base import Context, Data


def choose(
    method: str,
    source: Path,
    size: str | int | None,
    params: Mapping[str, object] | None = None,
    *,
    options: InputOptions | None = None,
    clustering: Path | None = None,
    seed: int = 0,
    threads: int = 2,
    memory: int | None = None,
    engine: Engine | None = None,
) -> Selection:
    """The selection of a method by name."""
    engine = engine or LocalEngine(threads)
    with RemoteScratch(engine) if isinstance(engine, RayEngine) else Scratch() as scratch:
        context = Context(
            engine=engine,
            budget=Budget.default() if memory is None else Budget(memory),
            scratch=scratch,
            progress=Silent(),
            seed=seed,
            clustering=None if clustering is None else SavedClustering.open(clustering),
        )
        found = registry.find(method)
        data = Data(open_dump([source], options or InputOptions()), engine, Silent())
        return found.load()(
            data,
            None if size is None else Size.parse(size),
            found.params.build(params or {}, method),
            context,
        )

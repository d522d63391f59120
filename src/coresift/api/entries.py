"""The methods of a comparison, and their selections, each in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coresift.api.apart import select_apart
from coresift.api.reading import INHERITED
from coresift.api.run import CommonOptions, Run
from coresift.api.select import build_params, open_clustering
from coresift.clustering.saved import SavedClustering
from coresift.core.errors import ParameterError
from coresift.core.memory import current_rss, give_back
from coresift.core.size import Size
from coresift.io.dump import Dump
from coresift.selection import registry
from coresift.selection.option import Params
from coresift.selection.registry import Method


@dataclass(frozen=True)
class Entry:
    """A method that takes part.

    Attributes
    ----------
    method : Method
        The method.
    params : Params
        Its options, checked.
    given : dict
        Those that were given.
    clustering : SavedClustering or None
        The one that it needs.
    """

    method: Method
    params: Params
    given: dict[str, object]
    clustering: SavedClustering | None


@dataclass(frozen=True)
class Job:
    """One selection to make, and where it goes."""

    entry: Entry
    size: str
    seed: int
    path: Path


def entries_of(
    methods: Sequence[str],
    params: Mapping[str, Mapping[str, object]],
    clusters: str | os.PathLike[str] | None,
) -> list[Entry]:
    """The methods with their options; refuse what lacks something before anything runs."""
    found = []
    for name in dict.fromkeys(methods):
        method = registry.find(name)
        if method.size == "none":
            raise ParameterError(
                f"{name} takes no size, so that it cannot be compared at one",
                hint="evaluate its result by itself",
            )
        given = dict(params.get(name, {}))
        needed = "clustering" in method.needs
        clustering = open_clustering(method, clusters if needed else None)
        found.append(Entry(method, build_params(method, given), given, clustering))
    if not found:
        raise ParameterError("no method to compare", hint="give --methods random,k-center")
    for name in params:
        if name not in methods:
            raise ParameterError(
                f"--set names {name}, which is not compared", hint="add it to --methods"
            )
    return found


def jobs_of(
    entries: Sequence[Entry], sizes: Sequence[Size], seeds: range, folder: Path
) -> list[Job]:
    """By size, method and seed."""
    return [
        Job(entry, str(size), seed, folder / f"{place}-{entry.method.name}-{seed}.parquet")
        for place, size in enumerate(sizes)
        for entry in entries
        for seed in (seeds if entry.method.random else seeds[:1])
    ]


def select_all(
    run: Run,
    dump: Dump,
    jobs: Sequence[Job],
    folder: Path,
    common: CommonOptions,
    notes: list[str],
) -> list[dict[str, Any]]:
    """Make the selections, one after the other, each within what this process leaves of memory."""
    reading = {name: getattr(dump.options, name) for name in INHERITED}
    same: dict[str, Any] = {name: value for name, value in reading.items() if value is not None}
    for name in ("vectors", "dtype", "dim", "device", "batch_rows"):
        if common.get(name) is not None:
            same[name] = common[name]
    found = []
    give_back()
    with run.progress.stage("select", len(jobs)) as stage:
        for job in jobs:
            entry = job.entry
            told = select_apart(
                entry.method.name,
                paths=run.paths,
                size=job.size,
                output=str(job.path),
                params=entry.given,
                clusters=None if entry.clustering is None else str(entry.clustering.path),
                ids_only=True,
                overwrite=True,
                keep_scratch=True,
                seed=job.seed,
                memory=max(1, run.budget.total - current_rss()),
                threads=run.engine.workers,
                scratch=str(folder),
                **same,
            )
            notes += [f"{entry.method.name}: {note}" for note in told["notes"]]
            found.append(told)
            stage.advance(1)
    notes[:] = dict.fromkeys(notes)
    return found

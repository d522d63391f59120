"""The verb ``compare``: several methods at the same sizes, by the metrics of ``evaluate``."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Unpack

from coresift.api.entries import Entry, Job, entries_of, jobs_of, select_all
from coresift.api.measuring import classes, coverage_targets, reference, reserved
from coresift.api.run import CommonOptions, Paths, Run, absolute
from coresift.api.select import follow, parents_of, recorded
from coresift.clustering.saved import SavedClustering
from coresift.core.errors import ParameterError
from coresift.core.size import Size
from coresift.evaluation.base import Resources, RowSet, summarise
from coresift.evaluation.comparison import SCHEMA, TABLE, Comparison, MethodRun, standings, table_of
from coresift.evaluation.margin import FACTOR
from coresift.evaluation.panel import Panel, asked_for, needs
from coresift.evaluation.subset import SubsetFile
from coresift.io.dump import Dump
from coresift.io.journal import InUseError, Journal
from coresift.io.labels import check_label
from coresift.io.provenance import Provenance
from coresift.io.target import Target
from coresift.io.writer import PartWriter, write_manifest
from coresift.selection.influences.sources import parts_of

_MEASURED = ("standings", "seconds", "peak_rss_bytes", "output")


def compare(
    paths: Paths,
    *,
    size: int | str | Sequence[int | str],
    methods: Sequence[str],
    seeds: int = 3,
    params: Mapping[str, Mapping[str, object]] | None = None,
    clusters: str | os.PathLike[str] | None = None,
    label: str | None = None,
    metrics: Sequence[str] | None = None,
    near: float | None = None,
    repeats: int = 5,
    sample: int | None = None,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    **common: Unpack[CommonOptions],
) -> Comparison:
    """Compare methods at the same sizes, over seeds, by the metrics of ``evaluate``.

    Each selection is made as ``select`` makes it, in a process of its own. The vectors are read
    and decoded once, in the scratch folder; the subsets are then measured together, each metric
    beside its mean over the same uniform subsets of the size.

    Parameters
    ----------
    paths : path or sequence of paths
        The dump.
    size : int or str, or a sequence of them
        Counts, or shares such as ``"10%"``.
    methods : sequence of str
        Names from ``coresift methods``.
    seeds : int
        Seeds of each method, from ``seed`` on; a method that does not depend on it runs once.
    params : mapping of str to mapping, optional
        Options of the methods, by method and name.
    clusters : path, optional
        A clustering of the same dump: for the methods that need one, and to judge all by. The
        dump is then read as it was.
    label : str, optional
        Column of classes; adds the balance of classes and the accuracy of a probe.
    metrics : sequence of str, optional
        What to measure, see :func:`coresift.evaluate`.
    near : float, optional
        Largest distance of near duplicates.
    repeats : int
        Uniform subsets of each size to compare with.
    sample : int, optional
        Measure coverage from so many rows, drawn uniformly; from all by default.
    output : path, optional
        A directory for ``compare.parquet``, or one file ``X.parquet``.
    overwrite : bool
        Replace an earlier result.
    **common
        Options that every verb takes, see :class:`~coresift.api.run.CommonOptions`.

    Returns
    -------
    Comparison

    Raises
    ------
    CoresiftError
        When the run cannot go on; nothing is left under ``output``.
    """
    sizes = [size] if isinstance(size, int | str) else list(size)
    wanted = list(dict.fromkeys(Size.parse(one) for one in sizes))
    for name, value in (("--seeds", seeds), ("--repeats", repeats), ("--sample", sample)):
        if value is not None and value < 1:
            raise ParameterError(f"{name} {value} is not at least 1")
    asked = asked_for(metrics, label=label is not None, agree=False, near=near)
    entries = entries_of(methods, params or {}, clusters)
    with Run(paths, common) as run:
        run.require_one_machine("compare")
        clustering = None if clusters is None else SavedClustering.open(Path(clusters))
        dump = run.open(None if clustering is None else follow(run, clustering))
        if clustering is not None:
            clustering.provenance.require_input(
                dump, f"{clustering.path}", "give the dump it was made from, or cluster this one"
            )
        if label is not None:
            check_label(dump, label)
        for one in wanted:
            one.resolve(dump.rows)
        provenance = _provenance(run, dump, entries, clustering, wanted, seeds, repeats, sample)
        provenance.params.update(label=label, metrics=sorted(asked), near=near)
        run.announce(provenance)
        used = [*run.paths, *dump.options.vectors]
        used += [path for one in provenance.parents.values() for path in parts_of(one["path"])]
        target = None if output is None else Target(output, overwrite=overwrite, inputs=used)
        home = _home(run, f"compare-{provenance.key}")
        with target or nullcontext(), home:
            try:
                with run.clock.stage("read"):
                    _decode(run, dump, home.home)
                jobs = jobs_of(entries, wanted, range(run.seed, run.seed + seeds), home.home)
                notes: list[str] = []
                with run.clock.stage("select"):
                    costs = select_all(run, dump, jobs, home.home, common, notes)
                runs, count = _measure(
                    *(run, dump, jobs, costs, home.home, clustering, asked),
                    label=label,
                    near=near,
                    repeats=repeats,
                    sample=sample,
                    notes=notes,
                )
            finally:
                home.remove()
            fixed = frozenset(e.method.name for e in entries if not e.method.random)
            result = Comparison(
                rows_full=count,
                methods=tuple(entry.method.name for entry in entries),
                sizes=tuple(dict.fromkeys(one.size for one in runs)),
                seeds=tuple(range(run.seed, run.seed + seeds)),
                repeats=repeats,
                runs=runs,
                standings=standings(runs, fixed),
                margin=FACTOR,
                label=label,
                clusters=None if clustering is None else str(clustering.path),
                notes=tuple(notes),
                output=None if target is None else target.name,
                **run.report(),
            )
            if target is not None:
                _write(target, replace(provenance, notes=notes), result)
        return result


def _home(run: Run, key: str) -> Journal:
    """Where vectors and subsets are kept: a folder that no comparison that runs now has.

    Its name comes from what is compared, so that one that was killed leaves it to the next.
    """
    for number in itertools.count(1):
        with suppress(InUseError):
            return Journal.open(run.scratch.folder, key if number == 1 else f"{key}-{number}")
    raise AssertionError


def _provenance(
    run: Run,
    dump: Dump,
    entries: Sequence[Entry],
    clustering: SavedClustering | None,
    sizes: Sequence[Size],
    seeds: int,
    repeats: int,
    sample: int | None,
) -> Provenance:
    parents: dict[str, dict[str, str]] = {}
    if clustering is not None:
        path = absolute(str(clustering.path))
        parents["clustering"] = {"path": path, "digest": clustering.digest}
    for entry in entries:
        mine = parents_of(entry.method, entry.params, None, dump.schema)
        parents.update({f"{entry.method.name} {role}": one for role, one in mine.items()})
    methods = {entry.method.name: recorded(entry.params, dump.schema) for entry in entries}
    return Provenance(
        command="compare",
        method=",".join(methods),
        params={
            "methods": methods,
            "sizes": [str(one) for one in sizes],
            "seeds": seeds,
            "repeats": repeats,
            "sample": sample,
        },
        parents=parents,
        **run.input_provenance(dump),
    )


def _decode(run: Run, dump: Dump, folder: Path) -> None:
    """Leave the vectors in the folder; the lock on them ends with the inner run."""
    with Run(run.paths, {"scratch": folder, "threads": run.engine.workers}) as reading:
        reading.progress, reading.budget = run.progress, run.budget
        reading.vectors(dump, reserve=0, keep=True)


def _measure(
    run: Run,
    dump: Dump,
    jobs: Sequence[Job],
    costs: Sequence[dict[str, Any]],
    folder: Path,
    clustering: SavedClustering | None,
    asked: frozenset[str],
    *,
    label: str | None,
    near: float | None,
    repeats: int,
    sample: int | None,
    notes: list[str],
) -> tuple[tuple[MethodRun, ...], int]:
    """Measure all subsets together, each beside the uniform subsets of its size."""
    labels = {job.size: Size.parse(job.size) for job in jobs}
    rows = [one["rows_out"] for one in costs]
    taken = [*rows, *[max(rows)] * (repeats * len(labels))]
    reserve = reserved(run, dump, asked, taken, dump.embedding.dim)
    with run.clock.stage("read"):
        vectors = run.vectors(dump, reserve=reserve, keep=True, folder=folder)
        chosen = [SubsetFile.open(str(job.path)).read(vectors, dump.source) for job in jobs]
    sizes = {text: size.resolve(vectors.count) for text, size in labels.items()}
    uniform: dict[int, list[RowSet]] = {
        size: [RowSet.uniform(vectors, size, run.seed, index) for index in range(repeats)]
        for size in sizes.values()
    }
    sets = [*chosen, *(one for some in uniform.values() for one in some)]
    resources = Resources(run.engine, run.budget, run.scratch, run.progress, run.seed)
    panel = Panel(
        vectors,
        sets,
        resources,
        run.clock.stage,
        targets=coverage_targets(vectors, asked, sample, resources, notes),
        near=near,
        notes=notes,
    )
    if needs(asked, "clusters"):
        with run.clock.stage("clusters"):
            panel.grouping = reference(vectors, sets, clustering, resources, notes, dump.options)
    if label is not None and needs(asked, "--label"):
        panel.labels = classes(run, dump, label, vectors, notes)
    values = panel.measure(asked)
    # what is said of the first set is meant for a subset that stands alone
    notes[:] = [note for note in notes if "the subset's" not in note]
    runs = []
    starts = {size: len(chosen) + repeats * place for place, size in enumerate(uniform)}
    for place, (job, cost, subset) in enumerate(zip(jobs, costs, chosen, strict=True)):
        size = sizes[job.size]
        if len(subset.rows) != size:
            notes.append(f"{job.entry.method.name} chose {len(subset.rows):,} rows of {size:,}")
        start = starts[size]
        beside = [place, *range(start, start + repeats)]
        runs.append(
            MethodRun(
                job.entry.method.name,
                size,
                job.seed,
                len(subset.rows),
                cost["seconds"]["total"],
                cost["peak_rss_bytes"],
                summarise({name: found[beside] for name, found in values.items()}),
            )
        )
    return tuple(runs), vectors.count


def _write(target: Target, provenance: Provenance, result: Comparison) -> None:
    """Write the table, and beside it what was compared and how it went."""
    table = table_of(result.runs)
    path = target.staging if target.is_file else target.staging / TABLE
    with PartWriter(path, SCHEMA, provenance) as writer:
        for batch in table.to_batches():
            writer.write(batch)
    if not target.is_file:
        summary = asdict(result)
        measured = {name: summary.pop(name) for name in _MEASURED}
        del summary["runs"]
        write_manifest(target.staging, provenance, summary, measured)

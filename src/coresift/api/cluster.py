"""The verb ``cluster``: group the rows of a dump and write the clustering."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Unpack

from coresift.api.run import RESUMED, CommonOptions, Paths, Run
from coresift.clustering.assign import Assigning
from coresift.clustering.hierarchical import Level
from coresift.clustering.kernels import choose_kernel
from coresift.clustering.kmeans import KMeans, working_bytes
from coresift.clustering.output import (
    ADDED,
    write_assignments,
    write_centroids,
    write_representatives,
    write_where_they_are,
)
from coresift.clustering.request import Request
from coresift.clustering.saved import Assignments
from coresift.core.errors import ParameterError
from coresift.io.dump import Dump
from coresift.io.provenance import Provenance
from coresift.io.subset import output_columns, subset_bytes
from coresift.io.target import Target
from coresift.io.vectors import Vectors
from coresift.io.writer import write_manifest

# what may differ between two runs that give the same result
_MEASURED = ("seconds", "peak_rss_bytes", "output", "kernel")
_SPILLED = "vectors were kept in a scratch file, being larger than the memory budget"


@dataclass(frozen=True)
class ClusterResult:
    """What a clustering did.

    Attributes
    ----------
    rows, dim, k : int
        Rows assigned, their dimensions, and the clusters they were assigned to.
    levels : tuple of int
        Clusters of each level; ``(k,)`` unless it is a hierarchy.
    method, kernel : str
        How it was trained, and what found the nearest centroids.
    iterations : int
        Iterations that were run on the rows; passes of ``minibatch``, splits of ``bisecting``.
    converged : bool
        Whether it stopped before the last iteration allowed.
    cost : float
        Sum of squared distances over all rows to the final centroids.
    empty_clusters : int
        Clusters that no row belongs to.
    dropped : int
        Rows left out as invalid.
    notes : tuple of str
        What was sampled, skipped or replaced.
    seconds : dict of str to float
        ``read``, ``train``, ``assign``, ``write`` and ``total``.
    peak_rss_bytes : int
        Largest memory of the process.
    output : str
        Where the clustering is.
    """

    rows: int
    dim: int
    k: int
    levels: tuple[int, ...]
    method: str
    kernel: str
    iterations: int
    converged: bool
    cost: float
    empty_clusters: int
    dropped: int
    notes: tuple[str, ...]
    seconds: dict[str, float]
    peak_rss_bytes: int
    output: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON holds them."""
        return {**asdict(self), "levels": list(self.levels), "notes": list(self.notes)}


def cluster(
    paths: Paths,
    *,
    k: int | Sequence[int],
    output: str | os.PathLike[str],
    method: str = "kmeans",
    iterations: int | None = None,
    tol: float = 1e-4,
    seeding: str | None = None,
    seeding_rows: int | None = None,
    train_rows: int | str | None = None,
    kernel: str = "auto",
    minibatch_rows: int | None = None,
    resamples: int | None = None,
    resample_size: int | None = None,
    resampling: str | None = None,
    columns: Sequence[str] | None = None,
    prefix: str = "",
    overwrite: bool = False,
    resume: bool = False,
    keep_scratch: bool = False,
    **common: Unpack[CommonOptions],
) -> ClusterResult:
    """Cluster the rows of a dump and write the clustering.

    Parameters
    ----------
    paths : path or sequence of paths
        The dump.
    k : int or sequence of int
        Clusters; for a hierarchy those of each level, the level of the rows first.
    output : path
        Directory to write.
    method : str
        ``kmeans``, ``hierarchical``, ``bisecting`` or ``minibatch``.
    iterations, tol, seeding, seeding_rows, train_rows, kernel
        See :class:`~coresift.clustering.kmeans.KMeansParams`; ``train_rows="all"`` is the
        default. ``iterations`` are 20, and for ``minibatch`` 1: passes.
    minibatch_rows
        See :func:`~coresift.clustering.minibatch.fit_minibatch`.
    resamples, resample_size, resampling
        See :class:`~coresift.clustering.hierarchical.HierarchyParams`.
    columns : sequence of str, optional
        Input columns that the representatives hold; all by default.
    prefix : str
        Put before ``row`` and ``cluster`` in the representatives.
    overwrite : bool
        Replace an earlier result.
    resume : bool
        Go on from where the same call was interrupted; until it is done, what that takes is kept
        in the scratch folder.
    keep_scratch : bool
        Leave the decoded vectors in the scratch folder, for the next command on this dump.
    **common
        Options that every verb takes, see :class:`~coresift.api.run.CommonOptions`.

    Returns
    -------
    ClusterResult

    Raises
    ------
    CoresiftError
        When the run cannot go on; nothing is left under ``output``.
    """
    request = Request.build(
        k,
        method=method,
        iterations=iterations,
        tol=tol,
        seeding=seeding,
        seeding_rows=seeding_rows,
        train_rows=train_rows,
        kernel=kernel,
        minibatch_rows=minibatch_rows,
        resamples=resamples,
        resample_size=resample_size,
        resampling=resampling,
    )
    params = request.params
    with Run(paths, common) as run:
        choose_kernel(kernel, run.device)
        dump = run.open()
        dim = dump.embedding.dim
        request.require_rows(dump.rows)
        shape = {"columns": None if columns is None else list(columns), "prefix": prefix}
        held = output_columns(dump, ADDED, columns=columns, prefix=prefix)
        target = Target(output, overwrite=overwrite, inputs=[*run.paths, *dump.options.vectors])
        if target.is_file:
            raise ParameterError(
                f"{output}: a clustering is a directory",
                hint="give -o a name without .parquet",
            )
        clusters = 4 * params.k * dim + subset_bytes(dump, held, params.k)
        target.require_room(dump.rows * 16 + clusters)
        provenance = Provenance(
            command="cluster",
            method=method,
            params=request.told(),
            output=shape,
            **run.input_provenance(dump),
        )
        run.announce(provenance)
        resumed = run.resume(provenance) if resume else False
        with target:
            with run.clock.stage("read"):
                reserve = working_bytes(dump.rows, dim, params, run.engine.workers)
                vectors = run.vectors(dump, reserve=reserve, keep=keep_scratch)
            with run.clock.stage("train"):
                model, levels = request.fit(vectors, **run.fit_options())
            provenance = replace(provenance, notes=list(_notes(vectors, model)))
            result = _write(run, dump, vectors, model, levels, target, held, prefix, provenance)
        run.finish()
        return replace(result, notes=(*result.notes, RESUMED)) if resumed else result


def _write(
    run: Run,
    dump: Dump,
    vectors: Vectors,
    model: KMeans,
    levels: Sequence[Level],
    target: Target,
    held: Sequence[str],
    prefix: str,
    provenance: Provenance,
) -> ClusterResult:
    scratch = run.scratch.step("assign")
    totals = Assigning(vectors, model.centroids, model.labels, run.engine, run.progress, scratch)
    with run.clock.stage("write"):
        written = write_where_they_are(
            target.staging,
            totals,
            provenance,
            engine=run.engine,
            scratch=run.scratch,
            progress=run.progress,
        )
        if not written:
            write_assignments(target.staging, _timed(run, totals), provenance)
        write_centroids(target.staging, model.centroids, totals, levels, provenance)
        write_representatives(
            target.staging,
            dump,
            totals.medoid,
            held,
            prefix,
            provenance,
            vectors=vectors,
            engine=run.engine,
            progress=run.progress,
        )
    run.clock.seconds["write"] -= run.clock.seconds.setdefault("assign", 0.0)
    empty = int((totals.size == 0).sum())
    notes = list(provenance.notes)
    if empty:
        few = ": there are fewer distinct vectors than -k"
        notes.append(f"{empty:,} clusters are empty{few if provenance.method == 'kmeans' else ''}")
    spilled = [] if vectors.resident or run.scratch.keeps else [_SPILLED]
    result = ClusterResult(
        rows=vectors.count,
        dim=vectors.dim,
        k=len(model.centroids),
        levels=(len(model.centroids), *(len(level.centroids) for level in levels)),
        method=provenance.method,
        kernel=model.kernel,
        iterations=len(model.costs),
        converged=model.converged,
        cost=totals.total_cost,
        empty_clusters=empty,
        dropped=vectors.dropped,
        notes=(*notes, *spilled),
        output=target.name,
        **run.report(),
    )
    summary = {**result.to_json(), "notes": notes}
    measured = {name: summary.pop(name) for name in _MEASURED}
    write_manifest(target.staging, provenance, summary, measured)
    return result


def _timed(run: Run, totals: Assigning) -> Iterator[Assignments]:
    """Count the time that assignments take under ``assign``, apart from writing them."""
    parts = iter(totals)
    while True:
        with run.clock.stage("assign"):
            part = next(parts, None)
        if part is None:
            return
        yield part


def _notes(vectors: Vectors, model: KMeans) -> tuple[str, ...]:
    notes = list(model.notes)
    if vectors.dropped:
        notes.insert(0, f"{vectors.dropped:,} rows were left out, their vectors being invalid")
    return tuple(notes)

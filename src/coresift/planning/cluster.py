"""What a clustering would take: its parts are run on a sample, and their times scaled up."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from coresift.clustering.assign import Assigning
from coresift.clustering.bisecting import fit_bisecting
from coresift.clustering.hierarchical import HierarchyParams
from coresift.clustering.kmeans import FitOptions, KMeansParams, fit, working_bytes
from coresift.clustering.minibatch import fit_minibatch
from coresift.clustering.moves import group_count
from coresift.clustering.points import Held as HeldPoints
from coresift.clustering.projection import Projection
from coresift.clustering.request import Request
from coresift.clustering.saved import Assignments
from coresift.core.memory import current_rss
from coresift.core.progress import Silent
from coresift.io.dump import Dump
from coresift.io.store import RowStore, Scratch
from coresift.io.subset import subset_bytes
from coresift.planning.calibration import (
    Reading,
    Stopwatch,
    disk_seconds,
    read_vectors,
    timed,
    touch_seconds,
    write_table,
)
from coresift.planning.plan import Held, Plan, Stage

_PRODUCTS = 1.5e10
_LEAST_ROWS, _MOST_ROWS = 8192, 32_768
_ROWS_PER_CENTER = 8
_ITERATIONS = 4
_SPLITS = 32
_ASSIGNED = ("row", "cluster", "distance")


@dataclass(frozen=True)
class _Rates:
    """Seconds for each row, but for ``seed``: of k-means with the centers that are asked for."""

    seed: float
    seed_rows: float
    first: float
    later: float
    search: float
    known: float
    write: float
    write_bytes: float


def plan_cluster(
    dump: Dump,
    request: Request,
    columns: Sequence[str],
    machines: int,
    run: FitOptions,
) -> Plan:
    """Plan a clustering.

    Parameters
    ----------
    dump : Dump
        The input.
    request : Request
        What would run.
    columns : sequence of str
        Input columns that the representatives hold.
    machines : int
        For the estimate at 10^9 rows.
    run : FitOptions
        The resources there are.
    """
    begun = time.perf_counter()
    params, method, hierarchy = request.params, request.method, request.hierarchy
    rows, dim = dump.rows, dump.embedding.dim
    wanted = int(min(max(_PRODUCTS / (dim * params.k), _LEAST_ROWS), _MOST_ROWS))
    reading = read_vectors(dump, run["engine"], wanted)
    base = current_rss() - reading.vectors.nbytes
    size = rows * dim * dump.embedding.resident_dtype.itemsize
    disk = disk_seconds(run["scratch"].folder, size)
    rates = _rehearse(reading, params, run)
    working = working_bytes(rows, dim, params, run["engine"].workers)
    projection = Projection.suited_to(reading.vectors[:_LEAST_ROWS], params.k)
    held = Held(
        size,
        row_bytes=5 + 4 * (1 + group_count(params.k)),
        fixed_bytes=base + working - 4 * rows,
        budget=run["budget"].total,
        spare_row_bytes=0 if projection.basis is None else 4 * projection.width,
    )
    resident = held.resident(rows)
    laid_down = size * (touch_seconds(run["engine"]) if resident else disk.write)
    job = _Job(rows, size, resident, disk.read * size, 16 * params.k * dim)
    known = params.train_rows is None and params.kernel != "superkmeans"
    trained = rows if params.train_rows is None else min(rows, params.train_rows)
    spent = reading.seconds * rows + laid_down
    stages = [Stage("read", 1.0, int(reading.bytes * rows), spent)]
    if method in ("kmeans", "hierarchical"):
        stages.append(job.passes("seeding", bool(rates.seed_rows), rates.seed_rows * trained))
        stages.append(Stage("seed", 0.0, 0, rates.seed, "fixed"))
        stages.append(job.training("train", rates, trained, params.iterations))
    elif method == "bisecting":
        levels = math.log2(max(2, params.k))
        spent = _bisecting(reading, params, run) * levels * trained
        stages.append(job.passes("train", levels * (params.iterations + 2) * trained / rows, spent))
    else:
        passes = params.iterations * trained / rows
        spent = _minibatch(reading, params, request.minibatch_rows, run) * passes * rows
        stages.append(job.passes("train", passes, spent))
    if hierarchy is not None:
        stages.extend(_levels(job, rates, params, hierarchy, known=known))
    known = known and method in ("kmeans", "hierarchical") and stages[-1].name != "resample"
    stages.append(job.passes("assign", 1.0, rows * (rates.known if known else rates.search)))
    stages.append(Stage("write", 0.0, 0, rows * rates.write))
    output = int(rows * rates.write_bytes) + 4 * params.k * dim
    return Plan(
        command="cluster",
        method=method,
        rows=rows,
        dim=dim,
        stages=tuple(stage for stage in stages if stage.seconds > 0.0),
        held=held,
        scratch_bytes=0 if job.resident else size,
        output_bytes=output + subset_bytes(dump, columns, params.k),
        pass_seconds=job.pass_seconds,
        machines=machines,
        notes=_notes(params, len(reading.vectors)),
        seconds_spent=time.perf_counter() - begun,
    )


@dataclass(frozen=True)
class _Job:
    """The rows and where they are: in memory, or in a file that each pass reads."""

    rows: int
    size: int
    resident: bool
    pass_seconds: float
    reduced: int

    def passes(self, name: str, passes: float, seconds: float, reduced: int = 0) -> Stage:
        """Passes over the vectors."""
        again = 0.0 if self.resident else passes
        spent = seconds + again * self.pass_seconds
        return Stage(name, passes, int(again * self.size), spent, reduced_bytes=reduced)

    def training(self, name: str, rates: _Rates, rows: float, iterations: int) -> Stage:
        """Iterations on some of the rows, and the last assignment of these."""
        sent = (iterations + 1) * self.reduced
        spent = rows * (rates.first + rates.later * iterations)
        return self.passes(name, (iterations + 1) * rows / self.rows, spent, sent)


def _levels(
    job: _Job, rates: _Rates, params: KMeansParams, hierarchy: HierarchyParams, *, known: bool
) -> list[Stage]:
    """Training the first level again on points of each cluster, and the levels above it."""
    size = hierarchy.resample_size or job.rows // (2 * params.k)
    steps = hierarchy.resamples if size > 1 else 0
    taken = min(job.rows, size * params.k)
    above = sum(
        (1 + hierarchy.resamples) * (params.iterations + 2) * points * rates.first * k / params.k
        for points, k in itertools.pairwise(hierarchy.levels)
    )
    levels = Stage("levels above", 0.0, 0, above, "fixed")
    if not steps:
        return [levels]
    once = job.training("resample", rates, taken, params.iterations)
    searches = job.rows * (steps * rates.search - (rates.search - rates.known) * known)
    return [
        levels,
        Stage(
            "resample",
            steps * (once.passes + 1.0),
            steps * once.bytes_read + (0 if job.resident else steps * job.size),
            steps * once.seconds + searches + (0 if job.resident else steps * job.pass_seconds),
            reduced_bytes=steps * once.reduced_bytes,
        ),
    ]


def _centers(reading: Reading, params: KMeansParams) -> int:
    """How many centers the sample can train."""
    return min(params.k, max(1, len(reading.vectors) // _ROWS_PER_CENTER))


def _notes(params: KMeansParams, rows: int) -> tuple[str, ...]:
    k = min(params.k, max(1, rows // _ROWS_PER_CENTER))
    notes = [f"all {params.iterations} iterations are counted; --tol may end them earlier"]
    if k < params.k:
        notes.append(f"measured with {k:,} clusters, and scaled to {params.k:,}")
    return tuple(notes)


def _lent(run: FitOptions, scratch: Scratch, watch: Stopwatch | None = None) -> FitOptions:
    return {**run, "scratch": scratch, "progress": watch or Silent()}


def _rehearse(reading: Reading, params: KMeansParams, run: FitOptions) -> _Rates:
    """Run k-means on the sample."""
    points, rows, k = HeldPoints(reading.vectors), len(reading.vectors), _centers(reading, params)
    told = replace(
        params,
        k=k,
        iterations=min(_ITERATIONS, max(1, params.iterations)),
        tol=0.0,
        train_rows=None,
        seeding=params.seeded_by,
        seeding_rows=params.seeding_rows and min(params.seeding_rows, rows),
    )
    watch = Stopwatch()
    with Scratch(run["scratch"].folder) as scratch:
        start = time.perf_counter()
        model = fit(points, told, **_lent(run, scratch, watch))
        whole = time.perf_counter() - start
        iterations = watch.of("iteration")
        by_rows = sum(watch.of("norms") + watch.of("mean") + watch.of("seeding round"))
        seed = whole - sum(iterations) - sum(watch.of("final")) - by_rows

        def assigned(labels: RowStore | None) -> tuple[float, list[Assignments]]:
            start = time.perf_counter()
            parts = list(Assigning(points, model.centroids, labels, run["engine"], Silent()))
            return (time.perf_counter() - start) / rows, parts

        search, parts = assigned(None)
        known = assigned(model.labels)[0] if model.labels is not None else search
    more = params.k / k
    per_row = [seconds / rows for seconds in iterations]
    later = float(np.mean(per_row[-2:])) if len(per_row) > 1 else per_row[0]
    columns = {name: [getattr(part, name) for part in parts] for name in _ASSIGNED}
    table = pa.table({name: np.concatenate(found) for name, found in columns.items()})
    write, size = write_table(table, run["scratch"].folder, ascending="row")
    return _Rates(
        # of a sample whose rows grow with the centers
        seed=seed * more * (more if params.seeding_rows is None else 1.0),
        seed_rows=by_rows / rows,
        first=per_row[0] * more,
        later=later * more,
        search=search * more,
        known=known,
        write=write,
        write_bytes=size,
    )


def _bisecting(reading: Reading, params: KMeansParams, run: FitOptions) -> float:
    """Seconds for each row and halving of k."""
    points = HeldPoints(reading.vectors)
    k = min(_SPLITS, params.k, len(reading.vectors))
    told = replace(params, k=k, train_rows=None)
    with Scratch(run["scratch"].folder) as scratch:
        spent = timed(lambda: fit_bisecting(points, told, **_lent(run, scratch)))
    return spent / (len(reading.vectors) * math.log2(max(2, k)))


def _minibatch(
    reading: Reading, params: KMeansParams, minibatch_rows: int | None, run: FitOptions
) -> float:
    """Seconds for each row and pass."""
    k = _centers(reading, params)
    told = replace(params, k=k, iterations=1, train_rows=None)
    watch = Stopwatch()
    with Scratch(run["scratch"].folder) as scratch:
        lent = _lent(run, scratch, watch)
        fit_minibatch(HeldPoints(reading.vectors), told, minibatch_rows, **lent)
    return sum(watch.of("pass")) / len(reading.vectors) * params.k / k

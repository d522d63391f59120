"""What evaluate and compare measure sets with: memory, clusters, classes and targets."""

from __future__ import annotations

from collections.abc import Sequence

from coresift.api.run import Run
from coresift.clustering.points import Points, Sample, sample_rows
from coresift.clustering.saved import SavedClustering
from coresift.core.errors import MismatchError
from coresift.evaluation.base import Resources, RowSet
from coresift.evaluation.grouping import Grouping
from coresift.evaluation.panel import COVERAGE, working_bytes
from coresift.evaluation.probe import training_bytes
from coresift.io.dump import Dump, InputOptions
from coresift.io.labels import Labels, read_labels
from coresift.io.vectors import Vectors

# What a run of rows takes while it is worked on, by a worker.
_RUN_BYTES = 64 << 20
# Ids and keys of all rows while some are drawn, distances so far, classes.
_ROW_BYTES = 36
# Id and weight of a row of a set, and its share of the exact mmd.
_SET_ROW_BYTES = 24


def reserved(run: Run, dump: Dump, asked: frozenset[str], sizes: Sequence[int], dim: int) -> int:
    """What measuring sets of some sizes takes beside the vectors.

    Raises
    ------
    ResourceError
        When the budget does not even hold what is there for every row.
    """
    held = _ROW_BYTES * dump.rows + _SET_ROW_BYTES * sum(sizes)
    run.budget.require(held, f"an evaluation of {dump.rows:,} rows")
    reserve = held + _RUN_BYTES * run.engine.workers
    if not asked.isdisjoint(("probe_accuracy", "probe_accuracy_full")):
        reserve += training_bytes(dump.rows, dump.embedding.dim, run.budget)
    return reserve + working_bytes(asked, dim, len(sizes), run.engine.workers)


def reference(
    vectors: Vectors,
    sets: list[RowSet],
    clustering: SavedClustering | None,
    resources: Resources,
    notes: list[str],
    options: InputOptions,
) -> Grouping:
    """The clustering that sets are judged by: the one at hand, or a k-means for the purpose."""
    if clustering is not None:
        if clustering.rows != vectors.count:
            raise MismatchError(
                f"{clustering.path}: {clustering.rows:,} rows are clustered, expected the "
                f"{vectors.count:,} that are kept here",
                hint="run `coresift cluster` again",
            )
        return Grouping.of_saved(clustering, sets)
    spherical = options.metric == "cosine"
    grouping = Grouping.trained(vectors, sets, resources, spherical=spherical)
    notes.append(
        f"no clustering was at hand: a k-means with k={len(grouping.size)} was trained as reference"
    )
    notes.extend(grouping.notes)
    return grouping


def coverage_targets(
    vectors: Vectors,
    asked: frozenset[str],
    sample: int | None,
    resources: Resources,
    notes: list[str],
) -> Points:
    """The rows that coverage is measured from."""
    if sample is None or sample >= vectors.count or asked.isdisjoint(COVERAGE):
        return vectors
    rows = sample_rows(vectors, sample, resources.seed, "evaluate/coverage")
    notes.append(
        f"coverage was measured from {sample:,} of {vectors.count:,} rows, drawn uniformly"
    )
    return Sample(vectors, rows, resources.budget, resources.scratch)


def classes(run: Run, dump: Dump, label: str, vectors: Vectors, notes: list[str]) -> Labels:
    """Read the class of each row."""
    with run.clock.stage("label"):
        labels = read_labels(dump, label, vectors.kept, run.engine, run.progress)
    if labels.missing:
        notes.append(f"{labels.missing:,} rows have no {label!r} and are left out of its metrics")
    return labels

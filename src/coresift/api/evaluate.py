"""The verb ``evaluate``: how well a subset stands for the whole."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Unpack

from coresift.api.measuring import classes, coverage_targets, reference, reserved
from coresift.api.reading import (
    EVALUATION,
    options_of,
    read_otherwise,
    require_same_reading,
    selected_with,
)
from coresift.api.run import CommonOptions, Paths, Run, absolute
from coresift.api.validation import Asked, trained_again
from coresift.clustering.saved import SavedClustering
from coresift.core.errors import ParameterError
from coresift.evaluation.base import BETTER, Metric, Resources, RowSet, summarise
from coresift.evaluation.certificate import FITTED_ROWS, Certificate, certify
from coresift.evaluation.influence import Validation
from coresift.evaluation.mmd import Mmd
from coresift.evaluation.panel import Panel, asked_for, needs
from coresift.evaluation.subset import SubsetFile
from coresift.io.dump import Dump
from coresift.io.labels import check_label
from coresift.io.provenance import Provenance
from coresift.io.scan import Scan
from coresift.io.vectors import Vectors

_OBJECTIVES = ("kmeans", "kmedian")
_CENTERS = 64


@dataclass(frozen=True)
class Evaluation:
    """How well a subset stands for the whole.

    Attributes
    ----------
    rows_full, rows_subset : int
        Rows that match and are valid, and rows of the subset.
    weight_sum : float
        Sum of the subset's weights.
    metrics : dict of str to Metric
        By name, each beside its mean over uniform subsets of as many rows.
    repeats : int
        Uniform subsets.
    clusters : str or None
        The clustering used; None when a reference was trained.
    k : int or None
        Its clusters; None where no metric is about clusters.
    mmd_method : str or None
        ``exact`` or ``random_fourier_features``; None where it was not measured.
    mmd_bandwidth : float or None
        Of the Gaussian kernel.
    coverage_rows : int
        Rows that coverage was measured from.
    label : str or None
        The column of classes.
    coreset : Certificate or None
        The centers that costs were compared at, where that was asked for.
    influence : Validation or None
        What a probe was trained on again, where that was asked for.
    notes : tuple of str
        What was sampled, skipped or replaced.
    seconds : dict of str to float
        By stage, and in ``total``.
    peak_rss_bytes : int
        Largest memory of the process.
    """

    rows_full: int
    rows_subset: int
    weight_sum: float
    metrics: dict[str, Metric]
    repeats: int
    clusters: str | None
    k: int | None
    mmd_method: str | None
    mmd_bandwidth: float | None
    coverage_rows: int
    label: str | None
    coreset: Certificate | None
    influence: Validation | None
    notes: tuple[str, ...]
    seconds: dict[str, float]
    peak_rss_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON holds them."""
        return {**asdict(self), "notes": list(self.notes)}


def evaluate(
    subset: str | os.PathLike[str],
    *,
    full: Paths,
    clusters: str | os.PathLike[str] | None = None,
    label: str | None = None,
    metrics: Sequence[str] | None = None,
    agree: str | None = None,
    near: float | None = None,
    repeats: int = 5,
    sample: int | None = None,
    coreset: bool = False,
    centers: int | None = None,
    k: int | None = None,
    objective: str | None = None,
    influence: bool = False,
    target: str | os.PathLike[str] | None = None,
    l2: float | None = None,
    subsets: int | None = None,
    remove: int | None = None,
    keep_scratch: bool = False,
    **common: Unpack[CommonOptions],
) -> Evaluation:
    """Measure how well a subset stands for the whole, beside uniform subsets of its size.

    Vectors are read from the full data by row id. Unless they are given, the embedding,
    filter, metric and treatment of invalid rows are those the subset was selected with.

    Parameters
    ----------
    subset : path
        What ``select`` wrote, or any Parquet file or directory with a column ``row`` and, if
        rows do not weigh the same, ``weight``.
    full : path or sequence of paths
        The dump that the rows are of.
    clusters : path, optional
        A clustering of the same dump. By default that which the subset was selected with, or
        else a k-means trained for the purpose.
    label : str, optional
        Column of classes; adds the balance of classes and the accuracy of a probe.
    metrics : sequence of str, optional
        What to measure: names of metrics, and the words ``usual``, which is the default, and
        ``all``.
    agree : str, optional
        Another column of vectors; adds how far both agree on which rows are alike.
    near : float, optional
        Largest distance of near duplicates; by default a tenth of the median distance.
    repeats : int
        Uniform subsets to compare with.
    sample : int, optional
        Measure coverage from so many rows, drawn uniformly; from all by default.
    coreset : bool
        Look for the centers at which the weighted cost is farthest from that of all rows.
    centers : int, optional
        Sets of centers to look at for that, for the subset and for each uniform one; 64 by
        default.
    k : int, optional
        Centers of a set; by default as many as the clustering has.
    objective : {"kmeans", "kmedian"}, optional
        What cost is; by default that which the subset was selected for, or else ``kmeans``.
    influence : bool
        Train a probe on ``label`` again without some rows, and compare the loss on ``target`` with
        what the column ``score`` of the subset, and influence computed anew, say of it.
    target : path, optional
        A dump with the same columns, whose mean loss is looked at.
    l2 : float, optional
        Penalty of the probe; by default that of the selection, or else 0.01.
    subsets : int, optional
        Random halves to train on; 100 by default.
    remove : int, optional
        How many rows of highest score are left out; by default all of the subset, or of a subset
        of more than half of the rows the best tenth.
    keep_scratch : bool
        Leave the decoded vectors in the scratch folder, for the next command on this dump.
    **common
        Options that every verb takes, see :class:`~coresift.api.run.CommonOptions`.

    Returns
    -------
    Evaluation

    Raises
    ------
    CoresiftError
        When the run cannot go on.
    """
    _check({"--repeats": repeats, "--sample": sample})
    asked = asked_for(metrics, label=label is not None, agree=agree is not None, near=near)
    _check({"--centers": centers, "-k": k, "--objective": objective}, coreset=coreset)
    again = Asked.of(
        influence=influence,
        label=label,
        options={
            "--target": None if target is None else os.fspath(target),
            "--l2": l2,
            "--subsets": subsets,
            "--remove": remove,
        },
    )
    with Run(full, common) as run:
        chosen = SubsetFile.open(os.fspath(subset))
        given = None if clusters is None else SavedClustering.open(Path(clusters))
        dump = run.open(options_of(run, chosen.provenance, given))
        if chosen.provenance is not None:
            chosen.provenance.require_input(
                dump, chosen.path, "give --full the dump that the rows were selected from"
            )
        notes = read_otherwise(dump, chosen)
        if run.device == "cuda":
            notes.append("evaluate ran on the CPU: it has no work for --device cuda")
        if label is not None:
            check_label(dump, label)
        other = None if agree is None else _other(run, dump, agree)
        if again is not None:
            again.open(dump)
        if given is not None:
            require_same_reading(dump, given, *EVALUATION)
            clustering: SavedClustering | None = given
        else:
            clustering = selected_with(dump, chosen.provenance, notes)
        recorded = {
            "label": label,
            "metrics": sorted(asked),
            "agree": agree,
            "near": near,
            "repeats": repeats,
            "sample": sample,
            "coreset": coreset,
            "centers": centers,
            "k": k,
            "objective": objective,
            "influence": None if again is None else asdict(again),
        }
        run.announce(_origin(run, dump, chosen, clustering, recorded))
        sets, vectors = _row_sets(
            run, dump, chosen, repeats, notes, asked, other, again, keep_scratch
        )
        resources = Resources(run.engine, run.budget, run.scratch, run.progress, run.seed)
        panel = Panel(
            vectors,
            sets,
            resources,
            run.clock.stage,
            targets=coverage_targets(vectors, asked, sample, resources, notes),
            near=near,
            other=None if other is None else other.take,
            notes=notes,
        )
        if coreset or needs(asked, "clusters"):
            with run.clock.stage("clusters"):
                panel.grouping = reference(
                    vectors, sets, clustering, resources, notes, dump.options
                )
        if label is not None and (again is not None or needs(asked, "--label")):
            panel.labels = classes(run, dump, label, vectors, notes)
        values = panel.measure(asked)
        certificate = None
        if coreset:
            assert panel.grouping is not None
            grouping = panel.grouping
            with run.clock.stage("coreset"):
                found, certificate = certify(
                    vectors,
                    sets,
                    resources,
                    k=len(grouping.size) if k is None else k,
                    objective=objective or _objective(chosen),
                    count=centers or _CENTERS,
                    known=grouping.centroids,
                )
            values.update(found)
            if len(sets[0].rows) > FITTED_ROWS:
                notes.append(
                    f"centers were fitted to {FITTED_ROWS:,} of the {len(sets[0].rows):,} rows of "
                    f"{chosen.path}, drawn uniformly"
                )
        found, validation = trained_again(
            run, dump, again, chosen, panel.labels, vectors, resources, repeats, notes
        )
        values.update(found)
        if panel.mmd is not None:
            notes.append(_how(panel.mmd, vectors))
        return Evaluation(
            rows_full=vectors.count,
            rows_subset=len(sets[0].rows),
            weight_sum=float(sets[0].weight.sum()),
            metrics=summarise({name: values[name] for name in BETTER if name in values}),
            repeats=repeats,
            clusters=None if clustering is None else str(clustering.path),
            k=None if panel.grouping is None else len(panel.grouping.size),
            mmd_method=None if panel.mmd is None else panel.mmd.method,
            mmd_bandwidth=None if panel.mmd is None else panel.mmd.bandwidth,
            coverage_rows=panel.targets.count,
            label=label,
            coreset=certificate,
            influence=validation,
            notes=tuple(notes),
            **run.report(),
        )


def _origin(
    run: Run,
    dump: Dump,
    chosen: SubsetFile,
    clustering: SavedClustering | None,
    asked: dict[str, Any],
) -> Provenance:
    """What an evaluation comes from."""
    digests = {"subset": (chosen.path, chosen.dump.fingerprint.digest)}
    if clustering is not None:
        digests["clustering"] = (str(clustering.path), clustering.digest)
    return Provenance(
        command="evaluate",
        method="",
        params=asked,
        parents={
            role: {"path": absolute(path), "digest": digest}
            for role, (path, digest) in digests.items()
        },
        **run.input_provenance(dump),
    )


def _check(options: Mapping[str, int | str | None], *, coreset: bool = True) -> None:
    """Refuse options out of bounds, and those of a certificate that is not asked for."""
    for name, value in options.items():
        if value is not None and not coreset:
            raise ParameterError(
                f"{name} is about --coreset, which is missing", hint="add --coreset"
            )
        if isinstance(value, int) and value < 1:
            raise ParameterError(f"{name} {value} is not at least 1")
        if isinstance(value, str) and value not in _OBJECTIVES:
            raise ParameterError(f"{name} {value!r} is not one of {', '.join(_OBJECTIVES)}")


def _objective(chosen: SubsetFile) -> str:
    """What the subset was selected for, where it is a coreset."""
    params = {} if chosen.provenance is None else chosen.provenance.params
    found = str(params.get("objective"))
    return found if found in _OBJECTIVES else "kmeans"


def _row_sets(
    run: Run,
    dump: Dump,
    chosen: SubsetFile,
    repeats: int,
    notes: list[str],
    asked: frozenset[str],
    other: Scan | None,
    again: Asked | None,
    keep: bool,
) -> tuple[list[RowSet], Vectors]:
    """Vectors of the full data; the subset, and uniform subsets of its size."""
    dim = max(dump.embedding.dim, 0 if other is None else other.dim)
    reserve = reserved(run, dump, asked, [chosen.dump.rows] * (1 + repeats), dim)
    if again is not None:
        reserve += again.reserve(dump, run.budget)
    with run.clock.stage("read"):
        vectors = run.vectors(dump, reserve=reserve, keep=keep)
        subset = chosen.read(vectors, dump.source)
        size = len(subset.rows)
        drawn = [RowSet.uniform(vectors, size, run.seed, index) for index in range(repeats)]
    if vectors.dropped:
        notes.append(f"{vectors.dropped:,} rows were left out, their vectors being invalid")
    return [subset, *drawn], vectors


def _other(run: Run, dump: Dump, column: str) -> Scan:
    """The vectors of another model for the same rows."""
    if column == dump.embedding.name:
        raise ParameterError(
            f"--agree {column!r} is the column that rows are compared by",
            hint="name a column with the vectors of another model",
        )
    options = replace(dump.options, embedding=column, embedding_dtype=None, vectors=())
    options = replace(options, dtype=None, dim=None)
    found = run.open(options)
    if found.embedding.name == dump.embedding.name:
        raise ParameterError(f"--agree {column!r} names no other column")
    return Scan(found, run.engine, run.progress)


def _how(discrepancy: Mmd, vectors: Vectors) -> str:
    if discrepancy.method == "exact":
        return f"mmd: exact, over all pairs of {vectors.count:,} rows"
    return f"mmd: by 2,048 random features, as there are {vectors.count:,} rows"

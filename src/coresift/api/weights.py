"""The verb ``weights``: carry weights that were learned on a subset to all rows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from coresift.api.reading import options_of, reading_difference, require_same_reading
from coresift.api.run import CommonOptions, Paths, Run, absolute
from coresift.clustering.saved import SavedClustering
from coresift.core.errors import ParameterError
from coresift.io.dump import Dump
from coresift.io.provenance import Provenance
from coresift.io.rowfile import RowFile
from coresift.io.scan import Scan
from coresift.io.subset import SubsetWriter, output_columns, subset_bytes
from coresift.io.target import Target
from coresift.io.writer import write_manifest
from coresift.selection.base import Context
from coresift.selection.params.carrying import CarryingParams
from coresift.selection.reading.learned import Learned
from coresift.selection.weights.carried import Carried
from coresift.selection.weights.carrying import carry

_ADDED = {"row": np.dtype(np.int64), "weight": np.dtype(np.float64)}
_MEASURED = ("seconds", "peak_rss_bytes", "output")


@dataclass(frozen=True)
class WeightsResult:
    """What was carried.

    Attributes
    ----------
    method : str
        The rule.
    rows, rows_subset : int
        Rows that were given a weight, and rows it was learned on.
    weight_sum : float
        Sum of the weights.
    params : dict
        The options, as given or by default.
    resolved : dict
        What the run set itself.
    notes : tuple of str
        What was skipped or replaced.
    seconds : dict of str to float
        ``read``, ``carry``, ``write`` and ``total``.
    peak_rss_bytes : int
        Largest memory of the process.
    output : str
        Where the weights are.
    """

    method: str
    rows: int
    rows_subset: int
    weight_sum: float
    params: dict[str, Any]
    resolved: dict[str, Any]
    notes: tuple[str, ...]
    seconds: dict[str, float]
    peak_rss_bytes: int
    output: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields, as ``--json`` prints them."""
        return {**asdict(self), "notes": list(self.notes)}


def weights(
    paths: Paths,
    *,
    subset: str | os.PathLike[str],
    weights: str | os.PathLike[str],
    output: str | os.PathLike[str],
    weights_column: str | None = None,
    on: str | None = None,
    by: str = "nearest",
    neighbors: int | None = None,
    bandwidth: float | None = None,
    clusters: str | os.PathLike[str] | None = None,
    normalize: str = "none",
    columns: Sequence[str] | None = None,
    prefix: str = "",
    overwrite: bool = False,
    **common: Unpack[CommonOptions],
) -> WeightsResult:
    """Carry weights that were learned on a subset to all rows.

    Unless they are given, the embedding, filter, metric and treatment of invalid rows are those
    the subset was selected with.

    Parameters
    ----------
    paths : path or sequence of paths
        The dump.
    subset : path
        What ``select`` wrote, or any table with a column ``row``.
    weights : str or path
        The learned weights: a column of the subset, or a file with a line for each of its rows.
    output : path
        ``X.parquet`` for one file, anything else for a directory.
    weights_column : str, optional
        The column of the file; by default ``weight``, or its only number.
    on : str, optional
        The column of ids that joins the file and the subset; by default the row id.
    by : str
        ``nearest``, ``kernel`` or ``cluster``.
    neighbors, bandwidth : int and float, optional
        See :class:`~coresift.selection.params.carrying.CarryingParams`.
    clusters : path, optional
        A clustering of the same dump, for ``cluster``.
    normalize : str
        ``none``, ``mean`` or ``sum``.
    columns : sequence of str, optional
        Input columns to write too; none by default.
    prefix : str
        Put before ``row`` and ``weight``.
    overwrite : bool
        Replace an earlier result.
    **common
        Options that every verb takes, see :class:`~coresift.api.run.CommonOptions`.

    Returns
    -------
    WeightsResult

    Raises
    ------
    CoresiftError
        When the run cannot go on; nothing is left under ``output``.
    """
    params = CarryingParams.build(
        {
            "weights": os.fspath(weights),
            "weights_column": weights_column,
            "on": on,
            "by": by,
            "neighbors": neighbors,
            "bandwidth": bandwidth,
            "normalize": normalize,
        },
        "weights",
    )
    clustering = _clustering(params.by, clusters)
    with Run(paths, common) as run:
        chosen = RowFile.open(os.fspath(subset))
        dump = run.open(options_of(run, chosen.provenance, clustering))
        notes = _belongs(dump, chosen, clustering)
        if run.device == "cuda":
            notes.append("weights ran on the CPU: it has no work for --device cuda")
        shape = {"columns": None if columns is None else list(columns), "prefix": prefix}
        held = output_columns(
            dump, list(_ADDED), columns=columns, ids_only=columns is None, prefix=prefix
        )
        with run.clock.stage("read"):
            learned = Learned.read(chosen, dump, params, run.budget)
        used = [*run.paths, *dump.options.vectors, os.fspath(subset)]
        used += [] if learned.side is None else [learned.side.path]
        used += [] if clustering is None else [str(clustering.path)]
        target = Target(output, overwrite=overwrite, inputs=used)
        target.require_room(subset_bytes(dump, held, dump.rows))
        provenance = Provenance(
            command="weights",
            method=params.by,
            params=_recorded(params, learned),
            output=shape,
            parents=_parents(chosen, learned, clustering),
            **run.input_provenance(dump),
        )
        run.announce(provenance)
        scan = Scan(dump, run.engine, run.progress)
        context = Context(run.engine, run.budget, run.scratch, run.progress, run.seed, clustering)
        with target:
            with run.clock.stage("carry"):
                carried, resolved, told = carry(chosen, learned, scan, params, context)
            notes += [*learned.notes, *told]
            provenance = replace(provenance, resolved=resolved, notes=notes)
            with run.clock.stage("write"):
                _write(target.staging, dump, carried, held, prefix, provenance, run)
            result = WeightsResult(
                method=params.by,
                rows=carried.count,
                rows_subset=len(learned.rows),
                weight_sum=carried.total,
                params=params.to_json(),
                resolved=resolved,
                notes=tuple(notes),
                output=target.name,
                **run.report(),
            )
            if not target.is_file:
                summary = result.to_json()
                measured = {key: summary.pop(key) for key in _MEASURED}
                write_manifest(target.staging, provenance, summary, measured)
        return result


def _clustering(by: str, clusters: str | os.PathLike[str] | None) -> SavedClustering | None:
    if (by == "cluster") == (clusters is not None):
        return None if clusters is None else SavedClustering.open(Path(clusters))
    if clusters is None:
        raise ParameterError(
            "--by cluster needs a clustering",
            hint="run `coresift cluster PATH... -k K -o DIR`, then give --clusters DIR",
        )
    raise ParameterError(
        f"--by {by} does not use a clustering",
        hint="leave --clusters out, or add --by cluster",
    )


def _belongs(dump: Dump, subset: RowFile, clustering: SavedClustering | None) -> list[str]:
    """Refuse a subset or a clustering of another dump; note what is read otherwise."""
    if clustering is not None:
        require_same_reading(dump, clustering, "the PATHs name", "this run")
    if subset.provenance is None:
        return [f"{subset.path} has no provenance: its rows are taken to be those of the PATHs"]
    subset.provenance.require_input(
        dump, subset.path, "give the dump that the rows were selected from"
    )
    otherwise = reading_difference(dump, subset.provenance.input_options())
    notes = [] if otherwise is None else [f"the subset was selected with {otherwise}"]
    where = subset.provenance.options.get("where")
    if where is not None and dump.options.where == where:
        notes.append(f"as for the subset, only rows with --where {where!r} are read")
    return notes


def _recorded(params: CarryingParams, learned: Learned) -> dict[str, Any]:
    """The options that decide the result, with paths that mean the same from elsewhere."""
    values: dict[str, Any] = params.to_json()
    if learned.side is not None:
        values["weights"] = absolute(params.weights)
    return values


def _parents(
    subset: RowFile, learned: Learned, clustering: SavedClustering | None
) -> dict[str, dict[str, str]]:
    """Paths and digests of the other results that are used."""
    digests = {"subset": (subset.path, subset.dump.fingerprint.digest)}
    if learned.side is not None:
        digests["weights"] = (learned.side.path, learned.side.digest)
    if clustering is not None:
        digests["clustering"] = (str(clustering.path), clustering.digest)
    return {
        role: {"path": absolute(path), "digest": digest} for role, (path, digest) in digests.items()
    }


def _write(
    path: Path,
    dump: Dump,
    carried: Carried,
    columns: Sequence[str],
    prefix: str,
    provenance: Provenance,
    run: Run,
) -> None:
    kinds = {prefix + name: kind for name, kind in _ADDED.items()}
    row, weight = kinds
    with (
        run.progress.stage("write", carried.count) as stage,
        SubsetWriter(path, dump, columns, kinds, provenance, run.engine) as writer,
    ):
        for rows, values in carried:
            writer.write(rows, {row: rows, weight: values}, stage)

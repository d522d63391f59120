"""The verb ``select``: choose rows of a dump and write them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import pyarrow as pa

from coresift.api.reading import INHERITED
from coresift.api.run import RESUMED, CommonOptions, Paths, Run, absolute
from coresift.clustering.saved import SavedClustering
from coresift.core.errors import OutputError, ParameterError
from coresift.core.selection import ROW_BYTES, Dropped, Selection
from coresift.core.size import Size
from coresift.io.dump import Dump, InputOptions
from coresift.io.provenance import Provenance
from coresift.io.subset import output_columns, subset_bytes, write_subset
from coresift.io.target import Target
from coresift.io.writer import PartWriter, write_manifest
from coresift.selection import registry
from coresift.selection.base import Context, Data
from coresift.selection.influences.sources import digest_of, is_path, parts_of
from coresift.selection.option import Params
from coresift.selection.registry import Method

_MEASURED = ("seconds", "peak_rss_bytes", "output")


@dataclass(frozen=True)
class SelectResult:
    """What a selection did.

    Attributes
    ----------
    method : str
        The method.
    rows_in, rows_out : int
        Rows there were to choose from, and rows chosen.
    weight_sum : float
        Sum of the weights; near ``rows_in`` where weights stand for rows.
    params : dict
        The method's options, as given or by default.
    resolved : dict
        What the run set itself: an ``auto`` that became a number.
    notes : tuple of str
        What was sampled, skipped or replaced.
    seconds : dict of str to float
        By stage, and in ``total``.
    peak_rss_bytes : int
        Largest memory of the process.
    output : str
        Where the selection is.
    """

    method: str
    rows_in: int
    rows_out: int
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


def select(
    method: str,
    paths: Paths,
    *,
    size: int | str | None = None,
    output: str | os.PathLike[str],
    params: Mapping[str, object] | Params | None = None,
    clusters: str | os.PathLike[str] | None = None,
    columns: Sequence[str] | None = None,
    drop_embedding: bool = False,
    ids_only: bool = False,
    prefix: str = "",
    overwrite: bool = False,
    resume: bool = False,
    keep_scratch: bool = False,
    **common: Unpack[CommonOptions],
) -> SelectResult:
    """Choose rows of a dump and write them.

    Parameters
    ----------
    method : str
        A name from ``coresift methods``.
    paths : path or sequence of paths
        The dump.
    size : int or str, optional
        A count, or a share such as ``"10%"``.
    output : path
        ``X.parquet`` for one file, anything else for a directory.
    params : mapping or Params, optional
        The method's own options by name.
    clusters : path, optional
        A clustering of the same dump, for methods that need one. The selection then follows
        the clustering's embedding, filter, metric and dropped rows.
    columns : sequence of str, optional
        Input columns to write; all by default.
    drop_embedding, ids_only : bool
        Write all but the vectors, or none of the input's columns.
    prefix : str
        Put before the names of the added columns.
    overwrite : bool
        Replace an earlier result.
    resume : bool
        Go on from where the same call was interrupted; until it is done, what that takes is kept
        in the scratch folder. Methods that make one pass start over.
    keep_scratch : bool
        Leave the decoded vectors, where the method reads them more than once, in the scratch
        folder for the next command on this dump.
    **common
        Options that every verb takes, see :class:`~coresift.api.run.CommonOptions`.

    Returns
    -------
    SelectResult

    Raises
    ------
    CoresiftError
        When the run cannot go on; nothing is left under ``output``.
    """
    found = registry.find(method)
    options = build_params(found, params)
    wanted = None if size is None else Size.parse(size)
    if wanted is None and found.size == "required":
        raise ParameterError(f"{method} needs a size", hint="give -n 5000 or -n 10%")
    with Run(paths, common) as run:
        clustering = open_clustering(found, clusters)
        dump = run.open(follow(run, clustering) if clustering is not None else None)
        if clustering is not None:
            clustering.provenance.require_input(
                dump,
                f"{clustering.path}",
                "give the dump it was made from, or run `coresift cluster` on this one",
            )
        shape: dict[str, Any] = {
            "columns": None if columns is None else list(columns),
            "drop_embedding": drop_embedding,
            "ids_only": ids_only,
            "prefix": prefix,
        }
        held = output_columns(dump, found.added(clustered=clustering is not None), **shape)
        parents = parents_of(found, options, clustering, dump.schema)
        others = [path for parent in parents.values() for path in parts_of(parent["path"])]
        used = [*run.paths, *dump.options.vectors, *others]
        target = Target(
            output, overwrite=overwrite, inputs=[*used, *(table.ref.name for table in dump.tables)]
        )
        if wanted is not None:
            rows = min(dump.rows, wanted.count or wanted.resolve(dump.rows))
            run.budget.require(rows * ROW_BYTES, f"a selection of {rows:,} rows")
            target.require_room(subset_bytes(dump, held, rows))
        beside = _beside(options, overwrite, used, target)
        provenance = Provenance(
            command="select",
            method=found.name,
            params={
                **recorded(options, dump.schema),
                "size": None if wanted is None else str(wanted),
            },
            output=shape,
            parents=parents,
            **run.input_provenance(dump),
        )
        run.announce(provenance)
        resumed = run.resume(provenance) if resume else False
        stored = partial(run.vectors, dump, reserve=0, keep=True) if keep_scratch else None
        data = Data(dump, run.engine, run.progress, stored)
        context = Context(run.engine, run.budget, run.scratch, run.progress, run.seed, clustering)
        with target:
            with run.clock.stage("select"):
                selection = found.load()(data, wanted, options, context)
            provenance = replace(
                provenance, resolved=selection.resolved, notes=list(selection.notes)
            )
            result = write_selection(run, target, dump, selection, held, options, provenance)
            if beside is not None and selection.dropped is not None:
                _write_dropped(beside, selection.dropped, provenance)
        run.finish()
        return replace(result, notes=(*result.notes, RESUMED)) if resumed else result


def build_params(method: Method, params: Mapping[str, object] | Params | None) -> Params:
    """A method's own options, checked."""
    if isinstance(params, Params):
        if not isinstance(params, method.params):
            raise ParameterError(
                f"{type(params).__name__} are not the options of {method.name}",
                hint=f"give {method.params.__name__}, or a mapping",
            )
        params.check()
        return params
    return method.params.build(params or {}, method.name)


def open_clustering(
    method: Method, clusters: str | os.PathLike[str] | None
) -> SavedClustering | None:
    """The clustering that a method is given; refuse one too few or too many."""
    needed = "clustering" in method.needs
    taken = needed or "clustering" in method.takes
    if clusters is None:
        if needed:
            raise ParameterError(
                f"{method.name} needs a clustering",
                hint="run `coresift cluster PATH... -k K -o DIR`, then give --clusters DIR",
            )
        return None
    if not taken:
        raise ParameterError(
            f"{method.name} does not use a clustering", hint="leave --clusters out"
        )
    return SavedClustering.open(Path(clusters))


def follow(run: Run, clustering: SavedClustering) -> InputOptions:
    """How the clustering read its input; refuse options that say otherwise."""
    theirs = clustering.provenance.input_options()
    for name in INHERITED:
        mine = getattr(run.options, name)
        if name in run.given and mine != getattr(theirs, name):
            flag = "--" + name.replace("_", "-")
            raise ParameterError(
                f"{flag} {mine!r} is not the clustering's {getattr(theirs, name)!r}",
                hint=f"leave {flag} out, or cluster with it",
            )
    if run.options.vectors:
        given = run.options
        return replace(theirs, vectors=given.vectors, dtype=given.dtype, dim=given.dim)
    return theirs


def recorded(options: Params, schema: pa.Schema) -> dict[str, Any]:
    """The options that decide the result, with paths that mean the same from elsewhere."""
    values: dict[str, Any] = options.to_json()
    for item in options.options():
        if item.kind == "output":
            values[item.name] = None
        value = values[item.name]
        if item.kind == "path" and isinstance(value, str):
            values[item.name] = absolute(value)
        elif item.kind in ("paths", "sources") and isinstance(value, tuple):
            words = [*item.words, *(schema.names if item.kind == "sources" else [])]
            values[item.name] = [
                text if text in words else ",".join(map(absolute, parts_of(text))) for text in value
            ]
    return values


def parents_of(
    method: Method, options: Params, clustering: SavedClustering | None, schema: pa.Schema
) -> dict[str, dict[str, str]]:
    """Paths and digests of the other results that are used."""
    parents = {}
    if clustering is not None:
        parents["clustering"] = {
            "path": absolute(str(clustering.path)),
            "digest": clustering.digest,
        }
    for item in method.params.options():
        value = getattr(options, item.field)
        if item.kind not in ("path", "paths", "sources") or value is None:
            continue
        paths = [value] if isinstance(value, str) else value
        for number, path in enumerate(paths, start=1):
            if path in item.words or (item.kind == "sources" and not is_path(path, schema)):
                continue
            role = item.name if number == 1 else f"{item.name} {number}"
            where = ",".join(map(absolute, parts_of(path)))
            parents[role] = {"path": where, "digest": digest_of(path)}
    return parents


def _beside(
    options: Params, overwrite: bool, inputs: Sequence[str], target: Target
) -> Target | None:
    """Where the method's second output goes, if it has one."""
    for item in options.options():
        path = getattr(options, item.field)
        if item.kind == "output" and path is not None:
            beside = Target(path, overwrite=overwrite, inputs=inputs, flag=item.flag)
            if beside.path == target.path or target.path in beside.path.parents:
                raise OutputError(f"{item.flag} {path}: the same place as -o, or inside it")
            return beside
    return None


def _write_dropped(target: Target, dropped: Dropped, provenance: Provenance) -> None:
    """Write the rows that were dropped; all of them are in memory."""
    table = pa.table({name: pa.array(values) for name, values in dropped.columns().items()})
    with target, PartWriter(target.staging, table.schema, provenance) as writer:
        for batch in table.to_batches(max_chunksize=1 << 16):
            writer.write(batch)


def write_selection(
    run: Run,
    target: Target,
    dump: Dump,
    selection: Selection,
    held: Sequence[str],
    options: Params,
    provenance: Provenance,
) -> SelectResult:
    """Write the rows of a selection with their columns; ``target`` has been entered."""
    prefix = provenance.output["prefix"]
    added = {prefix + name: values for name, values in selection.columns().items()}
    with run.clock.stage("write"):
        write_subset(
            target.staging,
            dump,
            selection.rows,
            added,
            held,
            provenance,
            engine=run.engine,
            progress=run.progress,
        )
    result = SelectResult(
        method=provenance.method,
        rows_in=selection.rows_in,
        rows_out=len(selection.rows),
        weight_sum=float(selection.weight.sum()),
        params=options.to_json(),
        resolved=dict(selection.resolved),
        notes=selection.notes,
        output=target.name,
        **run.report(),
    )
    if not target.is_file:
        summary = result.to_json()
        measured = {key: summary.pop(key) for key in _MEASURED}
        write_manifest(target.staging, provenance, summary, measured)
    return result

"""The verbs ``bandit start``, ``ask``, ``tell`` and ``finish``: a bandit that a program scores for.

Each step is one process that may be killed at any time. ``ask`` publishes its batch before the
state knows of it: killed between the two, the same rows are asked the next time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from coresift.api.asked import Asked
from coresift.api.run import CommonOptions, Paths, Run, absolute
from coresift.api.select import SelectResult, follow, write_selection
from coresift.api.told import read_told
from coresift.clustering.saved import SavedClustering
from coresift.core.errors import InputError
from coresift.core.size import Size
from coresift.io.provenance import Provenance
from coresift.io.subset import output_columns, subset_bytes, write_subset
from coresift.io.target import Target
from coresift.io.writer import write_manifest
from coresift.selection.influences.armrows import ArmRows
from coresift.selection.methods.bandit import chosen
from coresift.selection.params.bandit import RuleParams
from coresift.selection.reading.joins import plural
from coresift.selection.registry import METHODS


@dataclass(frozen=True)
class BanditResult:
    """Where a bandit is after a step.

    Attributes
    ----------
    step : str
        ``start``, ``ask`` or ``tell``.
    state : str
        Where the state is.
    rows : int
        Rows of this step: to be drawn from, given out, or told.
    asked, told : int
        Rows asked for, and those of them that have a score.
    left : int
        Rows not asked for.
    notes : tuple of str
        What was repeated, late, left out or replaced.
    output : str or None
        Where the batch is.
    """

    step: str
    state: str
    rows: int
    asked: int
    told: int
    left: int
    notes: tuple[str, ...] = ()
    output: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields, as ``--json`` prints them."""
        return {**asdict(self), "notes": list(self.notes)}


def start(
    paths: Paths,
    *,
    clusters: str | os.PathLike[str],
    state: str | os.PathLike[str],
    params: Mapping[str, object] | None = None,
    prefix: str = "",
    overwrite: bool = False,
    **common: Unpack[CommonOptions],
) -> BanditResult:
    """Begin a bandit over the clusters of a dump.

    Parameters
    ----------
    paths : path or sequence of paths
        The dump.
    clusters : path
        A clustering of it.
    state : path
        A folder to make, which keeps what was asked and told.
    params : mapping, optional
        ``alpha``, ``batch``, ``reward``, ``top`` and ``diversity``.
    prefix : str
        Put before the names of the columns that batches and the selection add.
    overwrite : bool
        Replace an earlier state.
    **common
        Options that every verb takes, see :class:`~coresift.api.run.CommonOptions`.

    Raises
    ------
    CoresiftError
        When the input cannot be used, or the state exists.
    """
    rule = RuleParams.build(params or {}, "bandit")
    with Run(paths, common) as run:
        clustering = SavedClustering.open(Path(clusters))
        dump = run.open(follow(run, clustering))
        clustering.provenance.require_input(
            dump,
            f"{clustering.path}",
            "give the dump it was made from, or run `coresift cluster` on this one",
        )
        output_columns(dump, ["row"], ids_only=True, prefix=prefix)
        target = Target(
            state,
            overwrite=overwrite,
            inputs=[*run.paths, *dump.options.vectors, str(clustering.path)],
            flag="--state",
        )
        provenance = Provenance(
            command="bandit",
            method="state",
            params=rule.to_json(),
            output={"prefix": prefix},
            parents={
                "clustering": {
                    "path": absolute(str(clustering.path)),
                    "digest": clustering.digest,
                }
            },
            **run.input_provenance(dump),
        )
        with target:
            # it lists the files there are, and the table changes
            write_manifest(target.staging, provenance, {}, {})
            Asked.write_new(target.staging, provenance)
        rows = clustering.rows
        return BanditResult("start", target.name, rows, 0, 0, rows)


def ask(
    state: str | os.PathLike[str],
    *,
    size: int | str,
    output: str | os.PathLike[str],
    again: bool = False,
    columns: Sequence[str] | None = None,
    drop_embedding: bool = False,
    overwrite: bool = False,
    **common: Unpack[CommonOptions],
) -> BanditResult:
    """Write the rows that are to be scored next. Asked again, it gives other rows.

    Parameters
    ----------
    state : path
        What :func:`start` made.
    size : int or str
        How many rows, as a count or a share of all.
    output : path
        ``X.parquet`` for one file, anything else for a directory: ``row`` and the input's columns.
    again : bool
        Give rows that were asked before and not told, the first asked first, instead of new ones.
    columns : sequence of str, optional
        Input columns to write; all by default.
    drop_embedding : bool
        Leave the vectors out.
    overwrite : bool
        Replace an earlier batch.
    **common
        Resources, see :class:`~coresift.api.run.CommonOptions`.

    Raises
    ------
    CoresiftError
        When no row is left to ask for; the state is then as it was.
    """
    wanted = Size.parse(size)
    with Asked.open(state) as asked, _run(asked, common) as run:
        dump, clustering = asked.input(run)
        held = output_columns(
            dump, ["row"], columns=columns, drop_embedding=drop_embedding, prefix=asked.prefix
        )
        target = Target(
            output, overwrite=overwrite, inputs=[*run.paths, os.fspath(state), str(clustering.path)]
        )
        count = wanted.count or wanted.resolve(clustering.rows)
        bandit = asked.bandit(clustering)
        if again:
            rows = asked.row[asked.waiting[:count]]
        else:
            rows = ArmRows(clustering, asked.provenance.seed).rows(bandit.draw(count))
        if not len(rows):
            raise InputError(
                f"{state}: no row is waiting for its score"
                if again
                else f"{state}: no row is left, all {clustering.rows:,} were asked",
                hint="choose with `coresift bandit finish`",
            )
        target.require_room(subset_bytes(dump, held, len(rows)))
        provenance = replace(asked.provenance, method="ask", output={"prefix": asked.prefix})
        ascending = np.sort(rows)
        with target:
            write_subset(
                target.staging,
                dump,
                ascending,
                {asked.prefix + "row": ascending},
                held,
                provenance,
                engine=run.engine,
                progress=run.progress,
            )
            if not target.is_file:
                write_manifest(target.staging, provenance, {}, {})
        notes = []
        if len(rows) < count:
            why = "are waiting for their score" if again else "were left"
            notes.append(f"only {plural(len(rows), 'row')} {why}")
        if not again:
            late = len(asked.waiting)
            if late:
                notes.append(f"{plural(late, 'row')} of earlier batches without a score so far")
            asked.add(rows, bandit.arm[len(asked.row) :])
            asked.save()
        return _result("ask", asked, clustering, len(rows), notes, target.name)


def tell(
    state: str | os.PathLike[str],
    *,
    scores: str | os.PathLike[str],
    score: str | None = None,
    on: str | None = None,
    unasked: str = "error",
    replace: bool = False,
    **common: Unpack[CommonOptions],
) -> BanditResult:
    """Take the scores of rows that were asked: all of a batch or some, of the last or earlier ones.

    Parameters
    ----------
    state : path
        What :func:`start` made.
    scores : path
        A table with a line for each row.
    score : str, optional
        Its column of scores, or an expression of its columns; by default ``score``, or its only
        number.
    on : str, optional
        The column, of the dump and of the table, that tells which score is whose; by default the
        row id.
    unasked : {"error", "drop"}
        What to do with lines of rows that were never asked.
    replace : bool
        Whether another score of a row that was told before takes its place, rather than being
        refused.
    **common
        Resources, see :class:`~coresift.api.run.CommonOptions`.

    Raises
    ------
    CoresiftError
        When the table cannot be used; the state is then as it was.
    """
    with Asked.open(state) as asked, _run(asked, common) as run:
        dump, clustering = asked.input(run)
        told = read_told(
            asked, dump, os.fspath(scores), score=score, on=on, unasked=unasked, engine=run.engine
        )
        notes = [*told.notes, *told.into(asked, replaces=replace)]
        if len(asked.waiting):
            notes.append(f"{plural(len(asked.waiting), 'row')} asked without a score so far")
        asked.save()
        return _result("tell", asked, clustering, len(told.places), notes)


def finish(
    state: str | os.PathLike[str],
    *,
    size: int | str,
    output: str | os.PathLike[str],
    columns: Sequence[str] | None = None,
    drop_embedding: bool = False,
    ids_only: bool = False,
    overwrite: bool = False,
    **common: Unpack[CommonOptions],
) -> SelectResult:
    """Choose of the rows that were told a score, and write them; the state stays as it is.

    Parameters
    ----------
    state : path
        What :func:`start` made.
    size : int or str
        A count, or a share of all rows.
    output, columns, drop_embedding, ids_only, overwrite
        See :func:`coresift.select`.
    **common
        Resources, see :class:`~coresift.api.run.CommonOptions`.

    Raises
    ------
    CoresiftError
        When fewer rows have a score; nothing is left under ``output``.
    """
    wanted = Size.parse(size)
    method = METHODS["bandit"]
    with Asked.open(state) as asked, _run(asked, common) as run:
        dump, clustering = asked.input(run)
        shape: dict[str, Any] = {
            "columns": None if columns is None else list(columns),
            "drop_embedding": drop_embedding,
            "ids_only": ids_only,
            "prefix": asked.prefix,
        }
        held = output_columns(dump, method.adds, **shape)
        target = Target(
            output, overwrite=overwrite, inputs=[*run.paths, os.fspath(state), str(clustering.path)]
        )
        n = wanted.resolve(clustering.rows)
        with run.clock.stage("select"):
            selection = chosen(asked.bandit(clustering), asked.row, n, asked.params, clustering, {})
        if len(asked.waiting):
            late = f"{plural(len(asked.waiting), 'row')} asked without a score left out"
            selection = replace(selection, notes=(*selection.notes, late))
        target.require_room(subset_bytes(dump, held, n))
        provenance = replace(
            asked.provenance,
            command="select",
            method=method.name,
            params={**asked.provenance.params, "size": str(wanted)},
            output=shape,
            parents={
                **asked.provenance.parents,
                "state": {"path": absolute(os.fspath(state)), "digest": asked.digest},
            },
            resolved=selection.resolved,
            notes=list(selection.notes),
        )
        with target:
            return write_selection(run, target, dump, selection, held, asked.params, provenance)


def _run(asked: Asked, common: CommonOptions) -> Run:
    """The resources of a step; what decides the result comes from the state."""
    return Run(asked.provenance.paths, CommonOptions(**{**common, "seed": asked.provenance.seed}))


def _result(
    step: str,
    asked: Asked,
    clustering: SavedClustering,
    rows: int,
    notes: Sequence[str],
    output: str | None = None,
) -> BanditResult:
    return BanditResult(
        step=step,
        state=str(asked.path),
        rows=rows,
        asked=len(asked.row),
        told=len(asked.row) - len(asked.waiting),
        left=clustering.rows - len(asked.row),
        notes=tuple(notes),
        output=output,
    )

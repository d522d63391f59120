"""The plans of ``cluster`` and ``select``: what they would take, without doing it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Unpack

from coresift.api.run import CommonOptions, Paths, Run
from coresift.api.select import build_params, follow, open_clustering
from coresift.clustering.kernels import choose_kernel
from coresift.clustering.output import ADDED
from coresift.clustering.request import Request
from coresift.core.errors import ParameterError
from coresift.core.size import Size
from coresift.io.subset import output_columns
from coresift.planning.cluster import plan_cluster as of_cluster
from coresift.planning.plan import Plan
from coresift.planning.select import plan_select as of_select
from coresift.selection import registry
from coresift.selection.base import Context
from coresift.selection.option import Params


def plan_cluster(
    paths: Paths,
    request: Request,
    *,
    columns: Sequence[str] | None = None,
    prefix: str = "",
    machines: int = 1,
    **common: Unpack[CommonOptions],
) -> Plan:
    """Estimate what a clustering would take, by running its parts on a sample of the dump.

    Parameters
    ----------
    paths : path or sequence of paths
        The dump.
    request : Request
        What would run.
    columns, prefix
        See :func:`coresift.cluster`.
    machines : int
        For the estimate at 10^9 rows.
    **common
        Options that every verb takes, see :class:`~coresift.api.run.CommonOptions`.

    Raises
    ------
    CoresiftError
        When the run could not go on.
    """
    _require_machines(machines)
    with Run(paths, common) as run:
        run.require_one_machine("--plan")
        choose_kernel(request.params.kernel, run.device)
        dump = run.open()
        request.require_rows(dump.rows)
        held = output_columns(dump, ADDED, columns=columns, prefix=prefix)
        return of_cluster(dump, request, held, machines, run.fit_options())


def plan_select(
    method: str,
    paths: Paths,
    *,
    size: int | str | None = None,
    params: Mapping[str, object] | Params | None = None,
    clusters: str | os.PathLike[str] | None = None,
    columns: Sequence[str] | None = None,
    drop_embedding: bool = False,
    ids_only: bool = False,
    prefix: str = "",
    machines: int = 1,
    **common: Unpack[CommonOptions],
) -> Plan:
    """Estimate what a selection would take, by running its parts on a sample of the dump.

    Parameters
    ----------
    method, paths, size, params, clusters, columns, drop_embedding, ids_only, prefix
        See :func:`coresift.select`.
    machines : int
        For the estimate at 10^9 rows.
    **common
        Options that every verb takes, see :class:`~coresift.api.run.CommonOptions`.

    Raises
    ------
    CoresiftError
        When the run could not go on.
    """
    _require_machines(machines)
    found = registry.find(method)
    options = build_params(found, params)
    with Run(paths, common) as run:
        run.require_one_machine("--plan")
        clustering = open_clustering(found, clusters)
        dump = run.open(follow(run, clustering) if clustering is not None else None)
        if clustering is not None:
            clustering.provenance.require_input(
                dump, f"{clustering.path}", "give the dump it was made from"
            )
        held = output_columns(
            dump,
            found.added(clustered=clustering is not None),
            columns=columns,
            drop_embedding=drop_embedding,
            ids_only=ids_only,
            prefix=prefix,
        )
        chosen = dump.rows if size is None else Size.parse(size).resolve(dump.rows)
        context = Context(run.engine, run.budget, run.scratch, run.progress, run.seed, clustering)
        return of_select(dump, found, options, chosen, held, machines, context)


def _require_machines(machines: int) -> None:
    if machines < 1:
        raise ParameterError(f"--machines {machines} is not at least 1")

"""What influence would take: reading gradients, and products with them."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from coresift.io.dump import Dump
from coresift.planning.calibration import Reading, read_vectors, timed
from coresift.planning.plan import Stage
from coresift.selection.base import Context
from coresift.selection.params.gradients import GradientParams
from coresift.selection.sources import Opening, is_path

_SAMPLE = 4096


def plan_influence(dump: Dump, params: GradientParams, context: Context) -> tuple[list[Stage], int]:
    """Stages, and the bytes of the gradients.

    Parameters
    ----------
    dump : Dump
        The rows.
    params : GradientParams
        Gradients, target and curvature.
    context : Context
        The resources there are.
    """
    rows, engine = dump.rows, context.engine
    columns = params.gradient or (params.layer_inputs or "", params.layer_outputs or "")
    reads = moments = products = 0.0
    size = held = 0
    for name in columns:
        reading = _reading(dump, name, context)
        some = reading.vectors
        size += int(reading.bytes * rows)
        held += 0 if is_path(name, dump.schema) else 4 * rows * some.shape[1]
        reads += reading.seconds * rows
        share = rows / len(some) / engine.workers
        if params.hessian in ("fisher", "kfac"):
            wide = some.astype(np.float64)
            moments += timed(lambda wide=wide: wide.T @ wide) * share  # type: ignore[misc]
        targets = np.zeros((_targets(dump, params, name, context), some.shape[1]), np.float32)
        products += timed(lambda a=some, b=targets: a @ b.T) * share  # type: ignore[misc]
    stages = [Stage("gradients", float(len(columns)), size, reads)]
    if moments:
        stages.append(Stage("second moment", float(len(columns)), 0, moments))
    stages.append(Stage("influence", float(len(columns)), 0, products))
    return stages, held


def _reading(dump: Dump, name: str, context: Context) -> Reading:
    """What reading gradients costs a row, and some of them."""
    if not is_path(name, dump.schema):
        options = replace(dump.options, embedding=name, metric="l2")
        return read_vectors(replace(dump, options=options), context.engine, _SAMPLE)
    pool = Opening(dump, context).pool(name)
    count = min(_SAMPLE, dump.rows)
    start = time.perf_counter()
    some = pool.read(0, count)
    seconds = time.perf_counter() - start
    return Reading(some, seconds / count, 4.0 * pool.dim)


def _targets(dump: Dump, params: GradientParams, column: str, context: Context) -> int:
    """Columns of the product with the target."""
    paths = params.target or ()
    if params.how == "mean" or len(paths) > 1:
        return len(paths)
    return Opening(dump, context).target(paths[0], column, params.gradient or (column,)).rows

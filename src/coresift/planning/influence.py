"""What influence would take: reading gradients, and products with them."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from coresift.influence.probe import training_bytes
from coresift.io.dump import Dump, InputOptions, open_dump
from coresift.planning.calibration import Reading, read_vectors, timed
from coresift.planning.plan import Stage
from coresift.selection.base import Context
from coresift.selection.influences.sources import Opening, is_path
from coresift.selection.params.gradients import WORDS, GradientParams

_SAMPLE = 4096
# of the solver that fits a probe
_STEPS = 300


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
    if params.label is not None:
        return _plan_probe(dump, params, params.label, context)
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


def _plan_probe(
    dump: Dump, params: GradientParams, label: str, context: Context
) -> tuple[list[Stage], int]:
    """Of a probe: reading vectors, steps of the solver on one thread, products with the target."""
    rows, engine = dump.rows, context.engine
    reading = read_vectors(dump, engine, _SAMPLE)
    some = reading.vectors.astype(np.float64)
    first = next(iter(dump.shards([label])))
    names = next(iter(dump.read(first, [label])))[1].column(label)
    classes = max(2, len(names.unique()))
    weights = np.zeros((classes, some.shape[1]))

    def step() -> None:
        # scores of all classes, and their product with the features
        (some @ weights.T).T @ some

    fit = timed(step) * _STEPS * rows / len(some)
    paths = [path for path in params.target or () if path not in WORDS]
    # what the target does to a row's own loss is one product
    count = 1 if params.own_loss else len(paths)
    if params.how != "mean" and count == 1:
        count = open_dump(paths, InputOptions(embedding=dump.options.embedding)).rows
    flat = np.zeros((max(1, count) * classes, some.shape[1]))
    products = timed(lambda: some @ flat.T) * rows / len(some) / engine.workers
    stages = [
        Stage("read", 1.0, int(reading.bytes * rows), reading.seconds * rows),
        Stage("probe", float(_STEPS), 0, fit),
        Stage("influence", 1.0, 0, products),
    ]
    return stages, training_bytes(rows, dump.embedding.dim, classes, context.budget)


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

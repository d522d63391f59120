"""The influence of a dump's rows by a probe on their embeddings and labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.influence.base import Influence
from coresift.influence.examples import open_examples, read_examples, require_labels
from coresift.influence.probe import L2, MOST_CLASSES, Training, train, training_bytes
from coresift.influence.probe_curvature import ProbeCurvature, curvature
from coresift.influence.probe_scores import Factors, on_others, on_targets, own_loss, solved
from coresift.io.labels import check_label, read_labels
from coresift.selection.base import Context, Data
from coresift.selection.params.gradients import WORDS, GradientParams
from coresift.selection.reading.joins import plural

Kept = Callable[[], NDArray[np.bool_]]


def probe_influence(
    data: Data, params: GradientParams, label: str, context: Context
) -> tuple[Influence, Kept, dict[str, float | int | str], list[str]]:
    """Fit a probe, and make the influence of rows on a target from it.

    Parameters
    ----------
    data : Data
        The rows.
    params : GradientParams
        The probe, the target and the Hessian.
    label : str
        The column of classes.
    context : Context
        The run's resources.

    Returns
    -------
    influence : Influence
        NaN of rows without a class.
    kept : callable
        Tells which rows match, and have a vector and a class.
    resolved : dict
        What was set by itself.
    notes : list of str
        What was left out or sampled.

    Raises
    ------
    InputError
        At the first row without a class, unless such rows are dropped; at the first of the
        target whose class no row has that the probe was trained on.
    """
    dump = data.dump
    check_label(dump, label)
    paths = [path for path in params.target or () if path not in WORDS]
    aims = [open_examples(path, dump, label) for path in paths]
    reserve = training_bytes(data.rows, data.dim, MOST_CLASSES, context.budget)
    points = data.points(context, reserve)
    labels = read_labels(dump, label, points.kept, context.engine, context.progress)
    rows = points.kept_rows()
    there = np.zeros(data.rows, np.bool_)
    there[rows] = labels.codes[rows] >= 0
    require_labels(dump, label, rows[~there[rows]])
    l2 = L2 if params.l2 is None else params.l2
    training = train(points, labels, context.budget, context.seed, l2, label)
    cosine = params.similarity == "cosine"
    each = params.how != "mean" and len(aims) == 1
    systems = sum(aim.rows for aim in aims) if each or cosine else len(aims)
    found = _curvature(params, training, systems, context)
    factors = Factors(training.probe, points, labels.codes)
    notes = list(training.notes)
    if points.dropped:
        notes.append(f"{plural(points.dropped, 'row')} with an invalid vector left out")
    if labels.missing:
        notes.append(f"{plural(labels.missing, 'row')} without a {label!r} left out")
    influence: Influence
    seen: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    if aims:
        targets = [read_examples(aim, label, training, labels, context) for aim in aims]
        missed = sum(target.left_out for target in targets)
        if missed:
            notes.append(f"{plural(missed, 'target row')} without a vector or class left out")
        empty = [aim for aim, target in zip(aims, targets, strict=True) if not len(target.codes)]
        if empty:
            raise InputError(f"{empty[0].source}: no row has a {label!r}")
        seen = [(t.features, training.probe.residuals(t.features, t.codes)) for t in targets]
    if params.own_loss:
        trained = len(training.rows)
        influence = own_loss(factors, found, trained, seen, without=params.left_out)
    else:
        assert found is not None
        influence = _influence(factors, found, seen, context, each=each, cosine=cosine)
    resolved: dict[str, float | int | str] = {
        "aggregate": params.how,
        "classes": training.classes,
        "l2": l2,
    }
    if found is not None:
        notes.extend(found.notes)
        resolved["damping"] = found.damping
    return influence, lambda: there, resolved, notes


def _influence(
    factors: Factors,
    found: ProbeCurvature,
    seen: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
    context: Context,
    *,
    each: bool,
    cosine: bool,
) -> Influence:
    if not seen:
        return on_others(factors, found)
    matrices = solved(seen, found, context, each=each, cosine=cosine)
    return on_targets(factors, matrices, cosine=cosine)


def _curvature(
    params: GradientParams, training: Training, systems: int, context: Context
) -> ProbeCurvature | None:
    """The Hessian that the target asks for, if it asks for one."""
    if params.only_loss:
        return None
    few: int | None = systems or None
    if params.own_loss:
        # all other rows that are seen are one system; a row that is left out is one itself
        few = None if params.left_out else 1
    return curvature(params.curved, training, params.added, context, systems=few)

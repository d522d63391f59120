"""Weighted coresets: rows whose weighted cost is that of all rows, whatever the centers.

The constructions stand in :mod:`coresift.selection.coresets`, each with its paper: bounds of
sensitivities (``feldman_langberg``), group sampling (``groups``), lightweight coresets
(``lightweight``) and intervals (``intervals``). The first three give masses, and rows are drawn by
them; for k-center, rows are those of ``k-center``.

Rows that stand for several others (``--weight``) count so often. So coresets of shards can be put
together and reduced again: a coreset of coresets is a coreset, the errors adding up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np

from coresift.core import randomness
from coresift.core.errors import ParameterError
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.io.vectors import Vectors
from coresift.selection.base import Context, Data
from coresift.selection.coresets.feldman_langberg import Sensitivity
from coresift.selection.coresets.groups import Groups
from coresift.selection.coresets.intervals import cut
from coresift.selection.coresets.lightweight import Lightweight
from coresift.selection.coresets.rough import RoughSolution
from coresift.selection.draws.drawing import MassBlock, draw_distinct, draw_replacing
from coresift.selection.draws.line import shuffled
from coresift.selection.methods import k_center
from coresift.selection.params.coreset import CoresetParams
from coresift.selection.params.k_center import KCenterParams
from coresift.selection.reading.numbers import RowNumbers

# of a row: its cost, and what is read of it
_ROW_BYTES = 24
# of a row on a line: its value, its place in the order, and sums up to it
_LINE_BYTES = 96

_Resolved = dict[str, float | int | str]


def select(data: Data, size: Size | None, params: CoresetParams, context: Context) -> Selection:
    """Choose rows and weigh them so that costs are those of all rows.

    ``weight`` is how many rows a row stands for. Where rows are drawn, weighted sums are
    unbiased, and weights add up to the number of rows in the mean over seeds and nearly so in
    each; with ``kcenter`` and ``intervals`` they always do.
    """
    if size is None:
        raise ParameterError("coreset needs a size", hint="give -n 5000 or -n 10%")
    construction = _construction(data, params, context)
    weights = None if params.weight is None else _weights(data, params.weight, context)
    power = 2 if params.objective == "kmeans" else 1
    found: Selection
    if construction == "kcenter":
        weigh = None if weights is None else weights.take
        chosen = k_center.select(data, size, KCenterParams(), context, weigh)
        found = replace(chosen, score=None, rank=None)
    elif construction == "intervals":
        points = data.points(context, reserve=_LINE_BYTES * data.rows)
        found = _on_a_line(points, size.resolve(points.count), weights, context)
    elif construction == "lightweight":
        points = data.points(context, reserve=_ROW_BYTES * data.rows)
        n = size.resolve(points.count)
        light = Lightweight(points, power, weights, context)
        found = _drawn(light, n, points.count, weights, params, context)
        found = replace(found, notes=(*_left_out(points), *found.notes))
    else:
        clustering = context.clustering
        assert clustering is not None
        n = size.resolve(clustering.rows, what="rows of the clustering")
        rough = RoughSolution(clustering, power, weights, context.progress)
        masses: _Drawable = Sensitivity(rough)
        if construction == "group":
            masses = Groups(rough, power, params.epsilon, n)
        found = _drawn(masses, n, clustering.rows, weights, params, context)
    return replace(found, resolved={"construction": construction, **found.resolved})


def _construction(data: Data, params: CoresetParams, context: Context) -> str:
    """What is meant where it was not said; refuse a clustering too few or too many."""
    clustered = context.clustering is not None
    name = params.construction
    if params.objective == "kcenter":
        name = "kcenter"
    elif name is None and clustered:
        name = "sensitivity"
    elif name is None:
        on_a_line = params.objective == "kmedian" and data.dim == 1
        name = "intervals" if on_a_line and not params.with_replacement else "lightweight"
    what = "--objective kcenter" if name == "kcenter" else f"--construction {name}"
    if name in ("sensitivity", "group") and not clustered:
        raise ParameterError(
            f"{what} needs a clustering",
            hint="run `coresift cluster PATH... -k K -o DIR`, then give --clusters DIR",
        )
    if name not in ("sensitivity", "group") and clustered:
        raise ParameterError(f"{what} does not use a clustering", hint="leave --clusters out")
    if name == "intervals" and data.dim != 1:
        raise ParameterError(
            f"--construction intervals is for one dimension, and vectors have {data.dim}",
            hint="use sensitivity, group or lightweight",
        )
    return name


def _weights(data: Data, text: str, context: Context) -> RowNumbers:
    hint = "weights must be finite and above 0; leave rows without one out with --where"
    return RowNumbers(data, text, "--weight", context, hint=hint, positive=True)


class _Drawable(Protocol):
    """Masses on a line."""

    strata: int

    def masses(self) -> Iterator[MassBlock]:
        """Masses of all rows, in order; the same again at each call."""

    def resolved(self) -> dict[str, int]:
        """What there is to say of how they came about."""


def _drawn(
    line: _Drawable,
    n: int,
    rows: int,
    weights: RowNumbers | None,
    params: CoresetParams,
    context: Context,
) -> Selection:
    """Draw rows by their masses; a row drawn with probability p stands for 1 / p like it."""
    generator = randomness.generator(context.seed, "select coreset")
    notes: tuple[str, ...] = ()
    if params.with_replacement:
        drawn = draw_replacing(line.masses, n, generator)
        if len(drawn.rows) < n:
            notes = (f"{n:,} draws gave {len(drawn.rows):,} distinct rows",)
    else:
        purpose = "select coreset"
        masses, strata = shuffled(line.masses, line.strata, context.seed, purpose, context.budget)
        drawn = draw_distinct(masses, n, generator, strata)
    weight = drawn.weight
    if weights is not None:
        weight = weight * weights.gather(drawn.rows)
    resolved: _Resolved = {"certain_rows": drawn.certain, **line.resolved()}
    return Selection(drawn.rows, weight, rows, resolved=resolved, notes=notes)


def _on_a_line(points: Vectors, n: int, weights: RowNumbers | None, context: Context) -> Selection:
    """Choose rows that cut a line into intervals."""
    context.budget.require(_LINE_BYTES * points.count, f"{points.count:,} rows on a line")
    rows = points.kept_rows()
    values = points.take(rows)[:, 0].astype(np.float64)
    order = np.lexsort((rows, values))
    weight = np.ones(len(rows)) if weights is None else weights.gather(rows)
    found = cut(values[order], weight[order], n)
    chosen = rows[order[found.places]]
    ascending = np.argsort(chosen)
    return Selection(
        chosen[ascending],
        found.weight[ascending],
        points.count,
        resolved={"interval_error": found.error},
        notes=_left_out(points),
    )


def _left_out(points: Vectors) -> tuple[str, ...]:
    if not points.dropped:
        return ()
    return (f"{points.dropped:,} rows were left out, their vectors being invalid",)

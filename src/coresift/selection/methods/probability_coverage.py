"""Coverage in the space of predicted probabilities.

Kang, Lee, Jang, Kim and Hwang, "PCoreSet: Effective Active Learning through Knowledge
Distillation from Vision-Language Models", 2025: from the labelled rows L on, the next one is

    x* = argmax_x min_{l in L} || p(x) - p(l) ||_2,

p a model's probabilities of the classes, and x* is one of L from then on. L is at first a number
of rows drawn uniformly from each class (one, or ``shots``), and later what was labelled in the
rounds before: ``--given``.

From the published code are the distance, the order, ties to the first row, and the
start by the classes of ``--label``. Decided here: by default the start is drawn by the class of
largest probability (the first of equals), since labels are what is to be had; the rows of the
start are among the n; if they are more than n, classes are drawn, and a class has no second row
before all have one; a class with fewer rows gives those it has, where the published code repeats
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.core import randomness
from coresift.core.errors import InputError, ParameterError
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.core.smallest import Keys, SmallestPerGroup, ranks
from coresift.io import compute as pc
from coresift.io.vectors import Vectors
from coresift.selection.base import Context, Data
from coresift.selection.params.probability_coverage import ProbabilityCoverageParams
from coresift.selection.pools.cover import cover, working_bytes
from coresift.selection.reading.columns import Block, Column
from coresift.selection.reading.strata import count_strata

_PURPOSE = "probability-coverage"
# what float16 probabilities add up to is within 2^-11 of 1
TOLERANCE = 1e-3

Drawn = tuple[NDArray[np.int64], Keys, NDArray[np.int64]]


def select(
    data: Data, size: Size | None, params: ProbabilityCoverageParams, context: Context
) -> Selection:
    """Choose rows so that no row's probabilities are far from those of all of them.

    ``score`` is the distance of a row from those chosen before it (of the rows of the start
    infinite), ``rank`` the order, ``weight`` how many rows have it as their nearest.
    """
    if size is None:
        raise ParameterError("probability-coverage needs a size", hint="give -n 5000 or -n 10%")
    if data.cosine:
        raise ParameterError(
            "--metric cosine scales vectors, and probabilities are compared as they are",
            hint="leave --metric out",
        )
    label = None if params.label is None else data.column(params.label, "--label")
    # more than there is, told before the dump is read
    most = size.resolve(data.rows) + len(data.given(params.given, None))
    points = data.points(context, working_bytes(data.rows, data.dim, most))
    given = data.given(params.given, points.kept)
    n = size.resolve(points.count - len(given))
    shots = 0 if len(given) else int(params.shots)
    drawn = _checked(data, points, 0 if label else shots, context)
    if label:
        drawn = _by_label(data, label, shots, context.seed)
    classes, keys, rows = drawn
    start = rows[np.lexsort((rows, keys, ranks(classes)))][:n]
    found = cover(points, given, start, n, context)
    if not shots:
        return found
    drawn_from = {"start": len(start), "classes": len(np.unique(classes))}
    return replace(found, resolved={**found.resolved, **drawn_from})


def _checked(data: Data, points: Vectors, shots: int, context: Context) -> Drawn:
    """Check all rows, and draw from each class of largest probability.

    Raises
    ------
    InputError
        At the first row that holds no probabilities.
    """
    limits = np.full(points.dim, shots, np.int64)

    def task(run: tuple[int, int]) -> tuple[NDArray[np.int64], Drawn]:
        rows, block = points.read(*run)
        total = block.sum(axis=1, dtype=np.float64)
        bad = (block.min(axis=1, initial=0.0) < 0.0) | (np.abs(total - 1.0) > TOLERANCE)
        smallest = SmallestPerGroup(limits)
        if shots:
            keys = randomness.bits(context.seed, _PURPOSE, rows)
            smallest.add(block.argmax(axis=1).astype(np.int64), keys, rows)
        return rows[bad][:1], smallest.result()

    smallest = SmallestPerGroup(limits)
    with context.progress.stage("probabilities", points.rows) as stage:
        for run, (bad, drawn) in zip(
            points.runs(), context.engine.map(task, points.runs()), strict=True
        ):
            if len(bad):
                raise _no_probabilities(data, int(bad[0]), points.take(bad)[0])
            smallest.add(*drawn)
            stage.advance(run[1] - run[0])
    return smallest.result()


def _no_probabilities(data: Data, row: int, vector: NDArray[np.float32]) -> InputError:
    what = f"adds up to {vector.sum(dtype=np.float64):g}, not to 1 within {TOLERANCE:g}"
    if vector.min() < 0.0:
        what = f"holds {vector.min():g}, less than 0"
    return InputError(
        f"{data.locate(row)} (row {row}): no probabilities, the vector {what}",
        hint="name the column of a model's probabilities with --embedding, or leave such rows out "
        "with --where",
    )


def _by_label(data: Data, label: Column, shots: int, seed: int) -> Drawn:
    """Rows drawn from each class of a column."""
    strata = count_strata(data, (label,), "--label", _labelled)
    if not len(strata.count):
        raise InputError(
            f"--label {label.text!r}: no row has a value",
            hint="name a column that holds classes, or leave --label out",
        )
    limits = np.full(len(strata.count), shots, np.int64)

    def task(blocks: Iterator[Block]) -> Drawn:
        smallest = SmallestPerGroup(limits)
        for rows, values in _labelled(blocks):
            smallest.add(strata.codes(values), randomness.bits(seed, _PURPOSE, rows), rows)
        return smallest.result()

    smallest = SmallestPerGroup(limits)
    for drawn in data.map(task, (label,), "draw"):
        smallest.add(*drawn)
    return smallest.result()


def _labelled(blocks: Iterator[Block]) -> Iterator[tuple[NDArray[np.int64], pa.Array]]:
    """Rows with a label, and these."""
    for block in blocks:
        (values,) = block.values
        there = pc.invert(values.is_null(nan_is_null=True))
        yield block.rows[there.to_numpy(zero_copy_only=False)], values.filter(there)

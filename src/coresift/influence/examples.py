"""Rows with a class from another dump: the target of a probe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.influence.base import Resources
from coresift.influence.probe import Training
from coresift.io.dump import Dump, InputOptions, open_dump
from coresift.io.labels import Labels, check_label, read_labels
from coresift.io.vectors import ingest

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Examples:
    """Rows as a probe sees them.

    Attributes
    ----------
    features : ndarray of float64, shape (m, dim + 1)
        x of each.
    codes : ndarray of int64, shape (m,)
        Classes.
    left_out : int
        Rows without a vector or a class.
    """

    features: Array
    codes: NDArray[np.int64]
    left_out: int = 0


def open_examples(path: str, pool: Dump, label: str) -> Dump:
    """Open the dump of a target, to be read as the pool is.

    Raises
    ------
    InputError
        When its vectors have another dimension.
    ParameterError
        When it has no such column of labels.
    """
    mine = pool.options
    options = InputOptions(
        embedding=mine.embedding,
        embedding_dtype=mine.embedding_dtype,
        metric=mine.metric,
        invalid=mine.invalid,
    )
    found = open_dump([path], options)
    if found.embedding.dim != pool.embedding.dim:
        raise InputError(
            f"--target {path}: vectors of {found.embedding.dim} dimensions, expected "
            f"{pool.embedding.dim}",
            hint="both dumps must come from the same model",
        )
    check_label(found, label)
    return found


def read_examples(
    dump: Dump, label: str, training: Training, labels: Labels, resources: Resources
) -> Examples:
    """Read all rows of a target.

    Parameters
    ----------
    dump : Dump
        See :func:`open_examples`.
    label : str
        The column of classes.
    training : Training
        The probe.
    labels : Labels
        Classes of the pool.
    resources : Resources
        What the run lends.

    Raises
    ------
    InputError
        At the first row that has no class, unless such rows are dropped, or one that the probe
        has not seen.
    """
    resources.budget.require(
        dump.rows * (12 * dump.embedding.dim + 24 * training.classes), f"{dump.source} as target"
    )
    points = ingest(
        dump, resources.engine, resources.budget, resources.scratch.aside(), resources.progress
    )
    found = read_labels(
        dump, label, points.kept, resources.engine, resources.progress, labels.values
    )
    rows = points.kept_rows()
    codes = found.codes[rows].astype(np.int64)
    require_labels(dump, label, rows[codes < 0])
    rows, codes = rows[codes >= 0], codes[codes >= 0]
    seen = np.zeros(found.classes, np.bool_)
    seen[training.codes] = True
    strange = np.flatnonzero(~seen[codes])
    if len(strange):
        row, value = int(rows[strange[0]]), found.values[codes[strange[0]]]
        known = [name for name, there in zip(found.values, seen, strict=True) if there]
        shown = ", ".join(map(repr, known[:8])) + (", ..." if len(known) > 8 else "")
        raise InputError(
            f"{dump.locate(row)} (row {row}): {label!r} is {value!r}, of which the probe has seen "
            "no row",
            hint=f"it was trained on {len(known):,} classes: {shown}",
        )
    features = training.probe.features(points.take(rows))
    return Examples(features, codes, dump.rows - len(rows))


def require_labels(dump: Dump, label: str, missing: NDArray[np.int64]) -> None:
    """Refuse rows without a class, unless such rows are dropped.

    Raises
    ------
    InputError
        At the first.
    """
    if len(missing) and dump.options.invalid != "drop":
        row = int(missing[0])
        raise InputError(
            f"{dump.locate(row)} (row {row}): {label!r} is null, and {len(missing):,} rows in all "
            "have no class",
            hint="--invalid drop leaves such rows out",
        )

"""The influence of a dump's rows on a target, made from what the user gave.

This is where sources meet: whatever holds gradients (:class:`Gradients`), and whatever gives
influence by another way (:class:`Influence`), is opened here, and methods see only the influence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coresift.core import randomness
from coresift.core.errors import InputError
from coresift.influence import curvature as curvatures
from coresift.influence import kfac
from coresift.influence.base import Gradients, Influence, Source
from coresift.influence.curvature import Curvature
from coresift.influence.products import Dense, Products, Term
from coresift.influence.stores.source import Within
from coresift.influence.targets import layer_targets, preconditioned
from coresift.selection.base import Context, Data
from coresift.selection.influences.probed import probe_influence
from coresift.selection.params.gradients import GradientParams
from coresift.selection.reading.joins import plural

Resolved = dict[str, float | int | str]


@dataclass(frozen=True)
class Opened:
    """An influence, and what is known of it.

    Attributes
    ----------
    influence : Influence
        Of the rows on the targets.
    kept : callable
        Tells which rows match and have a gradient, bool of shape (rows,), so far as they were
        read.
    resolved : dict
        What was set by itself: the damping.
    notes : list of str
        What was left out or sampled.
    """

    influence: Influence
    kept: Callable[[], NDArray[np.bool_]]
    resolved: Resolved = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def open_influence(
    data: Data, params: GradientParams, context: Context, *, lazily: bool = False
) -> Opened:
    """Make the influence that the options describe.

    Parameters
    ----------
    data : Data
        The rows.
    params : GradientParams
        Gradients, target and curvature.
    context : Context
        The run's resources.
    lazily : bool
        Read the rows' gradients only as they are taken (and those that the Hessian needs), not
        all at once. ``Influence.take`` then refuses a row without a gradient when it meets it, or
        gives NaN where such rows are dropped.

    Raises
    ------
    InputError
        When a column is not there or has another width, at the first row without a gradient
        unless such rows are dropped, and when the Hessian is singular.
    """
    if params.label is not None:
        return Opened(*probe_influence(data, params, params.label, context))
    opening = _Opening(data, params, context, lazily)
    terms: list[Term] = []
    for number, rate in enumerate(params.rates):
        if params.gradient is None:
            terms.append(opening.layer(rate))
        else:
            terms.append(opening.dense(params.gradient[number], rate))
    for columns in opening.pools:
        if not lazily:
            columns.require_some()
    return Opened(Products(terms), opening.kept, opening.resolved(), opening.notes())


class _Opening:
    """The steps of :func:`open_influence`, and what they leave to be told."""

    def __init__(self, data: Data, params: GradientParams, context: Context, lazily: bool) -> None:
        self._data, self._params, self._context = data, params, context
        self._lazily = lazily
        self._each = params.how != "mean" and len(params.target or ()) == 1
        self._cosine = params.similarity == "cosine"
        self._curvatures: list[Curvature | kfac.Kronecker] = []
        self._left_out = 0
        self._targets: dict[str, list[Gradients]] = {}
        self._sampled = False
        self._sources = data.gradients(context)
        self.pools: list[Source] = []

    def dense(self, name: str, rate: float) -> Term:
        """A checkpoint whose gradients stand in a column."""
        pool = self._pool(name)
        tasks = self._tasks(name, pool.dim)
        self._read(pool)
        found = self._curvature(pool)
        self._curvatures.append(found)
        targets = preconditioned(
            tasks, found.solve, self._context, each=self._each, cosine=self._cosine
        )
        return Dense(pool, rate * targets, cosine=self._cosine)

    def layer(self, rate: float) -> Term:
        """A layer whose inputs and output gradients stand in two columns."""
        params = self._params
        into, out = self._pool(params.layer_inputs or ""), self._pool(params.layer_outputs or "")
        if params.shape is not None and params.shape != (out.dim, into.dim):
            raise InputError(
                f"--layer {params.layer}: the columns {out.name!r} and {into.name!r} make a layer "
                f"of {out.dim}x{into.dim}"
            )
        tasks = list(
            zip(self._tasks(into.name, into.dim), self._tasks(out.name, out.dim), strict=True)
        )
        self._read(into)
        self._read(out)
        found = kfac.from_layer(into, out, params.added, self._context, self._sample(into))
        self._curvatures.append(found)
        targets = layer_targets(
            tasks, found.solve, self._context, each=self._each, cosine=self._cosine
        )
        return kfac.Layer(into, out, rate * targets, cosine=self._cosine)

    def _pool(self, name: str) -> Source:
        found = self._sources.pool(name)
        self.pools.append(found)
        return found

    def _read(self, pool: Source) -> None:
        if not self._lazily or (
            self._params.curved != "identity" and self._params.hessian_rows is None
        ):
            pool.fetch()

    def _tasks(self, name: str, dim: int) -> list[Gradients]:
        """Gradients of the target in a column, one for each task."""
        if not self._targets:
            self._targets = self._open_targets()
        tasks = self._targets[name]
        for path, task in zip(self._params.target or (), tasks, strict=True):
            if task.dim != dim:
                raise InputError(
                    f"--target {path}: gradients of {task.dim:,} elements in {name!r}, expected "
                    f"{dim:,} as in the rows to choose from",
                    hint="take both from the same model, by the same projection",
                )
        return tasks

    def _open_targets(self) -> dict[str, list[Gradients]]:
        """Of each column the gradients of each task's rows: those that all columns have."""
        params = self._params
        names = params.gradient or (params.layer_inputs or "", params.layer_outputs or "")
        found: dict[str, list[Gradients]] = {name: [] for name in names}
        for path in params.target or ():
            tasks = [self._sources.target(path, name, params.gradient or (name,)) for name in found]
            for task in tasks:
                if task.rows != tasks[0].rows:
                    raise InputError(
                        f"--target {path}: {plural(task.rows, 'row')} in {task.name!r}, expected "
                        f"{tasks[0].rows:,} as in {tasks[0].name!r}",
                        hint="give gradients of the same rows",
                    )
                task.fetch()
                task.require_some()
            kept = np.logical_and.reduce([task.kept for task in tasks])
            if not kept.any():
                raise InputError(
                    f"--target {path}: no row has a gradient in each of {', '.join(found)}"
                )
            self._left_out += int(np.count_nonzero(~kept))
            for name, task in zip(found, tasks, strict=True):
                whole = np.array_equal(task.kept, kept)
                found[name].append(task if whole else Within(task, kept))
        return found

    def _curvature(self, pool: Source) -> Curvature:
        params, context = self._params, self._context
        if params.curved == "identity":
            return curvatures.identity()
        if params.curved == "diagonal":
            return curvatures.diagonal(pool, params.added, context, self._sample(pool))
        if params.curved == "fisher":
            return curvatures.fisher(pool, params.added, context, self._sample(pool))
        shape = params.shape
        if shape is None or shape[0] * shape[1] != pool.dim:
            raise InputError(
                f"--layer {params.layer}: the gradients have {pool.dim:,} elements",
                hint="OUT times IN must be that many",
            )
        return kfac.from_gradients(pool, shape, params.added, context, self._sample(pool))

    def _sample(self, pool: Source) -> NDArray[np.int64] | None:
        """Rows that the Hessian is estimated from, ascending; None for all."""
        wanted = self._params.hessian_rows
        # lazily, it is not known yet which rows have a gradient
        rows = np.arange(pool.rows) if self._lazily else np.flatnonzero(pool.kept)
        if wanted is None or wanted >= len(rows):
            return None
        self._sampled = True
        keys = randomness.bits(self._context.seed, "hessian rows", rows)
        return np.sort(rows[np.argsort(keys, kind="stable")[: int(wanted)]])

    def kept(self) -> NDArray[np.bool_]:
        """Rows that every column has a gradient of."""
        found = self.pools[0].kept
        for pool in self.pools[1:]:
            found = found & pool.kept
        return found

    def resolved(self) -> Resolved:
        """The dampings, and how targets are taken together."""
        names = (
            [""]
            if len(self._curvatures) == 1
            else [f" {number}" for number in range(1, len(self._curvatures) + 1)]
        )
        if self._params.curved == "identity":
            return {"aggregate": self._params.how}
        dampings = {
            f"damping{name}": found.damping
            for name, found in zip(names, self._curvatures, strict=True)
        }
        return {"aggregate": self._params.how, **dampings}

    def notes(self) -> list[str]:
        """What was left out or sampled."""
        notes = []
        if self._sampled:
            wanted = int(self._params.hessian_rows or 0)
            notes.append(f"the Hessian was estimated from {wanted:,} rows")
        dropped = max((pool.dropped for pool in self.pools), default=0)
        if dropped:
            notes.append(f"{plural(dropped, 'row')} without a gradient left out")
        if self._left_out:
            notes.append(f"{plural(self._left_out, 'target row')} without a gradient left out")
        for found in self._curvatures:
            if isinstance(found, Curvature):
                notes.extend(found.notes)
        return notes

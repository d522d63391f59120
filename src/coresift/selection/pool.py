"""Picking from rows in memory, at any size: from pools, and again from what was picked there.

A method is a function ``pick(pool, n, engine)``. Where there are more rows than a pool may have,
it picks candidates from each of several pools, and then from all candidates, each of which stands
for the rows it is nearest to. For submodular functions this is GreeDi: Mirzasoleiman, Karbasi,
Sarkar and Krause, "Distributed Submodular Maximization: Identifying Representative Elements in
Massive Data", NeurIPS 2013; for farthest points a composable core-set: Indyk, Mahabadi, Mahdian
and Mirrokni, "Composable Core-sets for Diversity and Coverage Maximization", PODS 2014.

Pools are a function of the rows, the clustering and ``--pool-size``: not of memory or workers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.points import Held
from coresift.core.errors import ParameterError
from coresift.core.index import Index
from coresift.core.progress import Silent
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.engine.base import Engine
from coresift.engine.serial import SerialEngine
from coresift.io.vectors import Vectors
from coresift.selection.base import Context, Data
from coresift.selection.layout import Layout
from coresift.selection.params.pool import PoolParams
from coresift.selection.represent import represented

# candidates are as many rows as a pool, unless that is too few to choose from
_CHOICE = 2


@dataclass(frozen=True)
class Pool:
    """Rows to pick from, in memory.

    Attributes
    ----------
    rows : ndarray of int64, shape (m,)
        Row ids, ascending; randomness and ties go by them.
    vectors : ndarray of float32, shape (m, dim)
        Their vectors, of norm 1 under cosine.
    mass : ndarray of float64, shape (m,)
        How many rows each stands for; 1 unless they are candidates of pools.
    given : ndarray of float32, shape (g, dim)
        Vectors of rows that are held already.
    values : ndarray of float64, shape (m,), or None
        A value of each row, for methods that weigh one.
    """

    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]
    mass: NDArray[np.float64]
    given: NDArray[np.float32]
    values: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        """Rows."""
        return len(self.rows)


@dataclass(frozen=True)
class Picked:
    """What was picked from a pool.

    Attributes
    ----------
    places : ndarray of int64, shape (n,)
        Positions in the pool, in the order they were picked.
    score : ndarray of float64, shape (n,), or None
        What the method picked each by.
    mass : ndarray of float64, shape (n,), or None
        How many rows each stands for; None for those it is nearest to.
    resolved : dict
        Parameters that the method set itself; reported where this is the only or the last pool.
    """

    places: NDArray[np.int64]
    score: NDArray[np.float64] | None = None
    mass: NDArray[np.float64] | None = None
    resolved: dict[str, float | int | str] = field(default_factory=dict)


class Pick(Protocol):
    """A method on rows in memory."""

    def __call__(self, pool: Pool, n: int, engine: Engine) -> Picked:
        """Pick ``n`` rows, at most ``len(pool)``; the same ones on every engine."""


def select_from_pools(
    data: Data,
    size: Size | None,
    params: PoolParams,
    context: Context,
    pick: Pick,
    *,
    method: str,
    pool_rows: int,
    row_bytes: int = 0,
    values: Callable[[Index], NDArray[np.float64]] | None = None,
    fit: Callable[[Vectors], dict[str, float | int | str]] | None = None,
) -> Selection:
    """Choose rows by a method on rows in memory.

    Parameters
    ----------
    data, size, params, context
        As a selection method is given them.
    pick : callable
        The method.
    method : str
        Its name.
    pool_rows : int
        Most rows of a pool, unless ``--pool-size`` says otherwise.
    row_bytes : int
        What the method holds for a row of a pool, beside its vector.
    values : callable, optional
        Gives the values of some rows, ids ascending.
    fit : callable, optional
        Is given all rows before any are picked, for what pools must have in common; what it
        returns is reported.

    Raises
    ------
    ParameterError
        When there is no size, or no clustering to make pools of.
    ResourceError
        When a pool does not fit into memory.
    """
    if size is None:
        raise ParameterError(f"{method} needs a size", hint="give -n 5000 or -n 10%")
    limit = pool_rows if params.pool_size is None else int(params.pool_size)
    points = data.points(context, reserve=_row_need(data.dim, row_bytes) * limit)
    given = data.given(params.given, points.kept)
    rows, starts = _order(data, points, given, params, context)
    n = size.resolve(len(rows))
    work = _Work(points, points.take(given), context, pick, values, row_bytes)
    spans = _spans(starts, limit)
    resolved = {} if fit is None else fit(points)
    notes = []
    if points.dropped:
        notes.append(f"{points.dropped:,} rows were left out, their vectors being invalid")
    if len(given):
        notes.append(f"{len(given):,} rows were given, and are not among those chosen")
    if len(spans) == 1:
        chosen = work.whole(rows, n)
    else:
        resolved["pools"] = len(spans)
        chosen = work.composed(rows, spans, n, limit)
        how = (
            f"{len(rows):,} rows are more than --pool-size {limit:,}: they were picked from in "
            f"{len(spans):,} pools"
        )
        if work.candidates:
            how += f", and then from {work.candidates:,} candidates of these"
        notes.append(how)
    resolved |= chosen.resolved
    if chosen.mass is None:
        every = np.concatenate([chosen.rows, given])
        vectors = points.take(np.sort(every))[np.argsort(np.argsort(every))]
        mass, resolved["radius"] = represented(
            points, every, vectors, context.engine, context.progress
        )
        chosen = replace(chosen, mass=mass[:n])
    assert chosen.mass is not None
    order = np.argsort(chosen.rows)
    return Selection(
        chosen.rows[order],
        chosen.mass[order],
        points.count,
        score=None if chosen.score is None else chosen.score[order],
        rank=order.astype(np.int32),
        resolved=resolved,
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Chosen:
    """Row ids in the order they were picked, and as in :class:`Picked`."""

    rows: NDArray[np.int64]
    score: NDArray[np.float64] | None
    mass: NDArray[np.float64] | None
    resolved: dict[str, float | int | str] = field(default_factory=dict)


class _Work:
    """Runs a method on pools of some points."""

    def __init__(
        self,
        points: Vectors,
        given: NDArray[np.float32],
        context: Context,
        pick: Pick,
        values: Callable[[Index], NDArray[np.float64]] | None,
        row_bytes: int,
    ) -> None:
        self._points = points
        self._given = given
        self._context = context
        self._pick = pick
        self._values = values
        self._need = _row_need(points.dim, row_bytes)
        self.candidates = 0

    def whole(
        self, rows: NDArray[np.int64], n: int, mass: NDArray[np.float64] | None = None
    ) -> _Chosen:
        """Pick from all of some rows at once."""
        self._context.budget.require(self._need * len(rows), f"a pool of {len(rows):,} rows")
        pool = self._pool(rows, mass)
        with self._context.progress.stage("choose", n) as stage:
            found = self._pick(pool, n, self._context.engine)
            stage.advance(n)
        return _Chosen(pool.rows[found.places], found.score, found.mass, found.resolved)

    def composed(
        self, rows: NDArray[np.int64], spans: list[tuple[int, int]], n: int, limit: int
    ) -> _Chosen:
        """Pick from each pool, and from what was picked there.

        Where ``n`` is so large that the candidates could not be many more, each pool gives its
        share of the rows and that is all.
        """
        context = self._context
        sizes = np.diff(np.array([0, *(stop for _, stop in spans)]))
        merges = limit >= _CHOICE * n
        shares = np.minimum(n, -(-limit * sizes // len(rows))) if merges else _shares(sizes, n)
        need = self._need * int(sizes.max()) * context.engine.workers
        context.budget.require(need, f"{context.engine.workers} pools of {sizes.max():,} rows")

        def task(index: int) -> tuple[_Chosen, NDArray[np.float64]]:
            pool = self._pool(np.sort(rows[slice(*spans[index])]))
            found = self._pick(pool, int(shares[index]), SerialEngine())
            mass = found.mass
            if mass is None:
                picked = pool.vectors[found.places]
                held = Held(pool.vectors)
                mass, _ = represented(held, found.places, picked, SerialEngine(), Silent())
            return _Chosen(pool.rows[found.places], found.score, found.mass), mass

        with context.progress.stage("pools", len(rows)) as stage:
            parts = []
            some = np.flatnonzero(shares > 0).tolist()
            for index, part in zip(some, context.engine.map(task, some), strict=True):
                parts.append(part)
                stage.advance(int(sizes[index]))
        found = [chosen for chosen, _ in parts]
        candidates = np.concatenate([chosen.rows for chosen in found])
        if merges:
            self.candidates = len(candidates)
            order = np.argsort(candidates)
            mass = np.concatenate([mass for _, mass in parts])
            return self.whole(candidates[order], n, mass[order])
        # the first picks of each pool come first
        turn = np.concatenate([(np.arange(share) + 0.5) / share for share in shares if share])
        order = np.argsort(turn, kind="stable")
        return _Chosen(
            candidates[order],
            _together([chosen.score for chosen in found], order),
            _together([chosen.mass for chosen in found], order),
        )

    def _pool(self, rows: NDArray[np.int64], mass: NDArray[np.float64] | None = None) -> Pool:
        return Pool(
            rows,
            self._points.take(rows),
            np.ones(len(rows)) if mass is None else mass,
            self._given,
            None if self._values is None else self._values(rows),
        )


def _together(
    parts: list[NDArray[np.float64] | None], order: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    some = [part for part in parts if part is not None]
    return np.concatenate(some)[order] if len(some) == len(parts) else None


def _row_need(dim: int, row_bytes: int) -> int:
    return 8 * dim + row_bytes + 64


def _order(
    data: Data,
    points: Vectors,
    given: NDArray[np.int64],
    params: PoolParams,
    context: Context,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to pick from in the order they are cut into pools, and where a cut is best made."""
    if params.partition == "cluster":
        if context.clustering is None:
            raise ParameterError(
                "--partition cluster is about clusters, and there are none",
                hint="add --clusters DIR",
            )
        layout = Layout.by_cluster(data, context.clustering, distances=False)
        rows = layout.rows.astype(np.int64)
        ends = layout.starts[1:]
    else:
        rows = points.kept_rows()
        ends = np.array([len(rows)])
    if len(given):
        stays = ~np.isin(rows, given)
        ends = np.concatenate([[0], np.cumsum(stays)])[ends]
        rows = rows[stays]
    return rows, np.concatenate([[0], ends]).astype(np.int64)


def _spans(starts: NDArray[np.int64], limit: int) -> list[tuple[int, int]]:
    """Cut rows into pools: clusters together as long as they fit, larger ones into equal parts."""
    spans: list[tuple[int, int]] = []
    begin = 0
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        if stop - begin <= limit:
            continue
        if start > begin:
            spans.append((begin, start))
        parts = -(-(stop - start) // limit)
        cuts = [start + (stop - start) * i // parts for i in range(parts + 1)]
        spans += itertools.pairwise(cuts[:-1])
        begin = cuts[-2]
    end = int(starts[-1])
    if end > begin or not spans:
        spans.append((begin, end))
    return spans


def _shares(sizes: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Divide ``n`` by sizes, the largest remainders rounded up."""
    total = int(sizes.sum())
    exact = [int(size) * n for size in sizes]
    shares = np.array([value // total for value in exact], np.int64)
    rest = np.array([value % total for value in exact])
    shares[np.argsort(-rest, kind="stable")[: n - int(shares.sum())]] += 1
    return shares

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
from coresift.selection.params.pool import PoolParams
from coresift.selection.pools import partition
from coresift.selection.pools.represent import represented

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
    notes : tuple of str
        What was left out or replaced; what several pools say alike is told once.
    resolved : dict
        Parameters that the method set itself; told of the only or the last pool.
    """

    places: NDArray[np.int64]
    score: NDArray[np.float64] | None = None
    mass: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()
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
    candidates: int = 1,
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
        Settles, from all vectors and before the first pool, what is the same for all pools, such
        as a bandwidth; gives what is to be told of it.
    candidates : int
        How many times as many rows as wanted a pool gives to choose from again, where there is
        room for them.

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
    rows, starts = partition.ordered(data, points, given, params, context)
    n = size.resolve(len(rows))
    work = _Work(points, points.take(given), context, pick, values, row_bytes, candidates)
    spans = partition.spans(starts, limit)
    resolved = {} if fit is None else fit(points)
    notes = []
    if points.dropped:
        notes.append(f"{points.dropped:,} rows were left out, their vectors being invalid")
    if len(given):
        notes.append(f"{len(given):,} rows were given, and are not among those chosen")
    if len(spans) == 1:
        chosen = work.whole(np.sort(rows), n, None)
    else:
        resolved["pools"] = len(spans)
        chosen = work.composed(rows, spans, n, limit)
        notes.append(
            f"{len(rows):,} rows are more than --pool-size {limit:,}: they were picked from in "
            f"{len(spans):,} pools" + "".join(work.rounds)
        )
        if work.candidates:
            resolved["candidates"] = work.candidates
    notes += chosen.notes
    resolved |= chosen.resolved
    if chosen.mass is None:
        every = np.concatenate([given, chosen.rows])
        vectors = points.take(np.sort(every))[np.argsort(np.argsort(every))]
        mass, resolved["radius"] = represented(
            points, every, vectors, context.engine, context.progress
        )
        chosen = replace(chosen, mass=mass[len(given) :])
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
    notes: tuple[str, ...] = ()
    resolved: dict[str, float | int | str] = field(default_factory=dict)

    @classmethod
    def of(cls, pool: Pool, found: Picked) -> _Chosen:
        """What was picked from a pool."""
        rows = pool.rows[found.places]
        return cls(rows, found.score, found.mass, found.notes, found.resolved)


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
        multiple: int,
    ) -> None:
        self._multiple = multiple
        self._points = points
        self._given = given
        self._context = context
        self._pick = pick
        self._values = values
        self._need = _row_need(points.dim, row_bytes)
        self.candidates = 0
        self.rounds: list[str] = []

    def whole(self, rows: NDArray[np.int64], n: int, mass: NDArray[np.float64] | None) -> _Chosen:
        """Pick from all of some rows, ascending, at once."""
        self._context.budget.require(self._need * len(rows), f"a pool of {len(rows):,} rows")
        pool = self._pool(rows, mass)
        with self._context.progress.stage("choose", n) as stage:
            found = self._pick(pool, n, self._context.engine.driver)
            stage.advance(n)
        return _Chosen.of(pool, found)

    def composed(
        self,
        rows: NDArray[np.int64],
        spans: list[tuple[int, int]],
        n: int,
        limit: int,
        mass: NDArray[np.float64] | None = None,
    ) -> _Chosen:
        """Pick from each pool, and from what was picked there, until one pool holds it.

        Where ``n`` is so large that the candidates could not be many more, each pool gives its
        share of the rows and that is all; these stand for rows of their pool.
        """
        merges = limit >= _CHOICE * n
        sizes = np.diff(np.array([0, *(stop for _, stop in spans)]))
        if merges:
            shares = np.clip(limit * sizes // len(rows), 1, self._multiple * n)
        else:
            shares = partition.shares(sizes, n)
        parts = self._from_pools(rows, spans, shares, mass)
        found = [chosen for chosen, _ in parts]
        candidates = np.concatenate([chosen.rows for chosen in found])
        masses = np.concatenate([share for _, share in parts])
        if merges:
            self.candidates = self.candidates or len(candidates)
            self.rounds.append(f", and then from {len(candidates):,} candidates of these")
            order = np.argsort(candidates)
            left = candidates[order], masses[order]
            if len(candidates) <= limit:
                last = self.whole(left[0], n, left[1])
            else:
                again = partition.spans(np.array([0, len(candidates)]), limit)
                last = self.composed(left[0], again, n, limit, left[1])
            return replace(last, notes=_said([*found, last]))
        # the first picks of each pool come first
        turn = np.concatenate([(np.arange(share) + 0.5) / share for share in shares if share])
        order = np.argsort(turn, kind="stable")
        scores = [chosen.score for chosen in found if chosen.score is not None]
        score = np.concatenate(scores)[order] if len(scores) == len(found) else None
        return _Chosen(candidates[order], score, masses[order], _said(found))

    def _from_pools(
        self,
        rows: NDArray[np.int64],
        spans: list[tuple[int, int]],
        shares: NDArray[np.int64],
        mass: NDArray[np.float64] | None,
    ) -> list[tuple[_Chosen, NDArray[np.float64]]]:
        """What is picked from each pool, and how many rows of it each pick stands for."""
        context = self._context
        largest = max(stop - start for start, stop in spans)
        need = self._need * largest * context.engine.workers
        context.budget.require(need, f"{context.engine.workers} pools of {largest:,} rows")

        def task(
            item: tuple[NDArray[np.int64], NDArray[np.float64] | None, int],
        ) -> tuple[_Chosen, NDArray[np.float64]]:
            some, theirs, share = item
            pool = self._pool(some, theirs)
            found = self._pick(pool, share, SerialEngine())
            if found.mass is not None:
                return _Chosen.of(pool, found), found.mass
            picked = pool.vectors[found.places]
            held = Held(pool.vectors)
            engine = SerialEngine()
            mass_of = pool.mass.__getitem__
            stands, _ = represented(held, found.places, picked, engine, Silent(), weigh=mass_of)
            return _Chosen.of(pool, found), stands

        items = []
        for (start, stop), share in zip(spans, shares.tolist(), strict=True):
            order = np.argsort(rows[start:stop])
            theirs = None if mass is None else mass[start:stop][order]
            if share:
                items.append((rows[start:stop][order], theirs, share))
        parts = []
        with context.progress.stage("pools", len(rows)) as stage:
            for item, part in zip(items, context.engine.map(task, items), strict=True):
                parts.append(part)
                stage.advance(len(item[0]))
        return parts

    def _pool(self, rows: NDArray[np.int64], mass: NDArray[np.float64] | None = None) -> Pool:
        return Pool(
            rows,
            self._points.take(rows),
            np.ones(len(rows)) if mass is None else mass,
            self._given,
            None if self._values is None else self._values(rows),
        )


def _said(parts: list[_Chosen]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(note for part in parts for note in part.notes))


def spare(context: Context, engine: Engine) -> int:
    """Bytes that a pick may hold beside what it has declared, since it can do without."""
    shared = context.engine.workers if isinstance(engine, SerialEngine) else 1
    return context.budget.left() // (2 * shared)


def _row_need(dim: int, row_bytes: int) -> int:
    return 8 * dim + row_bytes + 64

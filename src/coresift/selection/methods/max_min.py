"""Rows far apart and worth much: the least distance between two of them counts.

Fahrbach, Ramalingam, Zadimoghaddam, Ahmadian, Citovsky and DeSalvo, "GIST: Greedy Independent
Set Thresholding for Max-Min Diversification with Submodular Utility", NeurIPS 2025. To be
maximised is f(S) = g(S) + lambda div(S), g the sum of the utilities and div(S) the least
distance between two rows of S, or of one and a given row. As in Algorithm 1, for each of a
geometric grid of distances d the rows are taken in the order of their utility (ties by row)
unless they are nearer than d to one that was taken, and the best of these sets is kept; the
first of them, d = 0, is the rows of highest utility.

The paper allows fewer than n rows, and so compares with a pair that is farthest apart. Here n
rows are wanted, so that pair is completed by taking again and again the row farthest from those
taken, which costs the least distance (Gonzalez 1985; Ravi, Rosenkrantz and Tayi, "Heuristic and
Special Case Algorithms for Dispersion Problems", Operations Research 42, 1994). Let r be the
least distance between its rows. No n rows are farther apart than 2 r, so the grid ends there,
where the paper's ends at the diameter, and sets of fewer than n rows are left out.

What that guarantees: let S* be the best n rows and d* = div(S*). For d <= d* / 2 each row taken
is nearer than d to at most one of S*, so n rows are found and are worth at least as much as S*:
the best set has f(S) >= g(S*) + lambda d* / (2 (1 + epsilon)). (Where d* is below the grid,
which starts at epsilon r / 2, the rows of highest utility or those of the pair are within
1 + epsilon of it.) That is the paper's 2/3 where g(S*) is at least half of lambda d*, and 1/2 in
any case, more than which cannot be had for n rows without a utility unless P = NP (Ravi et al.).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from coresift.clustering.distances import squared_distances
from coresift.clustering.points import Held
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.engine.base import Engine
from coresift.selection.base import Context, Data
from coresift.selection.duplicates.independent import Independent, Taken
from coresift.selection.params.max_min import MaxMinParams
from coresift.selection.pools.farthest import Farthest
from coresift.selection.pools.pool import Picked, Pool, select_from_pools
from coresift.selection.reading.scores import Scores

_POOL_ROWS = 20_000
# distances of the grid that are tried at the same time
_WAVE = 8


def select(data: Data, size: Size | None, params: MaxMinParams, context: Context) -> Selection:
    """Choose rows by utility, none near another one.

    ``score`` is the distance of a row from those chosen before it (of the first, when nothing is
    given, infinite), ``rank`` the order, ``weight`` how many rows have it as their nearest.
    """
    utility = None
    if params.utility is not None:
        context.budget.require(8 * data.rows, f"utilities of {data.rows:,} rows")
        utility = Scores(data, params.utility, "--utility", "utility")

    auto = params.lambda_ is None or params.lambda_ == "auto"

    def pick(pool: Pool, n: int, engine: Engine) -> Picked:
        weight = float(n if auto else params.lambda_)  # type: ignore[arg-type]
        return _Gist(pool, n, weight, params.epsilon, engine).best()

    found = select_from_pools(
        data,
        size,
        params,
        context,
        pick,
        method="max-min",
        pool_rows=_POOL_ROWS,
        # copies of the vectors in order and projected, and of those taken
        row_bytes=16 * data.dim + 48,
        values=None if utility is None else lambda rows: utility.of(rows, least=0.0),
    )
    resolved = dict(found.resolved)
    # where each pool gave its share of the rows, those of different pools were not compared
    compared = "pools" not in resolved or "candidates" in resolved
    if found.score is not None and compared and np.isfinite(found.score.min()):
        resolved["distance"] = float(found.score.min())
    if utility is not None:
        resolved["utility"] = float(utility.of(found.rows).sum())
        if auto:
            resolved["lambda"] = len(found.rows)
    return replace(found, resolved=resolved)


class _Gist:
    """The sets of ``n`` rows that are tried, and the best of them.

    Parameters
    ----------
    pool : Pool
        What to choose from.
    n : int
        How many rows.
    weight : float
        lambda.
    epsilon : float
        How much the distances that are tried grow.
    engine : Engine
        Where to run.
    """

    def __init__(self, pool: Pool, n: int, weight: float, epsilon: float, engine: Engine) -> None:
        self._pool = pool
        self._n = n
        self._weight = weight
        self._epsilon = epsilon
        self._engine = engine
        self._values = np.zeros(len(pool)) if pool.values is None else pool.values
        order = np.argsort(-self._values, kind="stable")
        self._independent = Independent(pool.vectors, pool.given, order)

    def best(self) -> Picked:
        """The set of largest f; of equals, the one of the largest distance that was tried."""
        best = apart = self._apart()
        reach = -1.0
        if self._pool.values is not None:
            first = self._of(0.0)
            best = max(first, best, key=self._worth)
            reach = first.least
        limits = self._limits(apart.least)
        while limits:
            # what is nowhere nearer than the next distances is what they would give, too
            limits = [limit for limit in limits if limit > reach]
            wave, limits = limits[:_WAVE], limits[_WAVE:]
            for found in self._engine.map(self._of, wave):
                reach = max(reach, found.least)
                if len(found.places) == self._n:
                    best = max(found, best, key=self._worth)
        return Picked(best.places, np.sqrt(best.squared))

    def _of(self, limit: float) -> Taken:
        """At most n rows by their utility, none nearer to another than a squared distance."""
        return self._independent.rows(limit, self._n)

    def _worth(self, some: Taken) -> float:
        """f; a single row has no distance, which is the same for all of them."""
        distance = math.sqrt(some.least) if math.isfinite(some.least) else 0.0
        return float(self._values[some.places].sum()) + self._weight * distance

    def _limits(self, least: float) -> list[float]:
        """Squares of the distances to try, from the least squared distance of the pair's set."""
        limits = []
        if math.isfinite(least):
            distance = math.sqrt(least)
            step = 1.0 + self._epsilon
            # without utilities less than that would not be better
            tried = distance * (step if self._pool.values is None else self._epsilon / 2.0)
            while 0.0 < tried <= 2.0 * distance:
                limits.append(tried * tried)
                tried *= step
        return limits

    def _apart(self) -> Taken:
        """A pair that is far apart, or the rows given, and the farthest rows from them."""
        state = Farthest(Held(self._pool.vectors), self._engine)
        places = np.empty(self._n, np.int64)
        squared = np.empty(self._n)
        if len(self._pool.given):
            state.add(np.empty(0, np.int64), self._pool.given)
        for index in range(self._n):
            if index == 0 and not len(self._pool.given):
                row, far = np.array([self._end()]), np.array([np.inf])
            else:
                row, far = state.farthest()
            places[index], squared[index] = row[0], far[0]
            state.add(row, self._pool.vectors[row])
        return Taken(places, squared)

    def _end(self) -> int:
        """The farthest row from that farthest from the first: about one end of the diameter."""
        vectors, end = self._pool.vectors, 0
        first = np.zeros(len(vectors), np.int32)
        for _ in range(2):
            end = int(squared_distances(vectors, vectors[end : end + 1], first).argmax())
        return end

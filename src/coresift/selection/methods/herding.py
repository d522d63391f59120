"""Kernel herding: again and again the row that brings the chosen ones nearest to all rows.

Chen, Welling and Smola, "Super-Samples from Kernel Herding", UAI 2010: equation (8) with the mean
over the rows of the pool, and without replacement. For kernels that are 1 at zero this is the
greedy choice for the maximum mean discrepancy between the chosen rows and all.
"""

from __future__ import annotations

import numpy as np

from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.engine.base import Engine
from coresift.io.vectors import Vectors
from coresift.selection.base import Context, Data
from coresift.selection.kernel.embedding import Values, first_largest, similarity, similarity_to_all
from coresift.selection.kernel.kernels import Kernel, Rows, find_kernel
from coresift.selection.params.herding import HerdingParams
from coresift.selection.pools.pool import Picked, Pool, select_from_pools

# time grows by the square of this
_POOL_ROWS = 32_768
# rows that a chosen one is compared with in one task
_RUN = 8_192


def select(data: Data, size: Size | None, params: HerdingParams, context: Context) -> Selection:
    """Choose rows whose mean similarity to anything is that of all rows.

    ``rank`` is the order, and the first of them are what a smaller size would have given;
    ``score`` is how much more similar a row was to all rows, in the mean, than to those chosen
    before it; ``weight`` is the same for all. Given rows count like chosen ones.
    """
    herding = _Herding(params, context.seed)
    return select_from_pools(
        data,
        size,
        params,
        context,
        herding.pick,
        method="herding",
        pool_rows=_POOL_ROWS,
        row_bytes=8 * data.dim + 64,
        fit=herding.fit,
    )


class _Herding:
    """The method on a pool, once it knows the kernel."""

    def __init__(self, params: HerdingParams, seed: int) -> None:
        self._params = params
        self._seed = seed
        self._kernel: Kernel
        self._count = 0

    def fit(self, points: Vectors) -> dict[str, float | int | str]:
        """Find the bandwidth."""
        self._kernel = find_kernel(self._params, points, self._seed)
        self._count = points.count
        return {"bandwidth": self._kernel.parts[0][1]}

    def pick(self, pool: Pool, n: int, engine: Engine) -> Picked:
        """Pick greedily. In one of several pools, given rows count for its share of all rows."""
        kernel = self._kernel
        center = pool.vectors.mean(axis=0, dtype=np.float64)
        rows, given = Rows.of(pool.vectors, center), Rows.of(pool.given, center)
        part = float(pool.mass.sum()) / (self._count - len(given))
        held = part * len(given)
        total = float(pool.mass.sum()) + held
        near = part * similarity(kernel, rows, given, None, engine)
        mean = (similarity_to_all(kernel, rows, pool.mass, engine) + near) / total
        runs = range(0, len(pool), _RUN)
        places = np.empty(n, np.int64)
        score = np.empty(n)
        free = np.ones(len(pool), np.bool_)
        for index in range(n):
            terms = held + index + 1
            value = np.where(free, terms * mean - near, -np.inf)
            place = places[index] = first_largest(value, terms)
            score[index] = value[place] / terms
            free[place] = False
            chosen = rows.part(place, place + 1)

            def task(start: int, chosen: Rows = chosen) -> Values:
                return kernel(rows.part(start, start + _RUN), chosen)[:, 0]

            near += np.concatenate(list(engine.map(task, runs)))
        return Picked(places, score, np.full(n, total / (n + held)))

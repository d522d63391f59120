"""Facility location: rows that are similar to as many others as possible.

F(S) = sum_x max_{s in S} sim(x, s) over all rows x, with rows that are given in S from the
start, is maximised greedily: within 1 - 1/e of the best (Nemhauser, Wolsey and Fisher, "An
Analysis of Approximations for Maximizing Submodular Set Functions", Mathematical Programming
14, 1978).
"""

from __future__ import annotations

from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.engine.base import Engine
from coresift.io.vectors import Vectors
from coresift.selection.base import Context, Data
from coresift.selection.params.facility_location import FacilityLocationParams
from coresift.selection.pools.coverage import Coverage
from coresift.selection.pools.covering import (
    CANDIDATES,
    EDGE_BYTES,
    POOL_ROWS,
    coverage_by,
    most_edges,
)
from coresift.selection.pools.maximise import Picks, lazy, stochastic, threshold
from coresift.selection.pools.pool import Picked, Pool, select_from_pools, spare
from coresift.selection.pools.similarity import Similarity


def select(
    data: Data, size: Size | None, params: FacilityLocationParams, context: Context
) -> Selection:
    """Choose rows that cover all rows best.

    ``score`` is what a row added to F when it was chosen (to that of its pool, where there are
    several: rows are then counted by the candidates they are nearest to), ``rank`` the order,
    ``weight`` how many rows have it as their nearest by the metric.
    """
    similarity = Similarity("cosine")

    def prepare(points: Vectors) -> dict[str, float | int | str]:
        nonlocal similarity
        similarity = Similarity.of(params.kind(data.cosine), points, context.seed)
        return similarity.told()

    def pick(pool: Pool, n: int, engine: Engine) -> Picked:
        found = similarity.within(pool.vectors, pool.given)
        rows = found.rows(pool.vectors)
        room = spare(context, engine)
        coverage, notes = coverage_by(found, rows, pool.mass, n, params.neighbors, engine, room)
        coverage.cover(found, rows, found.rows(pool.given), engine)
        places, gains = _maximise(coverage, n, pool, params, context.seed)
        return Picked(places, gains * coverage.scale, notes=notes)

    largest = min(data.rows, int(params.pool_size or POOL_ROWS))
    return select_from_pools(
        data,
        size,
        params,
        context,
        pick,
        method="facility-location",
        pool_rows=POOL_ROWS,
        row_bytes=8 * data.dim + EDGE_BYTES * most_edges(params.neighbors, largest),
        fit=prepare,
        candidates=CANDIDATES,
    )


def _maximise(
    coverage: Coverage, n: int, pool: Pool, params: FacilityLocationParams, seed: int
) -> Picks:
    if params.optimizer == "stochastic":
        return stochastic(coverage, n, pool.rows, params.loss, seed)
    if params.optimizer == "threshold":
        return threshold(coverage, n, params.loss)
    return lazy(coverage, n)

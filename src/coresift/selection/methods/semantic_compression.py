"""Semantic compression: rows that cover what matters, and differ from each other.

Raja and Vats, "Beyond Nearest Neighbors: Semantic Compression and Graph-Augmented Retrieval for
Enhanced Vector Search", 2025: greedily maximise coverage + lambda * diversity; for retrieval, a
graph of nearest neighbours over the vectors, personalised PageRank from the neighbours of the
query, combined with similarity as (1 - b) S_vector + b S_graph. What is computed here, with
what was chosen where we found nothing said:

- f(S) = sum_x r(x) max_{s in S} sim(x, s) / sum_x r(x) + lambda mean_{s, t in S} q(s) q(t)
  (1 - sim(s, t)) with q = r / max r. Both terms are means between 0 and 1, so that lambda means
  the same at any size; the second is over all pairs of rows to be chosen, and of these with rows
  that are given (q = 1), whether chosen yet or not. Without q, rows far from all queries would
  be chosen for being different. A sum of distances is not submodular (it is max-sum
  diversification: Borodin, Lee and Ye, PODS 2012), so 1 - 1/e is proved for lambda = 0 only. The
  row that adds most to f is taken, again and again.
- r(x) = 1 without queries. With queries: s(x) is the similarity of x to the query if x is one of
  its nearest neighbours, and otherwise 0, scaled to sum 1 and averaged over the queries;
  r = (1 - b) s + b p, with p the personalised PageRank that restarts from s. Rows far from all
  queries so count next to nothing; similarity alone would let their number outweigh those near.
- Two rows are joined in the graph if one is among the nearest neighbours of the other, with
  their similarity as the weight of the edge.
- Beyond 20,000 rows a row is similar to its nearest neighbours only, as in facility-location.
- In several pools, r is found in each, and again among the candidates; with queries, these do
  not count by the rows they stand for, which may be far from all queries.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.engine.base import Engine
from coresift.io.vectors import Vectors
from coresift.selection.base import Context, Data
from coresift.selection.params.semantic_compression import SemanticCompressionParams
from coresift.selection.pools.coverage import Coverage
from coresift.selection.pools.covering import (
    CANDIDATES,
    EDGE_BYTES,
    POOL_ROWS,
    coverage_by,
    most_edges,
)
from coresift.selection.pools.graph import neighbour_graph, pagerank
from coresift.selection.pools.maximise import lazy
from coresift.selection.pools.neighbours import most_similar
from coresift.selection.pools.pool import Picked, Pool, select_from_pools, spare
from coresift.selection.pools.similarity import UNITS, Rows, Similarity

_TILE = 512


def select(
    data: Data, size: Size | None, params: SemanticCompressionParams, context: Context
) -> Selection:
    """Choose rows that cover those that matter, and differ.

    ``score`` is what a row added to f when it was chosen, ``rank`` the order, ``weight`` how
    many rows have it as their nearest by the metric, relevant or not.
    """
    similarity = Similarity("cosine")
    queries = _queries(data, params, context)

    def prepare(points: Vectors) -> dict[str, float | int | str]:
        nonlocal similarity
        similarity = Similarity.of(params.kind(data.cosine), points, context.seed)
        told = similarity.told()
        return told if queries is None else {**told, "queries": len(queries)}

    def pick(pool: Pool, n: int, engine: Engine) -> Picked:
        asked = queries if queries is not None else pool.given[:0]
        found = similarity.within(pool.vectors, pool.given, asked)
        rows = found.rows(pool.vectors)
        matters, weight = np.ones(len(pool)), pool.mass
        if queries is not None:
            matters = weight = relevance(found, rows, found.rows(queries), params, engine)
        room = spare(context, engine)
        coverage, notes = coverage_by(found, rows, weight, n, None, engine, room)
        given = found.rows(pool.given)
        coverage.cover(found, rows, given, engine)
        diversity = Diversity(coverage, matters, params.lambda_, n, len(given))
        diversity.start(found, rows, given, engine)
        places, gains = lazy(coverage, n, diversity)
        return Picked(places, gains / diversity.whole, notes=notes)

    largest = min(data.rows, int(params.pool_size or POOL_ROWS))
    return select_from_pools(
        data,
        size,
        params,
        context,
        pick,
        method="semantic-compression",
        pool_rows=POOL_ROWS,
        row_bytes=8 * data.dim + EDGE_BYTES * most_edges(None, largest),
        fit=prepare,
        candidates=CANDIDATES,
    )


def _queries(
    data: Data, params: SemanticCompressionParams, context: Context
) -> NDArray[np.float32] | None:
    """Vectors of ``--around``."""
    if params.around is None:
        return None
    other = data.other(params.around, "--around")
    context.budget.require(16 * other.rows * other.dim, "the queries of --around")
    # kept under names of their own, when the run may be interrupted
    points = other.points(replace(context, scratch=context.scratch.step("around")), reserve=0)
    return points.take(points.kept_rows())


def relevance(
    similarity: Similarity,
    rows: Rows,
    queries: Rows,
    params: SemanticCompressionParams,
    engine: Engine,
) -> NDArray[np.float64]:
    """How much each row matters to the queries: r, with sum 1; 0 if none is similar to any."""
    count = int(params.neighbors)
    places, units = most_similar(similarity, rows, count, engine, of=queries)
    total = units.sum(axis=1, dtype=np.float64)
    shares = units / np.where(total == 0.0, 1.0, total)[:, None]
    near = np.zeros(len(rows))
    np.add.at(near, places.ravel(), shares.ravel())
    if not near.any():
        return near
    near /= near.sum()
    if params.blend == 0.0:
        return near
    graph = neighbour_graph(similarity, rows, count, engine)
    return (1.0 - params.blend) * near + params.blend * pagerank(graph, near, params.damping)


class Diversity:
    """What the distances of a row to those chosen add to f, in units of coverage.

    Parameters
    ----------
    coverage : Coverage
        What it counts beside.
    relevance : ndarray of float64, shape (rows,)
        r.
    weight : float
        lambda.
    n, given : int
        How many rows will be chosen, and how many are given.
    """

    def __init__(
        self,
        coverage: Coverage,
        relevance: NDArray[np.float64],
        weight: float,
        n: int,
        given: int,
    ) -> None:
        self.whole = max(1.0, float(coverage.weight.sum())) * UNITS
        pairs = n * (n - 1) // 2 + n * given
        self._share = relevance / (relevance.max() or 1.0)
        self._factor = self._share * (weight * self.whole / (UNITS * max(1, pairs)))
        self._apart = np.zeros(len(coverage))
        self.values = self._factor * self._apart

    def start(self, similarity: Similarity, rows: Rows, given: Rows, engine: Engine) -> None:
        """Hold given rows."""

        def task(start: int) -> NDArray[np.float64]:
            mine = rows[start : start + _TILE]
            apart = np.zeros(len(mine))
            for low in range(0, len(given), _TILE):
                others = given[low : low + _TILE]
                units = similarity.units(mine, others)
                apart += UNITS * len(others) - units.sum(axis=1, dtype=np.float64)
            return apart

        if len(given):
            self._apart = np.concatenate(list(engine.map(task, range(0, len(rows), _TILE))))
            self.values = self._factor * self._apart

    def __call__(self, place: int, column: NDArray[np.float32]) -> None:
        """A row was chosen whose similarities to all, in units, are ``column``."""
        self._apart += self._share[place] * (UNITS - column)
        self.values = self._factor * self._apart

"""The graph of nearest neighbours, and walks on it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from coresift.engine.base import Engine
from coresift.selection.pools.neighbours import most_similar
from coresift.selection.pools.similarity import UNITS, Rows, Similarity

_CLOSE = 1e-12
_MOST_STEPS = 10_000


def neighbour_graph(similarity: Similarity, rows: Rows, count: int, engine: Engine) -> Any:
    """Similarities of rows of which one is among the ``count`` most similar of the other.

    Returns
    -------
    scipy.sparse.csr_array of float64, shape (n, n)
        Symmetric; rows that are not similar at all have no edge.
    """
    from scipy.sparse import csr_array

    places, units = most_similar(similarity, rows, count, engine, itself=False)
    starts = np.arange(len(rows) + 1) * places.shape[1]
    values = units.ravel().astype(np.float64) / UNITS
    graph = csr_array((values, places.ravel(), starts), (len(rows), len(rows)))
    graph.eliminate_zeros()
    return graph.maximum(graph.T).tocsr()


def pagerank(graph: Any, restart: NDArray[np.float64], damping: float) -> NDArray[np.float64]:
    """Where a walk that restarts now and then is found (personalised PageRank).

    The p with p = (1 - d) r + d P'p, P being the graph with rows scaled to sum 1; from a row
    without edges a walk restarts. Found by repetition, to a sum of differences of 1e-12.

    Parameters
    ----------
    graph : scipy.sparse.csr_array, shape (n, n)
        Weights of edges, symmetric.
    restart : ndarray of float64, shape (n,)
        r, with sum 1.
    damping : float
        d: how likely a walk goes on, below 1.
    """
    degree = np.asarray(graph.sum(axis=1), np.float64).ravel()
    alone = degree == 0.0
    share = damping / np.where(alone, np.inf, degree)
    found = restart
    for _ in range(_MOST_STEPS):
        restarted = (1.0 - damping) + damping * float(found[alone].sum())
        following = graph @ (found * share) + restarted * restart
        change = float(np.abs(following - found).sum())
        found = following
        if change <= _CLOSE:
            break
    return found

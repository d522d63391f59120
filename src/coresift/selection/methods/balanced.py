"""Hierarchical balanced sampling (Vo et al., 2024, section 3.3).

From the top of a hierarchy to its rows, the children of a node share what it gives as evenly as
their sizes allow. A flat clustering is a hierarchy of one level.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.saved import Assignments, SavedClustering
from coresift.core import randomness
from coresift.core.errors import ParameterError
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.core.smallest import Keys, SmallestPerGroup, ranks
from coresift.selection.base import Context, Data
from coresift.selection.params.balanced import BalancedParams
from coresift.selection.reading.joins import plural

_PURPOSE = "select balanced"


def select(data: Data, size: Size | None, params: BalancedParams, context: Context) -> Selection:  # noqa: ARG001
    """Choose rows so that clusters are as even as their sizes allow.

    ``weight`` is how often a row is taken, 1 unless ``multiplier`` allows more; the weights sum
    to n. They do not undo the balance: they are not estimates of how many rows of the full data
    a row stands for.
    """
    clustering = context.clustering
    if clustering is None:
        raise ParameterError(
            "balanced needs a clustering", hint="run `coresift cluster`, give --clusters DIR"
        )
    if size is None:
        raise ParameterError("balanced needs a size", hint="give -n 5000 or -n 10%")
    most = int(params.multiplier)
    if size.share is not None:
        n = size.resolve(clustering.rows)
    else:
        what = "rows of the clustering" if most == 1 else f"rows, each taken {most} times"
        n = size.resolve(clustering.rows * most, what=what)
    given = shares(clustering.size * most, clustering.parents, n, context.seed)
    often, rest = np.divmod(given, np.maximum(clustering.size, 1))
    rows, cluster, weight = _drawn(clustering, often, rest, params.within, context)
    full = int(np.count_nonzero((given == clustering.size * most) & (clustering.size > 0)))
    return Selection(
        rows,
        weight,
        clustering.rows,
        cluster=cluster,
        resolved={"levels": 1 + len(clustering.parents), "largest_share": int(given.max())},
        notes=(f"{plural(full, 'cluster')} of {clustering.k:,} gave all they have",),
    )


def shares(
    sizes: NDArray[np.int64], parents: tuple[NDArray[np.int32], ...], n: int, seed: int
) -> NDArray[np.int64]:
    """Rows that each cluster of the lowest level gives.

    Parameters
    ----------
    sizes : ndarray of int64, shape (k,)
        Rows that each has to give.
    parents : tuple of ndarray of int32
        The cluster above each cluster, of each level but the top, from below.
    n : int
        Rows to give in all, at most the sum of ``sizes``.
    seed : int
        Decides who gives the rows that cannot be shared evenly.

    Returns
    -------
    ndarray of int64, shape (k,)
        Sums to ``n``.
    """
    levels = [sizes]
    for parent in parents:
        count = int(parent.max()) + 1
        levels.append(np.bincount(parent, levels[-1], minlength=count).astype(np.int64))
    given = np.array([n], np.int64)
    above = [*parents, np.zeros(len(levels[-1]), np.int32)]
    for number in reversed(range(len(levels))):
        ids = np.arange(len(levels[number]), dtype=np.int64)
        keys = randomness.bits(seed, f"{_PURPOSE}/{number}", ids)
        given = _share(levels[number], above[number], given, keys)
    return given


def _share(
    sizes: NDArray[np.int64],
    parent: NDArray[np.int32],
    budget: NDArray[np.int64],
    keys: NDArray[np.uint64],
) -> NDArray[np.int64]:
    """Give each child min(x, size), x the largest so that a node's children keep its budget.

    What is left goes one each to children that have more, those of smallest key.
    """
    order = np.lexsort((sizes, parent))
    node, size = parent[order].astype(np.int64), sizes[order]
    place = ranks(node)
    count = np.bincount(node, minlength=len(budget))[node]
    total = np.cumsum(size) - size
    before = total - total[np.arange(len(size)) - place]
    # with all smaller ones full, the others would have this much each
    level = (budget[node] - before) // (count - place)
    full = size <= level
    given = np.where(full, size, 0)
    open_ = np.flatnonzero(~full)
    if len(open_):
        # the smallest that is not full says how much those above it have too
        first = open_[ranks(node[open_]) == 0]
        of_node = np.zeros(len(budget), np.int64)
        of_node[node[first]] = level[first]
        given[open_] = of_node[node[open_]]
        left = budget - np.bincount(node, given, minlength=len(budget)).astype(np.int64)
        drawn = open_[np.lexsort((keys[order[open_]], node[open_]))]
        given[drawn[ranks(node[drawn]) < left[node[drawn]]]] += 1
    result = np.empty_like(sizes)
    result[order] = given
    return result


def _drawn(
    clustering: SavedClustering,
    often: NDArray[np.int64],
    rest: NDArray[np.int64],
    within: str,
    context: Context,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
    """Rows, clusters and weights: all rows so often, and ``rest`` of each cluster once more."""
    more = SmallestPerGroup(rest)
    rows, labels = [], []
    with context.progress.stage("draw", clustering.rows) as stage:
        for part in clustering.assignments():
            taken = np.flatnonzero(rest[part.cluster] > 0)
            cluster = part.cluster[taken].astype(np.int64)
            more.add(cluster, _keys(part, within, context.seed)[taken], part.row[taken])
            all_of = often[part.cluster] > 0
            rows.append(part.row[all_of])
            labels.append(part.cluster[all_of])
            stage.advance(len(part.row))
    cluster, _, row = more.result()
    rows.append(row)
    labels.append(cluster.astype(np.int32))
    every, label = np.concatenate(rows), np.concatenate(labels)
    weight = np.concatenate([often[label[: len(every) - len(row)]], np.ones(len(row), np.int64)])
    found, first, place = np.unique(every, return_index=True, return_inverse=True)
    summed = np.bincount(place, weight.astype(np.float64)).astype(np.float64, copy=False)
    return found, label[first], summed


def _keys(part: Assignments, within: str, seed: int) -> Keys:
    if within == "random":
        return randomness.bits(seed, _PURPOSE, part.row)
    distance = part.distance.astype(np.float64)
    return distance if within == "closest" else -distance

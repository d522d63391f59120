"""Weights that were learned on a few rows, carried to all.

Jafari, Zhang, Zhang and Liu, "The Power of Few: Accelerating and Enhancing Data Reweighting with
Coreset Selection", ICASSP 2024 (arXiv:2403.12166). Three steps: choose a coreset, learn weights on
it by a method that would be too expensive on all rows (there Meta-Weight-Net), and give every row
the weight of the nearest row of the coreset in the space of a pretrained model's features; then
train on all rows. The third step is what stands here.

From the paper, and its published code: the rule ``nearest``, by Euclidean distance, whatever the
rows' classes are, and without scaling the weights afterwards. Chosen here: rows of the subset keep
their own weight even where another one has the same vector; ties go to the first row; the rules
``kernel`` and ``cluster``, which average over several rows of the subset where single learned
weights are noisy; and ``--normalize``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.distances import squared_distances
from coresift.clustering.nearest import nearest
from coresift.clustering.neighbors import neighbors
from coresift.clustering.points import require_squarable
from coresift.clustering.projection import Projection
from coresift.clustering.saved import SavedClustering
from coresift.core.errors import InputError, ParameterError
from coresift.io.rowfile import RowFile
from coresift.io.scan import Scan
from coresift.selection.base import Context
from coresift.selection.params.carrying import CarryingParams
from coresift.selection.reading.joins import plural
from coresift.selection.reading.learned import Learned
from coresift.selection.weights.carried import Carried

_NEIGHBORS = 10
_SPACING_ROWS = 1 << 11

# weights of rows, ids ascending, by their vectors
Rule = Callable[[NDArray[np.int64], NDArray[np.float32]], NDArray[np.float64]]
Resolved = dict[str, float | int | str]


def carry(
    subset: RowFile, learned: Learned, scan: Scan, params: CarryingParams, context: Context
) -> tuple[Carried, Resolved, list[str]]:
    """Give every row a weight by those of the subset.

    Parameters
    ----------
    subset : RowFile
        Where the rows of the subset are from.
    learned : Learned
        They and their weights.
    scan : Scan
        All rows.
    params : CarryingParams
        The rule.
    context : Context
        The run's resources; a clustering for ``cluster``.

    Returns
    -------
    carried : Carried
        The weights.
    resolved : dict
        What was set by itself: bandwidth and neighbours.
    notes : list of str
        What was skipped or replaced.

    Raises
    ------
    ParameterError
        When there are fewer rows than ``--neighbors``.
    InputError
        When a row of the subset is left out of the dump, or of the clustering.
    ResourceError
        When the subset does not fit into memory.
    """
    count = len(learned.rows)
    few = int(params.neighbors or min(_NEIGHBORS, count))
    if few > count:
        raise ParameterError(
            f"--neighbors {few:,} is more than the {count:,} rows of {subset.path}",
            hint=f"give at most {count}",
        )
    # vectors as they are, shifted and projected
    context.budget.require(16 * count * scan.dim, f"a subset of {count:,} rows")
    vectors, kept = scan.take(learned.rows)
    subset.require_kept(learned.rows[~kept], "the rows", scan.source)
    # a mean of weights may exceed the largest by its rounding
    largest = 2.0 * float(learned.weight.max())
    carried = Carried(scan.rows, largest, context, in_tasks=context.clustering is not None)
    resolved: Resolved = {}
    notes = []
    if context.clustering is not None:
        notes = _by_cluster(subset, learned, vectors, scan, carried, context.clustering)
        outside = scan.rows - context.clustering.rows
        if outside and not scan.dropped:
            notes.insert(0, f"{plural(outside, 'row')} in no cluster, and without a weight")
    elif params.by == "kernel":
        centers = Centers.prepare(vectors, engine=context.engine)
        width = params.bandwidth or _spacing(centers, scan.block_bytes, context)
        resolved.update(bandwidth=width, neighbors=few)
        _pass(scan, carried, _kernel(learned, centers, few, width, scan.block_bytes))
    else:
        _pass(scan, carried, _nearest(learned, vectors, scan.block_bytes))
    if scan.dropped:
        notes.insert(0, f"{scan.dropped:,} rows were left out, their vectors being invalid")
    carried.scale(params.normalize)
    return carried, resolved, notes


def _pass(scan: Scan, carried: Carried, rule: Rule, *, all_rows: bool = True) -> None:
    """Give all rows a weight, or those that have none yet."""
    without = None if all_rows else carried.without

    def task(
        rows: NDArray[np.int64], block: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        require_squarable(_longest(block))
        if without is not None:
            left = without(rows)
            rows, block = rows[left], block[left]
        return rows, rule(rows, block) if len(rows) else np.empty(0)

    for rows, weight in scan.map(task, "carry"):
        carried.put(rows, weight)


def _longest(block: NDArray[np.float32]) -> float:
    """Largest norm of some vectors."""
    origin, same = np.zeros((1, block.shape[1]), np.float32), np.zeros(len(block), np.int32)
    return float(np.sqrt(squared_distances(block, origin, same).max(initial=0.0)))


def _nearest(learned: Learned, vectors: NDArray[np.float32], block_bytes: int) -> Rule:
    """The weight of the nearest row of the subset; its own rows keep theirs."""
    known, weight = learned.rows, learned.weight
    # a score for each row of the subset
    step = max(64, block_bytes // (4 * len(known)))
    centers = Centers.prepare(vectors, Projection.suited_to(vectors, len(vectors)))

    def rule(rows: NDArray[np.int64], block: NDArray[np.float32]) -> NDArray[np.float64]:
        starts = range(0, len(block), step)
        parts = [nearest(block[start : start + step], centers) for start in starts]
        labels = np.concatenate(parts)
        low, high = np.searchsorted(known, [rows[0], rows[-1] + 1])
        place = np.searchsorted(rows, known[low:high])
        own = np.flatnonzero(rows[place] == known[low:high])
        labels[place[own]] = low + own
        return weight[labels]

    return rule


def _kernel(learned: Learned, centers: Centers, count: int, width: float, block_bytes: int) -> Rule:
    """The mean of Nadaraya (1964) and Watson (1964) over the nearest rows of the subset.

    w(x) = sum_k w_k exp(-d_k^2 / (2 h^2)) / sum_k exp(-d_k^2 / (2 h^2)), d_k the distance to the
    k-th of them. The nearest one's exponent is taken from all, so that a row far from the whole
    subset has the weight of the nearest rather than 0 / 0. The subset's rows are averaged as all
    others are.
    """

    def rule(_: NDArray[np.int64], block: NDArray[np.float32]) -> NDArray[np.float64]:
        labels, squared = neighbors(block, centers, count, block_bytes)
        found = learned.weight[labels]
        with np.errstate(over="ignore", under="ignore"):
            share = np.exp(-0.5 * ((squared - squared[:, :1]) / width) / width)
        mean = (share * found).sum(axis=1) / share.sum(axis=1)
        # a mean lies between its terms, which rounding does not know
        bounded: NDArray[np.float64] = np.clip(mean, found.min(axis=1), found.max(axis=1))
        return bounded

    return rule


def _spacing(centers: Centers, block_bytes: int, context: Context) -> float:
    """Median distance of a row of the subset to the nearest other one that is not its equal."""

    def task(start: int) -> NDArray[np.float64]:
        # the nearest of all is the row itself, or an equal one
        block = centers.points[start : start + _SPACING_ROWS]
        return neighbors(block, centers, min(2, centers.k), block_bytes)[1][:, -1]

    squared = np.concatenate(list(context.engine.map(task, range(0, centers.k, _SPACING_ROWS))))
    apart = squared[squared > 0.0]
    # where all are equal, any will do
    return float(np.median(np.sqrt(apart))) if len(apart) else 1.0


def _by_cluster(
    subset: RowFile,
    learned: Learned,
    vectors: NDArray[np.float32],
    scan: Scan,
    carried: Carried,
    clustering: SavedClustering,
) -> list[str]:
    """The mean weight of the subset's rows in a row's cluster; where there are none, the nearest.

    Returns
    -------
    list of str
        Notes.
    """
    cluster = np.full(len(learned.rows), -1, np.int32)
    for part in clustering.assignments():
        low, high = np.searchsorted(learned.rows, [part.row[0], part.row[-1] + 1])
        wanted = learned.rows[low:high]
        place = np.searchsorted(part.row, wanted)
        cluster[low:high] = np.where(part.row[place] == wanted, part.cluster[place], -1)
    missing = np.flatnonzero(cluster < 0)
    if len(missing):
        raise InputError(
            f"{subset.path}: {plural(len(missing), 'row')} in no cluster of {clustering.path}, for "
            f"example row {learned.rows[missing[0]]}",
            hint="run `coresift cluster` on the rows that the subset was chosen from",
        )
    counts = np.bincount(cluster, minlength=clustering.k)
    sums = np.bincount(cluster, learned.weight, minlength=clustering.k)
    mean = np.divide(sums, counts, out=np.zeros(clustering.k), where=counts > 0)
    for part in clustering.assignments():
        reached = counts[part.cluster] > 0
        carried.put(part.row[reached], mean[part.cluster[reached]])
    pending = clustering.rows - carried.count
    if not pending:
        return []
    _pass(scan, carried, _nearest(learned, vectors, scan.block_bytes), all_rows=False)
    empty = int(np.count_nonzero((counts == 0) & (clustering.size > 0)))
    return [
        f"{plural(empty, 'cluster')} of {np.count_nonzero(clustering.size):,} without a row of the "
        f"subset: their {plural(pending, 'row')} took the weight of the nearest one"
    ]

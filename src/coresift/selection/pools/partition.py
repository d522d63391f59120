"""How rows are cut into pools: a function of the rows and the clustering, not of the machine."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from coresift.core.errors import ParameterError
from coresift.io.vectors import Vectors
from coresift.selection.base import Context, Data
from coresift.selection.duplicates.layout import Layout
from coresift.selection.params.pool import PoolParams


def ordered(
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


def spans(starts: NDArray[np.int64], limit: int) -> list[tuple[int, int]]:
    """Cut rows into pools: clusters together as long as they fit, larger ones into equal parts."""
    found: list[tuple[int, int]] = []
    begin = 0
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        if stop - begin <= limit:
            continue
        if start > begin:
            found.append((begin, start))
        parts = -(-(stop - start) // limit)
        cuts = [start + (stop - start) * i // parts for i in range(parts + 1)]
        found += itertools.pairwise(cuts[:-1])
        begin = cuts[-2]
    end = int(starts[-1])
    if end > begin or not found:
        found.append((begin, end))
    return found


def shares(sizes: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Divide ``n`` by sizes, the largest remainders rounded up."""
    total = int(sizes.sum())
    exact = [int(size) * n for size in sizes]
    found = np.array([value // total for value in exact], np.int64)
    rest = np.array([value % total for value in exact])
    found[np.argsort(-rest, kind="stable")[: n - int(found.sum())]] += 1
    return found

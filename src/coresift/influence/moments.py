"""Second moments of gradients, in float64 and in one order whatever runs them.

A float32 product of a row with itself is exact in float64, and what is added up is added block
by block, in the order of the rows, so that neither threads nor files nor memory show in the
result. The symmetric product that BLAS makes of it costs about what a full one would in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.influence.base import Gradients, Resources, blocks

Array = NDArray[np.float64]
# rows, ascending, or None for all
Rows = NDArray[np.int64] | None

# columns of a tile of the matrix: of each task three are held, see second_moment
_PANEL = 1024
# rows whose sum is made by one task
_SEGMENT = 8192


def segments(gradients: Gradients, rows: Rows) -> list[tuple[int, int]]:
    """Runs of rows, or of places among ``rows``, that one task adds up."""
    count = gradients.rows if rows is None else len(rows)
    return [(start, min(start + _SEGMENT, count)) for start in range(0, count, _SEGMENT)]


def present(
    gradients: Gradients, rows: Rows, segment: tuple[int, int]
) -> Iterator[NDArray[np.float32]]:
    """Gradients of a segment, block by block, without the rows that are left out."""
    start, stop = segment
    for low, high in blocks(stop, gradients.dim, start):
        found = gradients.read(low, high) if rows is None else gradients.take(rows[low:high])
        kept = ~np.isnan(found[:, 0])
        yield found if kept.all() else found[kept]


def second_moment(
    gradients: Gradients, resources: Resources, rows: Rows = None
) -> tuple[Array, int]:
    """Mean of g g^T.

    Parameters
    ----------
    gradients : Gradients
        All of them, as far as they are not left out.
    resources : Resources
        What the run lends.
    rows : ndarray of int64, optional
        Add up these only, ascending.

    Returns
    -------
    moment : ndarray of float64, shape (dim, dim)
        Symmetric.
    count : int
        Rows that it is the mean of.

    Raises
    ------
    InputError
        When none of the rows has a gradient.
    ResourceError
        When the matrix does not fit.
    """
    dim = gradients.dim
    panels = [slice(start, min(start + _PANEL, dim)) for start in range(0, dim, _PANEL)]
    tiles = [(one, other) for place, one in enumerate(panels) for other in panels[: place + 1]]
    runs = segments(gradients, rows)
    items = [(*segment, tile) for segment in runs for tile in range(len(tiles))]
    side, workers = min(dim, _PANEL), min(resources.engine.workers, len(items))
    # of each worker a sum, one that waits to be taken, and a product; and what is taken
    held = 3 * workers + 2
    # a block, that without the rows that are left out, and panels of it in float64
    most = blocks(runs[0][1], dim)[0][1]
    read = most * (2 * 4 * dim + 8 * side * min(2, len(panels)))
    resources.budget.require(
        8 * (dim * dim + held * side * side) + workers * read,
        f"a second moment of {dim:,} x {dim:,}",
        hint="use --hessian diagonal, or raise --memory",
    )

    def task(item: tuple[int, int, int]) -> tuple[Array, int]:
        one, other = tiles[item[2]]
        total = np.zeros((one.stop - one.start, other.stop - other.start))
        count = 0
        for block in present(gradients, rows, item[:2]):
            left = block[:, one].astype(np.float64)
            right = left if one == other else block[:, other].astype(np.float64)
            total += left.T @ right
            count += len(block)
        return total, count

    moment = np.zeros((dim, dim))
    count = 0
    with resources.progress.stage("second moment", len(items)) as stage:
        for item, (part, some) in zip(items, resources.engine.map(task, items), strict=True):
            moment[tiles[item[2]]] += part
            count += some if item[2] == 0 else 0
            stage.advance(1)
    for one, other in tiles:
        if one != other:
            moment[other, one] = moment[one, other].T
    _require_some(count)
    moment /= count
    return moment, count


def summed(
    gradients: Gradients,
    resources: Resources,
    task: Callable[[NDArray[np.float32]], Sequence[Array]],
    rows: Rows = None,
    stage: str = "curvature",
) -> tuple[list[Array], int]:
    """Sums over all rows of what a task gives for a block, and the number of rows.

    Parameters
    ----------
    gradients, resources, rows
        See :func:`second_moment`.
    task : callable
        Takes gradients, shape (m, dim); gives arrays that are added up, each by itself.
    stage : str
        Name of the pass for progress.
    """

    def of_segment(segment: tuple[int, int]) -> tuple[list[Array], int]:
        totals: list[Array] = []
        count = 0
        for block in present(gradients, rows, segment):
            parts = task(block)
            totals = (
                list(parts) if not totals else [a + b for a, b in zip(totals, parts, strict=True)]
            )
            count += len(block)
        return totals, count

    items = segments(gradients, rows)
    totals: list[Array] = []
    count = 0
    with resources.progress.stage(stage, gradients.rows) as progress:
        for (start, stop), (parts, some) in zip(
            items, resources.engine.map(of_segment, items), strict=True
        ):
            totals = parts if not totals else [a + b for a, b in zip(totals, parts, strict=True)]
            count += some
            progress.advance(stop - start)
    _require_some(count)
    return totals, count


def _require_some(count: int) -> None:
    if count == 0:
        raise InputError(
            "none of the rows that the Hessian is estimated from has a gradient",
            hint="raise --hessian-rows, or leave it out",
        )

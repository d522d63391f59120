"""A map by neighbours, from a library: UMAP of the rows that are drawn, or of some of them."""

from __future__ import annotations

import importlib.util

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.points import Points
from coresift.core import randomness
from coresift.core.errors import MissingExtraError

MOST_ROWS = 10_000
_LEAST_ROWS = 16
_NEIGHBOURS = 15


def require_umap() -> None:
    """Refuse where the library is missing.

    Raises
    ------
    MissingExtraError
        Naming the extra.
    """
    if importlib.util.find_spec("umap") is None:
        raise MissingExtraError("umap-learn", "map", "--umap")


def umap_rows(
    rows: NDArray[np.int64], chosen: NDArray[np.bool_], seed: int
) -> NDArray[np.int64] | None:
    """Places in ``rows`` of those that UMAP is made of; None where they are too few for it.

    At most half are chosen rows, so that what they lie among is seen too.
    """
    if len(rows) < _LEAST_ROWS:
        return None
    if len(rows) <= MOST_ROWS:
        return np.arange(len(rows))
    keys = randomness.bits(seed, "report/umap", rows)
    inside, outside = np.flatnonzero(chosen), np.flatnonzero(~chosen)
    some = min(len(inside), max(MOST_ROWS // 2, MOST_ROWS - len(outside)))
    parts = [(inside, some), (outside, MOST_ROWS - some)]
    return np.sort(np.concatenate([part[np.argsort(keys[part])[:n]] for part, n in parts]))


def umap(points: Points, rows: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
    """Coordinates of some rows, ascending; shape (n, 2).

    The library's defaults, from its random start, on one thread: more would make it another map
    each time.
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from umap import UMAP

        model = UMAP(
            n_neighbors=min(_NEIGHBOURS, len(rows) - 1),
            random_state=seed % (1 << 31),
            n_jobs=1,
            # the spectral start fails where the graph falls into pieces
            init="pca" if points.dim >= 2 else "random",
        )
        found: NDArray[np.float32] = np.asarray(model.fit_transform(points.take(rows)), np.float32)
    return found

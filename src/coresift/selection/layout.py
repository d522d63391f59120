"""The rows of a dump laid out cluster by cluster, so that a cluster is read in one piece."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.saved import SavedClustering
from coresift.io.store import RowStore
from coresift.selection.base import Context, Data
from coresift.selection.space import Space

# beside the vectors: their projection, at most so wide, and the tiles of each worker
_WIDEST = 260
_WORK_BYTES = 96 << 20


@dataclass(frozen=True)
class Layout:
    """Which row lies where.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Row id at each position; ascending within a cluster.
    starts : ndarray of int64, shape (k + 1,)
        Position at which each cluster starts; the last is n.
    distance : ndarray of float32, shape (n,), or None
        Distance of each position's row to its centroid; None without a clustering, where all
        rows are one cluster.
    notes : tuple of str
        What was left out, or could not be checked.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    distance: NDArray[np.float32] | None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, data: Data, clustering: SavedClustering | None) -> Layout:
        """All candidates of a dump, by cluster where there is a clustering."""
        if clustering is None:
            candidates = data.candidates
            kept = candidates.kept
            rows = np.arange(data.rows) if kept is None else np.flatnonzero(kept)
            return cls(rows, np.array([0, len(rows)]), None, candidates.notes)
        parts = list(clustering.assignments())
        cluster = np.concatenate([part.cluster for part in parts])
        order = np.argsort(cluster, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(cluster, minlength=clustering.k))])
        return cls(
            np.concatenate([part.row for part in parts])[order],
            starts.astype(np.int64),
            np.concatenate([part.distance for part in parts])[order],
        )

    @property
    def count(self) -> int:
        """Rows."""
        return len(self.rows)

    def space(self, data: Data, unit: bool, context: Context) -> Space:
        """Lay the vectors out, in memory or in a scratch file.

        Parameters
        ----------
        data : Data
            The dump.
        unit : bool
            Whether rows are to be compared scaled to norm 1.
        context : Context
            The run's resources.
        """
        place = np.full(data.rows, -1, np.int64)
        place[self.rows] = np.arange(self.count)
        held = 4 * self.count * (data.dim + _WIDEST) + _WORK_BYTES * context.engine.workers
        scratch = None if held <= context.budget.left() else context.scratch
        store = RowStore(self.count, data.dim, np.dtype(np.float32), scratch)
        norms: list[tuple[float, float, int]] = []

        def task(rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
            position = place[rows]
            wanted = np.flatnonzero(position >= 0)
            if not len(wanted):
                return
            wanted = wanted[np.argsort(position[wanted], kind="stable")]
            vectors = vectors[wanted]
            store.scatter(position[wanted], vectors)
            squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
            zeros = int(np.count_nonzero(squares == 0.0))
            norms.append((float(squares.min()), float(squares.max()), zeros))

        data.vectors(task, "read")
        return Space(
            store,
            unit,
            scratch,
            shortest=min(norm[0] for norm in norms) ** 0.5,
            longest=max(norm[1] for norm in norms) ** 0.5,
            zeros=sum(norm[2] for norm in norms),
        )

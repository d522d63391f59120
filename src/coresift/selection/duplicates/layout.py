"""The rows of a dump laid out cluster by cluster, so that a cluster is read in one piece."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.saved import SavedClustering
from coresift.core.index import Index, index_type
from coresift.selection.base import Context, Data, Norms
from coresift.selection.duplicates.space import Space

# beside the vectors: their projection, at most so wide, and the tiles of each worker
_WIDEST = 260
_WORK_BYTES = 96 << 20


@dataclass(frozen=True)
class Layout:
    """Which row lies where.

    Attributes
    ----------
    rows : ndarray of int32 or int64, shape (n,)
        Row id at each position; ascending within a cluster.
    place : ndarray of int32 or int64, shape (rows of the dump,)
        Position of each row; -1 where there is none.
    starts : ndarray of int64, shape (k + 1,)
        Position at which each cluster starts; the last is n.
    distance : ndarray of float32, shape (n,), or None
        Distance of each position's row to its centroid, where that was asked for.
    notes : tuple of str
        What was left out, or could not be checked.
    """

    rows: Index
    place: Index
    starts: NDArray[np.int64]
    distance: NDArray[np.float32] | None
    notes: tuple[str, ...] = ()

    @classmethod
    def whole(cls, data: Data) -> Layout:
        """All candidates as one cluster, in the order of the dump."""
        candidates = data.candidates
        kind = index_type(data.rows)
        rows: Index = np.arange(data.rows, dtype=kind)
        place = rows
        if candidates.kept is not None:
            rows = rows[candidates.kept]
            place = np.full(data.rows, -1, kind)
            place[rows] = np.arange(len(rows), dtype=kind)
        return cls(rows, place, np.array([0, len(rows)]), None, candidates.notes)

    @classmethod
    def by_cluster(cls, data: Data, clustering: SavedClustering, distances: bool) -> Layout:
        """All rows of a clustering, cluster by cluster."""
        kind = index_type(data.rows)
        starts = np.concatenate([[0], np.cumsum(clustering.size)]).astype(np.int64)
        rows: Index = np.empty(clustering.rows, kind)
        place: Index = np.full(data.rows, -1, kind)
        distance = np.empty(clustering.rows, np.float32) if distances else None
        free = starts[:-1].copy()
        for part in clustering.assignments():
            order = np.argsort(part.cluster, kind="stable")
            counts = np.bincount(part.cluster, minlength=clustering.k)
            before = np.repeat(free - (np.cumsum(counts) - counts), counts)
            position = before + np.arange(len(order))
            rows[position] = part.row[order]
            place[part.row[order]] = position
            if distance is not None:
                distance[position] = part.distance[order]
            free += counts
        return cls(rows, place, starts, distance)

    @property
    def count(self) -> int:
        """Rows."""
        return len(self.rows)

    def space(self, data: Data, unit: bool, context: Context, name: str = "layout") -> Space:
        """Lay the vectors out, in memory or in a scratch file.

        Parameters
        ----------
        data : Data
            The dump.
        unit : bool
            Whether rows are to be compared scaled to norm 1.
        context : Context
            The run's resources.
        name : str
            What they are kept under.
        """
        need = 4 * self.count * (data.dim + _WIDEST) + _WORK_BYTES * context.engine.workers
        held = need <= context.budget.left()
        single = np.dtype(np.float32)
        store = context.scratch.rows(name, self.count, data.dim, single, held=held)

        def task(rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> Norms:
            position = self.place[rows].astype(np.int64)
            wanted = np.flatnonzero(position >= 0)
            if not len(wanted):
                return np.inf, 0.0, 0.0
            wanted = wanted[np.argsort(position[wanted], kind="stable")]
            vectors = vectors[wanted]
            store.scatter(position[wanted], vectors)
            squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
            zeros = float(np.count_nonzero(squares == 0.0))
            return float(squares.min()), float(squares.max()), zeros

        norms = np.concatenate(list(data.vectors(task, "read", context.scratch, name, store)))
        return Space(
            store,
            unit,
            context.scratch,
            held=held,
            shortest=float(norms[:, 0].min()) ** 0.5,
            longest=float(norms[:, 1].max()) ** 0.5,
            zeros=int(norms[:, 2].sum()),
        )

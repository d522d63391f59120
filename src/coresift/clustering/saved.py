"""A clustering on disk, opened for reading."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.engine.base import Shared
from coresift.io.dump import open_dump
from coresift.io.provenance import Provenance, read_provenance


@dataclass(frozen=True)
class Assignments:
    """Consecutive assigned rows.

    Attributes
    ----------
    row : ndarray of int64, shape (m,)
        Row ids, ascending.
    cluster : ndarray of int32, shape (m,)
        Cluster of each row.
    distance : ndarray of float32, shape (m,)
        Euclidean distance to the cluster's centroid.
    """

    row: NDArray[np.int64]
    cluster: NDArray[np.int32]
    distance: NDArray[np.float32]


@dataclass(frozen=True)
class SavedClustering(Shared):
    """A clustering directory; assignments are streamed, the rest is in memory.

    Attributes
    ----------
    path : Path
        The directory.
    provenance : Provenance
        Where it comes from.
    centroids : ndarray of float32, shape (k, dim)
        Centroids.
    size : ndarray of int64, shape (k,)
        Rows of each cluster.
    cost : ndarray of float64, shape (k,)
        Sum of squared distances of each cluster.
    medoid : ndarray of int64, shape (k,)
        Row nearest the centroid; -1 for an empty cluster.
    rows : int
        Rows that were assigned.
    parents : tuple of ndarray of int32, shape (k,) each
        For each level but the top, from below, the cluster above each of its clusters. Empty
        unless it is a hierarchy; all else here is of the lowest level.
    """

    path: Path
    provenance: Provenance
    centroids: NDArray[np.float32]
    size: NDArray[np.int64]
    cost: NDArray[np.float64]
    medoid: NDArray[np.int64]
    rows: int
    parents: tuple[NDArray[np.int32], ...] = ()

    @property
    def k(self) -> int:
        """Number of clusters."""
        return len(self.size)

    @property
    def digest(self) -> str:
        """Identity of the centroids and assignments, as provenance of what follows keeps it."""
        files = [self.path / "centroids.parquet", self.path / "assignments"]
        digests = [open_dump([path]).fingerprint.digest for path in files]
        return hashlib.sha256(" ".join(digests).encode()).hexdigest()[:32]

    @classmethod
    def open(cls, path: str | Path) -> SavedClustering:
        """Read all but the assignments.

        Raises
        ------
        InputError
            When the directory is not a clustering, or a file of it is missing or damaged.
        """
        folder = Path(path)
        provenance = read_provenance(folder, "a clustering")
        if provenance.command != "cluster":
            raise InputError(
                f"{folder}: a result of `coresift {provenance.command}`, not a clustering",
                hint="give the directory that `coresift cluster` wrote",
            )
        try:
            table, parents = _levels(pq.read_table(folder / "centroids.parquet"))
            parts = sorted((folder / "assignments").glob("part-*.parquet"))
            rows = sum(pq.read_metadata(part).num_rows for part in parts)
            vectors = table.column("centroid").combine_chunks()
            dim = vectors.type.list_size
            size = table.column("size").to_numpy()
            centroids = vectors.flatten().to_numpy().reshape(-1, dim)
            cost = table.column("cost").to_numpy()
            medoid = table.column("medoid").to_numpy()
        except (OSError, KeyError, pa.ArrowException) as error:
            raise InputError(
                f"{folder}: damaged clustering: {str(error).splitlines()[0]}",
                hint="run `coresift cluster` again",
            ) from error
        if rows != int(size.sum()):
            raise InputError(
                f"{folder}: {rows:,} assignments, expected {int(size.sum()):,}",
                hint="run `coresift cluster` again",
            )
        return cls(folder, provenance, centroids, size, cost, medoid, rows, parents)

    def assignments(self) -> Iterator[Assignments]:
        """Assignments in order, in chunks fixed by the file: the same on every machine."""
        for part in sorted((self.path / "assignments").glob("part-*.parquet")):
            try:
                with pq.ParquetFile(part) as file:
                    for group in range(file.num_row_groups):
                        table = file.read_row_group(group, use_threads=False)
                        yield Assignments(
                            table.column("row").to_numpy(),
                            table.column("cluster").to_numpy(),
                            table.column("distance").to_numpy(),
                        )
            except (OSError, pa.ArrowException) as error:
                raise InputError(
                    f"{part}: damaged: {str(error).splitlines()[0]}",
                    hint="run `coresift cluster` again",
                ) from error


def _levels(table: pa.Table) -> tuple[pa.Table, tuple[NDArray[np.int32], ...]]:
    """The lowest level of a hierarchy, and the parents of each level but the top."""
    if "level" not in table.column_names:
        return table, ()
    counts = np.bincount(table.column("level").to_numpy())[1:]
    ends = np.cumsum(counts)
    parent = table.column("parent")
    parents = tuple(
        (parent.slice(end - count, count).to_numpy() - end).astype(np.int32)
        for end, count in zip(ends[:-1].tolist(), counts[:-1].tolist(), strict=True)
    )
    return table.slice(0, int(counts[0])), parents

"""A clustering written as a directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.clustering.assign import Assigning
from coresift.clustering.saved import Assignments
from coresift.core.progress import Progress
from coresift.engine.base import Engine
from coresift.io.dump import Dump
from coresift.io.provenance import Provenance
from coresift.io.subset import write_subset
from coresift.io.vectors import Vectors
from coresift.io.writer import PartWriter

ASSIGNMENTS = pa.schema([("row", pa.int64()), ("cluster", pa.int32()), ("distance", pa.float32())])
ADDED = ("row", "cluster")


def write_assignments(folder: Path, parts: Iterator[Assignments], provenance: Provenance) -> None:
    """Write ``assignments/part-*.parquet`` as the rows come."""
    target = folder / "assignments"
    target.mkdir()
    with PartWriter(target, ASSIGNMENTS, provenance) as writer:
        for part in parts:
            arrays = [pa.array(part.row), pa.array(part.cluster), pa.array(part.distance)]
            writer.write(pa.record_batch(arrays, schema=ASSIGNMENTS))


def write_centroids(
    folder: Path, centroids: NDArray[np.float32], totals: Assigning, provenance: Provenance
) -> None:
    """Write ``centroids.parquet``."""
    k, dim = centroids.shape
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(centroids.reshape(-1)), dim)
    batch = pa.record_batch(
        [
            pa.array(np.arange(k, dtype=np.int32)),
            pa.array(totals.size),
            pa.array(totals.cost),
            pa.array(totals.medoid),
            vectors,
        ],
        names=["cluster", "size", "cost", "medoid", "centroid"],
    )
    with PartWriter(folder / "centroids.parquet", batch.schema, provenance) as writer:
        writer.write(batch)


def write_representatives(
    folder: Path,
    dump: Dump,
    medoid: NDArray[np.int64],
    columns: Sequence[str],
    prefix: str,
    provenance: Provenance,
    *,
    vectors: Vectors,
    engine: Engine,
    progress: Progress,
) -> None:
    """Write ``representatives.parquet``: the medoids' rows with ``row`` and ``cluster``."""
    filled = np.flatnonzero(medoid >= 0)
    order = filled[np.argsort(medoid[filled])]
    rows = medoid[order]
    # all row groups would have to be decoded for a few rows of each
    name = vectors.column.name
    stored = vectors.as_stored(rows, dump.schema.field(name).type) if name in columns else None
    write_subset(
        folder / "representatives.parquet",
        dump,
        rows,
        {prefix + "row": rows, prefix + "cluster": order.astype(np.int32)},
        columns,
        provenance,
        engine=engine,
        progress=progress,
        at_hand=None if stored is None else {name: stored},
    )

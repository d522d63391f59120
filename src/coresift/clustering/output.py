"""A clustering written as a directory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.clustering.assign import Assigning, unpacked
from coresift.clustering.distances import squared_distances
from coresift.clustering.hierarchical import Level
from coresift.clustering.saved import Assignments
from coresift.core.progress import Progress
from coresift.engine.base import Engine
from coresift.io.dump import Dump
from coresift.io.provenance import Provenance
from coresift.io.store import Scratch
from coresift.io.subset import write_subset
from coresift.io.vectors import Vectors
from coresift.io.writer import PartWriter, part_ends, part_name

ASSIGNMENTS = pa.schema([("row", pa.int64()), ("cluster", pa.int32()), ("distance", pa.float32())])
ADDED = ("row", "cluster")
_FOLDER = "assignments"


def write_assignments(folder: Path, parts: Iterator[Assignments], provenance: Provenance) -> None:
    """Write ``assignments/part-*.parquet`` as the rows come."""
    target = folder / _FOLDER
    target.mkdir()
    with _writer(target, provenance) as writer:
        for part in parts:
            writer.write(_batch(part))


def write_where_they_are(
    folder: Path,
    totals: Assigning,
    provenance: Provenance,
    *,
    engine: Engine,
    scratch: Scratch,
    progress: Progress,
) -> bool:
    """Write the same files by tasks, each a part, if the engine has them write.

    Nothing that has a row for each row passes through this process.

    Returns
    -------
    bool
        Whether it was done.
    """
    ends = part_ends(ASSIGNMENTS, totals.count)
    if len(ends) == 1 or not engine.writes_to(folder):
        return False
    store = scratch.rows(None, totals.rows, 4, np.dtype(np.uint32), held=True)
    spans = totals.lay_out(store)
    target = folder / _FOLDER
    target.mkdir()

    def task(item: tuple[int, list[tuple[int, int]]]) -> int:
        index, pieces = item
        written = 0
        with _writer(target / part_name(index), provenance) as writer:
            for start, count in pieces:
                writer.write(_batch(unpacked(store.read(start, start + count))))
                written += count
        return written

    with progress.stage("write", totals.count) as stage:
        for written in engine.map(task, list(enumerate(_pieces(spans, ends)))):
            stage.advance(written)
    return True


def _writer(path: Path, provenance: Provenance) -> PartWriter:
    return PartWriter(path, ASSIGNMENTS, provenance, ascending="row")


def _batch(part: Assignments) -> pa.RecordBatch:
    arrays = [pa.array(part.row), pa.array(part.cluster), pa.array(part.distance)]
    return pa.record_batch(arrays, schema=ASSIGNMENTS)


def _pieces(
    spans: Sequence[tuple[int, int]], ends: Sequence[int]
) -> Iterator[list[tuple[int, int]]]:
    """For each part, the positions and numbers of the rows that it takes from runs."""
    before = np.concatenate([[0], np.cumsum([count for _, count in spans])])
    for low, high in itertools.pairwise([0, *ends]):
        first = int(np.searchsorted(before, low, side="right")) - 1
        pieces = []
        for (start, count), begin in zip(spans[first:], before[first:].tolist(), strict=False):
            if begin >= high:
                break
            skip = max(0, low - begin)
            stop = min(count, high - begin)
            if skip < stop:
                pieces.append((start + skip, stop - skip))
        yield pieces


def write_centroids(
    folder: Path,
    centroids: NDArray[np.float32],
    totals: Assigning,
    levels: Sequence[Level],
    provenance: Provenance,
) -> None:
    """Write ``centroids.parquet``: those of the rows first, then those of the levels above.

    Clusters are numbered through all levels. One above counts the rows under it, costs the sum
    of squared distances from the centroids of its children, and names as its medoid the
    child's that is nearest to it.
    """
    dim = centroids.shape[1]
    columns: dict[str, list[NDArray[np.generic]]] = {
        "size": [totals.size],
        "cost": [totals.cost],
        "medoid": [totals.medoid],
        "centroid": [centroids],
        "level": [np.full(len(centroids), 1, np.int32)],
        "parent": [],
    }
    size, medoid, below = totals.size, totals.medoid, centroids
    first = len(centroids)
    for number, level in enumerate(levels, start=2):
        k = len(level.centroids)
        medoid = _medoids(level, below, medoid)
        size = np.bincount(level.parent, size, minlength=k).astype(np.int64)
        below = level.centroids
        columns["size"].append(size)
        columns["cost"].append(level.cost)
        columns["medoid"].append(medoid)
        columns["centroid"].append(below)
        columns["level"].append(np.full(k, number, np.int32))
        columns["parent"].append(level.parent + np.int32(first))
        first += k
    joined = {name: np.concatenate(parts) for name, parts in columns.items() if parts}
    arrays = {"cluster": pa.array(np.arange(first, dtype=np.int32))}
    arrays |= {name: pa.array(joined[name]) for name in ("size", "cost", "medoid")}
    flat = pa.array(joined["centroid"].reshape(-1))
    arrays["centroid"] = pa.FixedSizeListArray.from_arrays(flat, dim)
    if levels:
        top = pa.nulls(first - len(joined["parent"]), pa.int32())
        arrays["level"] = pa.array(joined["level"])
        arrays["parent"] = pa.concat_arrays([pa.array(joined["parent"]), top])
    batch = pa.record_batch(list(arrays.values()), names=list(arrays))
    with PartWriter(folder / "centroids.parquet", batch.schema, provenance) as writer:
        writer.write(batch)


def _medoids(
    level: Level, below: NDArray[np.float32], medoid: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Medoid of the child nearest to each centroid; -1 where no child has one."""
    squared = squared_distances(below, level.centroids, level.parent)
    order = np.lexsort((medoid, squared))[::-1]
    order = order[medoid[order] >= 0]
    found = np.full(len(level.centroids), -1, np.int64)
    found[level.parent[order]] = medoid[order]
    return found


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

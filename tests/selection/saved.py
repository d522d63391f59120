"""A clustering directory as `coresift cluster` writes it, from given centroids."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from coresift.io.dump import Dump, InputOptions, open_dump
from coresift.io.layout import decode
from coresift.io.provenance import KEY, Provenance


def vectors_of(dump: Dump) -> NDArray[np.float64]:
    """All vectors of a small dump; invalid ones are zero or not finite."""
    column = dump.embedding
    parts = [
        decode(batch, column)[0]
        for shard in dump.shards(column.columns)
        for _, batch in dump.read(shard, column.columns)
    ]
    return np.concatenate(parts).astype(np.float64)


def write_clustering(
    folder: Path,
    source: Path,
    centroids: NDArray[np.floating],
    *,
    options: InputOptions | None = None,
    kept: NDArray[np.bool_] | None = None,
    group_rows: int = 500,
    seed: int = 0,
) -> Path:
    """Assign the rows of ``source`` to ``centroids`` and write the result."""
    dump = open_dump([source], options or InputOptions())
    vectors = vectors_of(dump)
    rows = np.flatnonzero(np.ones(dump.rows, np.bool_) if kept is None else kept).astype(np.int64)
    squared = ((vectors[rows, None, :] - centroids.astype(np.float64)) ** 2).sum(axis=2)
    cluster = squared.argmin(axis=1).astype(np.int32)
    nearest = squared.min(axis=1)
    k = len(centroids)
    size = np.bincount(cluster, minlength=k).astype(np.int64)
    cost = np.bincount(cluster, nearest, minlength=k)
    order = np.lexsort((rows, nearest, cluster))
    first = np.searchsorted(cluster[order], np.arange(k))
    medoid = np.full(k, -1, np.int64)
    medoid[size > 0] = rows[order][first[size > 0]]
    provenance = Provenance(
        command="cluster",
        method="kmeans",
        params={"k": k},
        seed=seed,
        paths=[str(source)],
        options=asdict(dump.options),
        fingerprint=dump.fingerprint.to_json(),
    )
    (folder / "assignments").mkdir(parents=True)
    values = pa.array(centroids.astype(np.float32).reshape(-1))
    pq.write_table(
        pa.table(
            {
                "cluster": np.arange(k, dtype=np.int32),
                "size": size,
                "cost": cost,
                "medoid": medoid,
                "centroid": pa.FixedSizeListArray.from_arrays(values, centroids.shape[1]),
            }
        ),
        folder / "centroids.parquet",
    )
    distance = np.sqrt(nearest).astype(np.float32)
    pq.write_table(
        pa.table({"row": rows, "cluster": cluster, "distance": distance}),
        folder / "assignments" / "part-00000.parquet",
        row_group_size=group_rows,
    )
    names = list(dump.schema.names)
    whole = pa.Table.from_batches(
        [batch for shard in dump.shards(names) for _, batch in dump.read(shard, names)]
    )
    occupied = np.flatnonzero(size > 0)
    representatives = whole.take(pa.array(medoid[occupied]))
    representatives = representatives.append_column("row", pa.array(medoid[occupied]))
    representatives = representatives.append_column(
        "cluster", pc.cast(pa.array(occupied), pa.int32())
    )
    pq.write_table(
        representatives.replace_schema_metadata({KEY: provenance.to_json()}),
        folder / "representatives.parquet",
    )
    manifest = {"coresift": provenance.version, "provenance": asdict(provenance)}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder

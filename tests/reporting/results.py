"""A dump of digits with texts and pictures, and results made from it, for all tests of reports."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import coresift
from tests.data import digits, vector_table, write_dump

CLUSTERS = 20
CHOSEN = 120


@dataclass(frozen=True)
class Results:
    """Where things are."""

    folder: Path
    dump: Path
    clusters: Path
    subset: Path


def pictures(rows: int) -> list[bytes]:
    """The first digits as PNG files."""
    from PIL import Image

    found = []
    for vector in digits()[0][:rows]:
        stream = io.BytesIO()
        pixels = np.rint(255 * (1.0 - vector.reshape(8, 8))).astype(np.uint8)
        Image.fromarray(pixels).save(stream, "PNG")
        found.append(stream.getvalue())
    return found


def text_of(row: int) -> str:
    """What the column ``text`` says of a row."""
    return f"digit number {row} of the scans"


def make(folder: Path) -> Results:
    """Digits; 20 clusters; 120 rows chosen by their loss."""
    vectors, labels = digits()
    table = vector_table(
        vectors,
        label=labels,
        quality=np.arange(len(labels)) / len(labels),
        text=[text_of(row) for row in range(len(labels))],
        picture=pictures(len(labels)),
    )
    dump = write_dump(folder / "digits", table, files=2, row_group_size=500)
    clusters, subset = folder / "clusters", folder / "subset"
    coresift.cluster(dump, k=CLUSTERS, output=clusters, seed=1)
    losses = pa.table(
        {"cluster": np.arange(CLUSTERS, dtype=np.int32), "loss": np.linspace(0.1, 2.0, CLUSTERS)}
    )
    pq.write_table(losses, folder / "losses.parquet")
    coresift.select(
        "sensitivity",
        dump,
        size=CHOSEN,
        output=subset,
        params={"losses": str(folder / "losses.parquet")},
        clusters=clusters,
        seed=1,
    )
    return Results(folder, dump, clusters, subset)

"""A dump of digits with texts and pictures, and results made from it, for all tests of reports."""

from __future__ import annotations

import io
import json
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


@dataclass(frozen=True)
class Comparisons:
    """Where comparisons are: at two sizes in a directory, and at one of them in a file."""

    folder: Path
    dump: Path
    two: Path
    one: Path


def compared(folder: Path) -> Comparisons:
    """Digits; three methods, of which one does not depend on the seed, and one has options."""
    vectors, labels = digits()
    dump = write_dump(folder / "digits", vector_table(vectors[:600], label=labels[:600]))
    found = Comparisons(folder, dump, folder / "two", folder / "one.parquet")
    both: list[int | str] = [20, "20%"]
    for sizes, output in ((both, found.two), (both[:1], found.one)):
        coresift.compare(
            dump,
            size=sizes,
            methods=["random", "k-center", "herding"],
            params={"random": {"by": "label"}},
            seeds=2,
            label="label",
            metrics=["mmd", "coverage_max", "label_entropy"],
            output=output,
            seed=3,
        )
    return found


def as_hostile(source: Path, target: Path, names: dict[str, str], label: str) -> Path:
    """A comparison whose methods and label column have other names."""
    table = pq.read_table(source)
    origin = table.schema.metadata[b"coresift"].decode()
    made = json.loads(origin)
    made["method"] = ",".join(names.values())
    made["params"]["methods"] = {names[name]: {} for name in made["params"]["methods"]}
    made["params"]["label"] = label
    made["notes"] = [*names.values()]
    methods = [names[name] for name in table["method"].to_pylist()]
    table = table.set_column(0, "method", pa.array(methods))
    table = table.replace_schema_metadata({"coresift": json.dumps(made)})
    pq.write_table(table, target)
    return target

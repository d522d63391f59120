"""A small dump with learned weights, and a short way to carry them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.cli.command import coresift
from tests.data import vector_table, write_dump
from tests.selection.saved import write_clustering

# six rows on a line; 0 and 3 were chosen, and row 5 lies half way between them
LINE = np.array([[0, 0], [1, 0], [2, 0], [10, 0], [11, 0], [5, 0]], np.float32)


def write_learned(path: Path, rows: list[int], weight: list[float | None], **more: Any) -> None:
    pq.write_table(pa.table({"row": rows, "weight": pa.array(weight, pa.float64()), **more}), path)


def line(folder: Path) -> None:
    """The line, its subset, weights of their own and in a column, and a clustering."""
    write_dump(folder / "emb", vector_table(LINE, id=list("abcdef")), files=2)
    subset = pa.table({"row": [3, 0], "id": ["d", "a"], "learned": [3.0, 1.0]})
    pq.write_table(subset, folder / "subset.parquet")
    write_learned(folder / "learned.parquet", [0, 3], [1.0, 3.0])
    write_clustering(folder / "clusters", folder / "emb", np.array([[1, 0], [10.5, 0], [5, 0]]))


def carried(folder: Path, *options: object, out: str = "out.parquet") -> dict[str, Any]:
    """Run the command: its JSON."""
    done = coresift(
        *("weights", "emb", "--subset", "subset.parquet", *options, "-o", out, "--json"),
        cwd=folder,
    )
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert isinstance(found, dict)
    return found


def read(path: Path) -> tuple[list[int], list[float]]:
    table = pq.read_table(path)
    assert table.schema.field("row").type == pa.int64()
    assert table.schema.field("weight").type == pa.float64()
    return table["row"].to_pylist(), table["weight"].to_pylist()

"""Dumps for the tests: real digits, and small generated vectors."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray


@cache
def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """scikit-learn's 1,797 scanned digits: pixels / 16 as float32 (1797, 64), and labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.data / 16.0).astype(np.float32), data.target.astype(np.int64)


def gaussians(rows: int, dim: int, centers: int, seed: int = 0) -> NDArray[np.float32]:
    """Rows around well-separated centers, in turn: row i belongs to center i % centers."""
    generator = np.random.default_rng(seed)
    points = generator.normal(size=(centers, dim)) * 20.0
    noise = generator.normal(size=(rows, dim))
    return (points[np.arange(rows) % centers] + noise).astype(np.float32)


def vector_table(vectors: NDArray[Any], **columns: Any) -> pa.Table:
    """A table of ``columns`` and a fixed-size list column ``embedding``."""
    values = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    embedding = pa.FixedSizeListArray.from_arrays(values, vectors.shape[1])
    return pa.table(
        {**{name: pa.array(value) for name, value in columns.items()}, "embedding": embedding}
    )


def write_dump(
    folder: Path, table: pa.Table, *, files: int = 1, row_group_size: int | None = None
) -> Path:
    """Write a table as ``files`` Parquet files of nearly equal rows."""
    folder.mkdir(parents=True, exist_ok=True)
    bounds = np.linspace(0, table.num_rows, files + 1).astype(int)
    for index in range(files):
        start, stop = int(bounds[index]), int(bounds[index + 1])
        pq.write_table(
            table.slice(start, stop - start),
            folder / f"emb-{index:03d}.parquet",
            row_group_size=row_group_size,
        )
    return folder


def digits_dump(folder: Path, *, files: int = 1, row_group_size: int | None = None) -> Path:
    """Digits with columns ``id`` (text), ``label`` (int64) and ``embedding``."""
    vectors, labels = digits()
    table = vector_table(vectors, id=[f"digit-{i:04d}" for i in range(len(labels))], label=labels)
    return write_dump(folder, table, files=files, row_group_size=row_group_size)

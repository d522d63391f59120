"""What a script does first: load the vectors of a dump with pyarrow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray


def load(folder: str) -> NDArray[np.float32]:
    """All vectors, float32 of shape (rows, dim)."""
    column = pq.read_table(Path(folder), columns=["embedding"]).column("embedding")
    dim = column.type.list_size
    blocks = [chunk.flatten().to_numpy().reshape(-1, dim) for chunk in column.chunks]
    return np.concatenate(blocks)

"""Rows and positions in as few bytes as they need: large dumps have many of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.signedinteger[Any]]


def index_type(rows: int) -> type[np.signedinteger[Any]]:
    """Smallest integer type, int32 or int64, that counts so many rows."""
    return np.int32 if rows < 1 << 31 else np.int64

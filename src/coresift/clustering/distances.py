"""Squared distances of rows to one point each, in float64 and roughly in float32."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DIRECT_ELEMENTS = 1 << 18
_ROUGH_ELEMENTS = 1 << 18


class Workspace(threading.local):
    """Arrays that a thread uses again: fresh large arrays cost a page fault each 4 kB."""

    def __init__(self) -> None:
        self._held: dict[str, NDArray[Any]] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: type = np.float32) -> NDArray[Any]:
        """Return an array of the shape with any content, valid until the name is taken again."""
        size = math.prod(shape)
        held = self._held.get(name)
        if held is None or held.size < size or held.dtype != dtype:
            held = self._held[name] = np.empty(size, dtype)
        return held[:size].reshape(shape)


workspace = Workspace()


def squared_distances(
    block: NDArray[np.float32], points: NDArray[np.float32], labels: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Squared distance of each row to the point of its label, in float64, row by row."""
    result = np.empty(len(block), np.float64)
    dim = block.shape[1]
    step = max(1, _DIRECT_ELEMENTS // dim)
    wide = workspace.take("wide", (min(step, len(block)), dim), np.float64)
    gathered = workspace.take("gathered", (min(step, len(block)), dim))
    for start in range(0, len(block), step):
        rows = block[start : start + step]
        difference, point = wide[: len(rows)], gathered[: len(rows)]
        np.take(points, labels[start : start + step], axis=0, out=point, mode="clip")
        np.copyto(difference, rows)
        np.subtract(difference, point, out=difference)
        np.multiply(difference, difference, out=difference)
        np.add.reduce(difference, axis=1, out=result[start : start + step])
    return result


def rough_distances(
    block: NDArray[np.float32],
    points: NDArray[np.float32],
    labels: NDArray[np.int32],
    rows: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Squared distances in float32, of all rows of the block or of some (with repeats)."""
    result = np.empty(len(labels), np.float32)
    dim = block.shape[1]
    step = max(1, _ROUGH_ELEMENTS // dim)
    room = workspace.take("rough", (2, min(step, len(labels)), dim))
    for start in range(0, len(labels), step):
        part = slice(start, start + step)
        difference, gathered = room[:, : len(labels[part])]
        np.take(points, labels[part], axis=0, out=difference, mode="clip")
        if rows is None:
            gathered = block[part]
        else:
            np.take(block, rows[part], axis=0, out=gathered, mode="clip")
        np.subtract(gathered, difference, out=difference)
        np.einsum("ij,ij->i", difference, difference, out=result[part])
    return result

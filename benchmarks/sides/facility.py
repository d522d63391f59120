"""Facility location by max(0, cosine), with a library or as it is usually written.

python -m benchmarks.sides.facility numpy|apricot|submodlib DUMP N OUT.npy
"""

from __future__ import annotations

import heapq
import sys

import numpy as np
from numpy.typing import NDArray

from benchmarks.sides.loading import load


def plain(similarity: NDArray[np.float32], n: int) -> list[int]:
    """Lazy greedy with a heap, one row at a time."""
    best = np.zeros(len(similarity), np.float32)
    sums = similarity.sum(axis=1, dtype=np.float64)
    heap = [(-gain, row) for row, gain in enumerate(sums)]
    heapq.heapify(heap)
    picks: list[int] = []
    while len(picks) < n:
        _, row = heapq.heappop(heap)
        gain = float(np.maximum(similarity[row] - best, 0.0).sum(dtype=np.float64))
        if heap and -gain > heap[0][0]:
            heapq.heappush(heap, (-gain, row))
            continue
        picks.append(row)
        np.maximum(best, similarity[row], out=best)
    return picks


def main(library: str, dump: str, n: int, output: str) -> None:
    rows = load(dump)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    if library == "submodlib":
        from submodlib import FacilityLocationFunction

        # its maximum starts at 0, so that negative cosines count as 0
        function = FacilityLocationFunction(n=len(rows), mode="dense", data=rows, metric="cosine")
        found = function.maximize(budget=n, optimizer="LazyGreedy", show_progress=False)
        picks = [row for row, _ in found]
    elif library == "apricot":
        from apricot import FacilityLocationSelection

        # its cosine is squared; a matrix of its own makes it maximise the same function
        matrix = np.maximum(rows @ rows.T, 0.0).astype(np.float64)
        selection = FacilityLocationSelection(n, metric="precomputed", optimizer="lazy")
        picks = list(selection.fit(matrix).ranking)
    else:
        picks = plain(np.maximum(rows @ rows.T, 0.0), n)
    np.save(output, np.array(picks, np.int64))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])

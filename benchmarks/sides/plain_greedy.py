"""Greedy k-center as it is usually written: a product and a minimum for each pick."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from benchmarks.sides.loading import load

dump, n, first, target = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
rows = load(dump)
squares = np.einsum("ij,ij->i", rows, rows)
nearest = np.full(len(rows), np.inf, np.float32)
picks = [first]
for _ in range(n - 1):
    chosen = rows[picks[-1]]
    np.minimum(nearest, squares - 2.0 * (rows @ chosen) + squares[picks[-1]], out=nearest)
    nearest[picks[-1]] = -1.0
    picks.append(int(nearest.argmax()))
np.save(target, np.array(picks))

"""Kernel thinning by goodpoints: Compress++ in Cython; or its herding, in NumPy."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from goodpoints.compress import compresspp_kt
from goodpoints.herding import herding
from numpy.typing import NDArray

from benchmarks.sides.loading import load

dump, how, scale, seed = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
target = Path(sys.argv[5])
rows = load(dump).astype(np.float64)
begun = time.perf_counter()
if how == "herding":
    squares = np.einsum("ij,ij->i", rows, rows)
    rounds = (len(rows).bit_length() - 1) // 2

    def kernel(one: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
        squared = (one * one).sum() + squares - 2.0 * (others @ one[0])
        return np.asarray(np.exp(squared * (-0.5 / scale**2)), np.float64)

    places = herding(rows, rounds, kernel, unique=True)
else:
    widths = np.array([2.0 * scale**2])
    places = compresspp_kt(rows, b"gaussian", k_params=widths, g=int(how), seed=seed)
print(json.dumps({"choose": time.perf_counter() - begun}))
np.save(target, np.sort(places))

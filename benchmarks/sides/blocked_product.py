"""A script of the usual kind: all cosines by a blocked NumPy product, the first of each kept.

python -m benchmarks.sides.blocked_product DUMP THRESHOLD OUT.npy
"""

from __future__ import annotations

import sys

import numpy as np
import pyarrow.dataset as ds

BLOCK = 1024


def main(dump: str, threshold: float, output: str) -> None:
    column = ds.dataset(dump).to_table(columns=["embedding"])["embedding"].combine_chunks()
    vectors = column.flatten().to_numpy().reshape(len(column), -1)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    dropped = np.zeros(len(vectors), np.bool_)
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        # only with what comes later: half of all products
        row, other = np.nonzero(block @ vectors[start:].T >= threshold)
        row, other = row[other > row], other[other > row]
        order = np.argsort(row, kind="stable")
        row, other = row[order], other[order]
        for index, first in enumerate(
            np.searchsorted(row, np.arange(len(block) + 1)).tolist()[:-1]
        ):
            if not dropped[start + index]:
                last = np.searchsorted(row, index, side="right")
                dropped[start + other[first:last]] = True
    np.save(output, np.flatnonzero(dropped))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])

"""Deduplication of given vectors with semhash, whose index is USearch.

python -m benchmarks.sides.semhash_dedup DUMP THRESHOLD OUT.npy
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pyarrow.dataset as ds
from semhash import SemHash


class NoModel:
    """Stands for the model, which given vectors do not need."""

    def encode(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("vectors are given")


def main(dump: str, threshold: float, output: str) -> None:
    column = ds.dataset(dump).to_table(columns=["embedding"])["embedding"].combine_chunks()
    vectors = column.flatten().to_numpy().reshape(len(column), -1)
    records = [str(row) for row in range(len(vectors))]
    index = SemHash.from_embeddings(embeddings=vectors, records=records, model=NoModel())
    found = index.self_deduplicate(threshold=threshold)
    np.save(output, np.array(sorted(int(one.record) for one in found.filtered), np.int64))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])

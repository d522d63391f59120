"""Weights of the nearest row of a subset, as it is usually written: scikit-learn, brute force."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.neighbors import NearestNeighbors

from benchmarks.sides.loading import load

dump, learned, output = sys.argv[1:4]
known = pq.read_table(Path(learned), columns=["row", "weight"])
rows = load(dump)
model = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(rows[known["row"].to_numpy()])
nearest = model.kneighbors(rows, return_distance=False)[:, 0]
weight = known["weight"].to_numpy()[nearest]
pq.write_table(pa.table({"row": np.arange(len(rows)), "weight": weight}), output)

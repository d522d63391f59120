"""The other side: superkmeans, flat, on all rows, without early stop, and the assignment."""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from superkmeans import SuperKMeans

from benchmarks.sides.loading import load

folder, k, iterations, output = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
vectors = load(folder)
model = SuperKMeans(
    k,
    vectors.shape[1],
    hierarchical=False,
    iters=iterations,
    sampling_fraction=1.0,
    max_points_per_cluster=len(vectors),
    early_termination=False,
)
centroids = model.train(vectors)
labels = model.assign(vectors, centroids)
np.save(output + ".npy", centroids)
pq.write_table(pa.table({"cluster": labels.astype(np.int32)}), output + ".parquet")

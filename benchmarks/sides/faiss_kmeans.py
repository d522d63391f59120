"""The other side: faiss's k-means from the faiss-cpu wheel, and the final search."""

from __future__ import annotations

import sys

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.sides.loading import load

folder, k, iterations, output = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
vectors = load(folder)
model = faiss.Kmeans(
    vectors.shape[1], k, niter=iterations, max_points_per_centroid=len(vectors), seed=1
)
model.train(vectors)
_, labels = model.index.search(vectors, 1)
np.save(output + ".npy", np.asarray(model.centroids))
pq.write_table(pa.table({"cluster": labels[:, 0].astype(np.int32)}), output + ".parquet")

"""coresift cluster beside scripts with faiss and superkmeans: whole processes, from Parquet."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
from numpy.typing import NDArray

from benchmarks import data
from benchmarks.harness import compare, coresift, ratios, side, spread, table
from coresift.clustering.distances import squared_distances
from coresift.clustering.nearest import Centers, nearest

ITERATIONS = 10


def cost(dump: Path, centroids: NDArray[np.float32]) -> float:
    """Sum of squared distances to the nearest centroid, in float64, the same for all sides."""
    centers = Centers.prepare(np.ascontiguousarray(centroids, np.float32))
    total = 0.0
    for batch in ds.dataset(dump).to_batches(columns=["embedding"], batch_size=4096):
        vectors = batch.column(0).flatten().to_numpy().reshape(len(batch), -1)
        total += float(squared_distances(vectors, centers.points, nearest(vectors, centers)).sum())
    return total


def our_centroids(folder: Path) -> NDArray[np.float32]:
    """Centroids of a clustering of coresift."""
    column = ds.dataset(folder / "centroids.parquet").to_table()["centroid"].combine_chunks()
    values: NDArray[np.float32] = column.flatten().to_numpy().reshape(len(column), -1)
    return values


def one(dump: Path, k: int, others: list[str], repeats: int) -> list[list[str]]:
    """Compare on one dump."""
    work = Path(tempfile.mkdtemp(prefix="bench-"))

    def ours() -> list[str]:
        shutil.rmtree(work / "ours", ignore_errors=True)
        return coresift(
            *("cluster", dump, "-k", k, "--iterations", ITERATIONS, "--tol", 0),
            *("-o", work / "ours"),
        )

    sides = {"coresift": ours}
    for name in others:
        command = side(f"{name}_kmeans", dump, k, ITERATIONS, work / name)
        sides[name] = lambda command=command: command  # type: ignore[misc]
    found = compare(sides, repeats)
    mine = [run.seconds for run in found["coresift"]]
    our_cost = cost(dump, our_centroids(work / "ours"))
    rows = []
    for name in others:
        theirs = [run.seconds for run in found[name]]
        their_cost = cost(dump, np.load(work / f"{name}.npy"))
        rows.append(
            [
                f"{dump.name}, k={k:,}",
                name,
                spread(mine),
                spread(theirs),
                ratios(mine, theirs),
                f"{our_cost / their_cost:.4f}",
            ]
        )
    shutil.rmtree(work)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", choices=["fashion", "mixture"])
    parser.add_argument("-k", type=int)
    parser.add_argument("--sides", default="faiss,superkmeans")
    options = parser.parse_args()
    cases = [("fashion", 1000, options.sides), ("mixture", 1000, options.sides)]
    cases += [("fashion", 4000, "superkmeans"), ("mixture", 4000, "superkmeans")]
    rows = []
    for name, k, sides in cases:
        if options.data in (None, name) and options.k in (None, k):
            dump = data.fashion() if name == "fashion" else data.mixture()
            rows += one(dump, k, sides.split(","), options.repeats)
    head = ["data", "other side", "coresift s", "other s", "time ratio", "cost ratio"]
    table("Cluster, 10 iterations over all rows", head, rows)


if __name__ == "__main__":
    main()

"""coresift cluster beside scripts with faiss and superkmeans: whole processes, from Parquet."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
from numpy.typing import NDArray

from benchmarks import data
from benchmarks.harness import compare, coresift, options, ratios, side, spread, table
from coresift.clustering.centers import Centers
from coresift.clustering.distances import squared_distances
from coresift.clustering.nearest import nearest

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


def one(dump: Path, k: int, kernel: str, others: list[str], repeats: int) -> list[list[str]]:
    """Compare on one dump."""
    work = Path(tempfile.mkdtemp(prefix="bench-"))

    def ours() -> list[str]:
        shutil.rmtree(work / "ours", ignore_errors=True)
        return coresift(
            *("cluster", dump, "-k", k, "--iterations", ITERATIONS, "--tol", 0),
            *("--kernel", kernel, "-o", work / "ours"),
        )

    sides = {"coresift": ours}
    for name in others:
        command = side(f"{name}_kmeans", dump, k, ITERATIONS, work / name)
        sides[name] = lambda command=command: command  # type: ignore[misc]
    found = compare(sides, repeats)
    mine = [run.seconds for run in found["coresift"]]
    peak = max(run.peak for run in found["coresift"])
    our_cost = cost(dump, our_centroids(work / "ours"))
    rows = []
    for name in others:
        theirs = [run.seconds for run in found[name]]
        their_peak = max(run.peak for run in found[name])
        their_cost = cost(dump, np.load(work / f"{name}.npy"))
        rows.append(
            [
                f"{dump.name}, k={k:,}",
                kernel,
                name,
                spread(mine),
                spread(theirs),
                ratios(mine, theirs),
                f"{our_cost / their_cost:.4f}",
                f"{peak / 1e6:,.0f} / {their_peak / 1e6:,.0f}",
            ]
        )
    shutil.rmtree(work)
    return rows


DUMPS = {"fashion": data.fashion, "mixture": data.mixture}
CASES = [
    ("fashion", 1000, "auto", "faiss,superkmeans"),
    ("mixture", 1000, "auto", "faiss,superkmeans"),
    ("fashion", 4000, "auto", "superkmeans"),
    ("mixture", 4000, "auto", "superkmeans"),
    ("fashion", 4000, "superkmeans", "superkmeans"),
    ("mixture", 4000, "superkmeans", "superkmeans"),
]


def main() -> None:
    parser = options(__doc__, 3)
    parser.add_argument("--data", choices=list(DUMPS))
    parser.add_argument("-k", type=int)
    parser.add_argument("--kernel", choices=["auto", "blas", "superkmeans", "faiss"])
    parser.add_argument("--sides", help="faiss, superkmeans or both, with a comma")
    asked = parser.parse_args()
    rows = []
    if asked.quick:
        for kernel in ("auto", "superkmeans"):
            rows += one(data.little(), 50, kernel, ["faiss", "superkmeans"], 1)
    else:
        for name, k, kernel, sides in CASES:
            wanted = (asked.data or name, asked.k or k, asked.kernel or kernel)
            if wanted == (name, k, kernel):
                others = (asked.sides or sides).split(",")
                rows += one(DUMPS[name](), k, kernel, others, asked.repeats)
    if not rows:
        parser.error("no case has these values")
    head = ["data", "kernel", "other side", "coresift s", "other s", "time ratio", "cost ratio"]
    title = "Cluster, 10 iterations over all rows"
    table(title, [*head, "peak MB, ours / theirs"], rows, keep=not asked.quick)


if __name__ == "__main__":
    main()

"""Worst error of a coreset's k-means cost that is found: each construction and uniform sampling.

All are judged at the same centers: those found against each of them, see
coresift/evaluation/certificate.py.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks import data
from benchmarks.harness import options, table
from coresift.api.cluster import cluster
from coresift.api.select import select
from coresift.clustering.points import Held
from coresift.clustering.saved import SavedClustering
from coresift.core.memory import Budget
from coresift.core.progress import Silent
from coresift.engine.local import LocalEngine
from coresift.evaluation.base import Resources, RowSet
from coresift.evaluation.certificate import certify
from coresift.io.store import Scratch

SIDES = ("sensitivity", "group", "lightweight", "uniform")
SIZES = (200, 500, 1000, 2000, 5000)
CENTERS = 32


def vectors(dump: Path) -> NDArray[np.float32]:
    """All vectors."""
    column = ds.dataset(dump).to_table(columns=["embedding"])["embedding"].combine_chunks()
    flat: NDArray[np.float32] = column.flatten().to_numpy()
    return flat.reshape(len(column), -1)


def chosen(side: str, dump: Path, clusters: Path, objective: str, n: int, seed: int) -> RowSet:
    """The rows of one side."""
    target = clusters.parent / "chosen.parquet"
    common = {"size": n, "output": target, "seed": seed, "ids_only": True, "overwrite": True}
    if side == "uniform":
        select("random", dump, **common)  # type: ignore[arg-type]
    else:
        params = {"construction": side, "objective": objective}
        given = None if side == "lightweight" else clusters
        select("coreset", dump, params=params, clusters=given, **common)  # type: ignore[arg-type]
    found = pq.read_table(target)
    return RowSet(found["row"].to_numpy(), found["weight"].to_numpy())


def one(
    dump: Path, k: int, sizes: tuple[int, ...], objective: str, repeats: int
) -> list[list[str]]:
    """Mean over seeds of the largest errors at some sizes."""
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    cluster(dump, k=k, output=work / "clusters")
    known = SavedClustering.open(work / "clusters").centroids
    points = Held(vectors(dump))
    rows = []
    for n in sizes:
        found = []
        for seed in range(repeats):
            sets = [chosen(side, dump, work / "clusters", objective, n, seed) for side in SIDES]
            engine = LocalEngine(None)
            with Scratch() as scratch:
                resources = Resources(engine, Budget.default(), scratch, Silent(), seed)
                values, certificate = certify(
                    points,
                    sets,
                    resources,
                    k=k,
                    objective=objective,
                    count=CENTERS,
                    known=known,
                )
            engine.close()
            found.append(values["coreset_error_max"])
            print(objective, k, n, seed, np.round(found[-1], 4), flush=True)
        errors = np.array(found)
        wins = (errors[:, :-1] < errors[:, -1:]).sum(axis=0)
        cells = [f"{errors[:, i].mean():.4f} ({wins[i]} of {repeats})" for i in range(len(wins))]
        uniform = f"{errors[:, -1].mean():.4f}"
        tried = str(certificate.center_sets)
        rows.append([f"{objective}, k={k}", f"{n:,}", *cells, uniform, tried])
    shutil.rmtree(work)
    return rows


def main() -> None:
    asked = options(__doc__, 5).parse_args()
    if asked.quick:
        rows = one(data.little(), 10, (200,), "kmeans", 1)
    else:
        dump = data.fashion()
        rows = [row for k in (10, 100) for row in one(dump, k, SIZES, "kmeans", asked.repeats)]
    head = ["cost", "n", *SIDES[:-1], "uniform", "center sets"]
    table("Coresets, worst error found", head, rows, keep=not asked.quick)


if __name__ == "__main__":
    main()

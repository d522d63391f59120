"""Variance of the weighted loss estimate: sensitivity sampling against uniform sampling.

The loss is that of a logistic regression trained on a few labels; sensitivity sampling sees it
on the clusters' representatives alone.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from benchmarks import data
from benchmarks.harness import options, table
from coresift.api.cluster import cluster
from coresift.api.demo import write_digits
from coresift.api.select import select


def losses(dump: Path, known: int) -> NDArray[np.float64]:
    """Loss of every row under a model that has seen the first ``known`` labels."""
    rows = pq.read_table(dump)
    embedding = rows.column("embedding").combine_chunks()
    vectors = embedding.flatten().to_numpy().reshape(len(embedding), -1)
    label = rows.column("label").to_numpy()
    model = LogisticRegression(max_iter=300).fit(vectors[:known], label[:known])
    probability = model.predict_proba(vectors)
    place = np.searchsorted(model.classes_, label)
    found: NDArray[np.float64] = -np.log(probability[np.arange(len(label)), place] + 1e-12)
    return found


def one(dump: Path, k: int, size: int, repeats: int, work: Path) -> list[str]:
    """Relative standard errors of both, over seeds."""
    loss = losses(dump, 1000)
    total = float(loss.sum())
    clusters = work / f"{dump.name}-clusters"
    cluster(dump, k=k, output=clusters)
    medoid = pq.read_table(clusters / "centroids.parquet").column("medoid").to_numpy()
    asked = pa.table({"cluster": np.arange(k, dtype=np.int32), "loss": loss[medoid]})
    pq.write_table(asked, work / "losses.parquet")
    errors: dict[str, list[float]] = {"sensitivity": [], "random": []}
    for method, found in errors.items():
        for seed in range(repeats):
            params = {"losses": str(work / "losses.parquet")} if method == "sensitivity" else {}
            select(
                method,
                dump,
                size=size,
                output=work / "s.parquet",
                clusters=clusters if method == "sensitivity" else None,
                params=params,
                ids_only=True,
                overwrite=True,
                seed=seed,
            )
            chosen = pq.read_table(work / "s.parquet")
            weight, row = chosen.column("weight").to_numpy(), chosen.column("row").to_numpy()
            found.append(float((weight * loss[row]).sum()) / total - 1.0)
    spread = {name: float(np.sqrt(np.mean(np.square(found)))) for name, found in errors.items()}
    ratio = (spread["sensitivity"] / spread["random"]) ** 2
    bias = float(np.mean(errors["sensitivity"]))
    return [
        f"{dump.name}, {len(loss):,} rows, k={k}, n={size:,}",
        f"{spread['sensitivity']:.4f}",
        f"{spread['random']:.4f}",
        f"{ratio:.2f}",
        f"{bias:+.4f} ± {spread['sensitivity'] / np.sqrt(repeats):.4f}",
    ]


def main() -> None:
    asked = options(__doc__, 100).parse_args()
    repeats = 3 if asked.quick else asked.repeats
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    write_digits(work / "digits")
    rows = [one(work / "digits", 100, 180, repeats, work)]
    if not asked.quick:
        rows.append(one(data.fashion(), 500, 600, repeats, work))
    shutil.rmtree(work)
    head = ["data", "sensitivity: rel. error", "uniform: rel. error", "variance ratio", "bias"]
    table("Weighted loss estimate", head, rows, keep=not asked.quick)


if __name__ == "__main__":
    main()

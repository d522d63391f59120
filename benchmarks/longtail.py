"""Balanced sampling of long-tailed data: what becomes of the rare classes, beside uniform.

Fashion-MNIST with its classes cut to 6000, 3000, ..., 12 images. A probe trained on the chosen
rows is scored by its mean accuracy per class on 10,000 images that were never seen.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from benchmarks import data
from benchmarks.harness import options, table
from coresift.api.cluster import cluster
from coresift.api.select import select

CLASSES = 10
LEVELS = (1000, 100, 20)


def _images(kind: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    with gzip.open(data.FASHION / f"{kind}-images-idx3-ubyte.gz") as stream:
        pixels = np.frombuffer(stream.read(), np.uint8, offset=16).reshape(-1, 784)
    with gzip.open(data.FASHION / f"{kind}-labels-idx1-ubyte.gz") as stream:
        labels = np.frombuffer(stream.read(), np.uint8, offset=8)
    return pixels.astype(np.float32) / 255.0, labels.astype(np.int64)


def long_tailed(work: Path) -> Path:
    """Write the cut training images; each class has half as many as the one before."""
    vectors, labels = _images("train")
    kept = np.concatenate(
        [np.flatnonzero(labels == label)[: round(6000 / 2**label)] for label in range(CLASSES)]
    )
    kept.sort()
    folder = work / "longtail"
    folder.mkdir()
    data.write_part(folder / "emb-00.parquet", vectors[kept], labels[kept], 0)
    return folder


def _scored(
    chosen: Path, test: tuple[NDArray[np.float32], NDArray[np.int64]]
) -> tuple[int, int, float]:
    """Rows of the smallest class, classes without a row, and mean accuracy per class."""
    rows = pq.read_table(chosen)
    embedding = rows.column("embedding").combine_chunks()
    vectors = embedding.flatten().to_numpy().reshape(len(embedding), -1)
    label = rows.column("label").to_numpy()
    counts = np.bincount(label, minlength=CLASSES)
    model = LogisticRegression(max_iter=2000, C=0.1).fit(vectors, label)
    right = model.predict(test[0]) == test[1]
    accuracy = np.mean([right[test[1] == index].mean() for index in range(CLASSES)])
    return int(counts[CLASSES - 1]), int((counts == 0).sum()), float(accuracy)


def one(dump: Path, size: int, repeats: int, work: Path) -> list[list[str]]:
    """A line of the table for each method."""
    test = _images("t10k")
    clusters = work / "clusters"
    if not clusters.exists():
        cluster(dump, k=LEVELS, method="hierarchical", output=clusters)
    lines = []
    for method in ("random", "balanced"):
        found = []
        for seed in range(repeats):
            select(
                method,
                dump,
                size=size,
                output=work / "s.parquet",
                clusters=clusters if method == "balanced" else None,
                overwrite=True,
                seed=seed,
            )
            found.append(_scored(work / "s.parquet", test))
        rare, missing, accuracy = (np.array(column) for column in zip(*found, strict=True))
        lines.append(
            [
                f"n={size:,}, {method}",
                f"{rare.mean():.1f} ({rare.min()} to {rare.max()})",
                f"{missing.mean():.1f}",
                f"{accuracy.mean():.4f} ± {accuracy.std():.4f}",
            ]
        )
    return lines


def main() -> None:
    """Run it."""
    asked = options(__doc__, 10).parse_args()
    repeats = 2 if asked.quick else asked.repeats
    sizes = (300,) if asked.quick else (300, 1000, 2000)
    work = Path(tempfile.mkdtemp(prefix="coresift-longtail-"))
    try:
        dump = long_tailed(work)
        lines = [line for size in sizes for line in one(dump, size, repeats, work)]
    finally:
        shutil.rmtree(work)
    table(
        "Long-tailed Fashion-MNIST",
        ["", "rows of the rarest class", "classes without a row", "mean accuracy per class"],
        lines,
        keep=not asked.quick,
    )


if __name__ == "__main__":
    main()

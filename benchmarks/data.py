"""The data of the benchmarks: Fashion-MNIST, and generated mixtures, as Parquet dumps."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from numpy.typing import NDArray

FASHION = Path("/usr/share/datasets/fashion-mnist")
ROOT = Path(__file__).parent / "data"
FILES = 4
GROUP = 16_384


def _write(folder: Path, vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    partial = _partial(folder)
    bounds = np.linspace(0, len(vectors), FILES + 1).astype(int)
    for index in range(FILES):
        start, stop = int(bounds[index]), int(bounds[index + 1])
        write_part(
            partial / f"emb-{index:02d}.parquet", vectors[start:stop], labels[start:stop], start
        )
    partial.rename(folder)


def _partial(folder: Path) -> Path:
    """Empty folder beside one that is to be there whole or not at all."""
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial


def write_part(
    path: Path, vectors: NDArray[np.float32], labels: NDArray[np.int64], first: int
) -> None:
    """Write one file with columns ``id``, ``label`` and ``embedding``."""
    flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
    table = pa.table(
        {
            "id": np.arange(first, first + len(vectors)),
            "label": labels,
            "embedding": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
        }
    )
    pq.write_table(table, path, row_group_size=GROUP, use_dictionary=["label"])


def fashion(rows: int = 60_000) -> Path:
    """60,000 x 784: Fashion-MNIST's training images, pixels / 255; or the first of these."""
    folder = ROOT / ("fashion" if rows == 60_000 else f"fashion-{rows}")
    if folder.exists():
        return folder
    if not FASHION.exists():
        raise SystemExit("Fashion-MNIST is missing: apt-get install dataset-fashion-mnist")
    with gzip.open(FASHION / "train-images-idx3-ubyte.gz") as stream:
        pixels = np.frombuffer(stream.read(), np.uint8, offset=16).reshape(-1, 784)
    with gzip.open(FASHION / "train-labels-idx1-ubyte.gz") as stream:
        labels = np.frombuffer(stream.read(), np.uint8, offset=8)
    _write(folder, pixels[:rows].astype(np.float32) / 255.0, labels[:rows].astype(np.int64))
    return folder


def duplicates(rows: int = 200_000, dim: int = 384, name: str = "duplicates") -> Path:
    """The mixture's vectors, a quarter of them near copies of others at cosines from 0.8 to 1."""
    folder = ROOT / name
    if folder.exists():
        return folder
    table = ds.dataset(mixture(rows, dim, "mixture" if rows == 200_000 else f"mixture-{rows}"))
    column = table.to_table(columns=["embedding"])["embedding"].combine_chunks()
    vectors = column.flatten().to_numpy().reshape(-1, dim).copy()
    random = np.random.default_rng(11)
    copies = random.choice(rows, rows // 4, replace=False)
    originals = random.choice(np.setdiff1d(np.arange(rows), copies), len(copies))
    source = vectors[originals]
    length = np.linalg.norm(source, axis=1, keepdims=True)
    aside = random.normal(size=source.shape)
    aside -= source * (np.einsum("ij,ij->i", aside, source)[:, None] / length**2)
    aside *= length / np.linalg.norm(aside, axis=1, keepdims=True)
    cosine = random.uniform(0.8, 1.0, (len(copies), 1))
    vectors[copies] = cosine * source + np.sqrt(1.0 - cosine**2) * aside
    _write(folder, vectors, np.zeros(rows, np.int64))
    return folder


def mixture(rows: int = 200_000, dim: int = 384, name: str = "mixture") -> Path:
    """Clustered vectors: 2,000 components of power-law sizes, with a decaying spectrum."""
    folder = ROOT / name
    if folder.exists():
        return folder
    random = np.random.default_rng(7)
    components = 2000
    spectrum = 1.0 / np.sqrt(1.0 + np.arange(dim) / 8.0)
    centers = random.normal(size=(components, dim)) * spectrum
    turn = np.linalg.qr(random.normal(size=(dim, dim)))[0]
    share = np.arange(1, components + 1) ** -0.8
    share /= share.sum()
    partial = _partial(folder)
    step = 50_000
    for index, start in enumerate(range(0, rows, step)):
        count = min(step, rows - start)
        labels = random.choice(components, count, p=share)
        noise = 0.7 * random.normal(size=(count, dim)) * spectrum
        vectors = ((centers[labels] + noise) @ turn).astype(np.float32)
        path = partial / f"emb-{index:03d}.parquet"
        write_part(path, vectors, labels.astype(np.int64), start)
    partial.rename(folder)
    return folder


def little() -> Path:
    """A mixture small enough to try a benchmark on."""
    return mixture(5_000, 64, "little")

"""Weights learned on a coreset with a real model, carried to all rows."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from coresift.api.weights import weights as coresift_weights
from coresift.clustering.distances import Workspace
from coresift.core.progress import Silent
from coresift.engine.serial import SerialEngine
from coresift.io.dump import open_dump
from coresift.io.scan import Scan
from tests.cli.command import coresift
from tests.data import digits, vector_table, write_dump
from tests.weighted import carried, write_learned


def reweighted(
    x: NDArray[np.float64],
    labels: NDArray[np.int64],
    trusted: NDArray[np.float64],
    truth: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Weights by the validation loss: up for rows whose gradient lowers it (Ren et al., 2018)."""
    from sklearn.linear_model import LogisticRegression

    weight = np.ones(len(x))
    inputs, checks = (np.c_[rows, np.ones(len(rows))] for rows in (x, trusted))
    for _ in range(15):
        model = LogisticRegression(max_iter=1000, tol=1e-2).fit(x, labels, sample_weight=weight)
        errors = model.predict_proba(x) - (labels[:, None] == model.classes_)
        wanted = model.predict_proba(trusted) - (truth[:, None] == model.classes_)
        agreement = ((errors @ (wanted.T @ checks)) * inputs).sum(axis=1)
        weight *= np.exp(agreement / np.abs(agreement).max())
        weight *= len(weight) / weight.sum()
    return weight


def test_weights_learned_on_a_coreset_help_a_probe(tmp_path: Path) -> None:
    """A source has mislabelled some kinds of digits: a fifth of all rows.

    60 trusted labels are enough to tell, on a coreset, which kinds; carried to all rows, these
    weights keep a probe from learning the wrong labels.
    """
    from sklearn.cluster import KMeans
    from sklearn.linear_model import LogisticRegression

    images, truth = digits()
    random = np.random.default_rng(0)
    order = random.permutation(len(images))
    trusted, rows, test = order[:60], order[60:1260], order[1260:]
    kinds = KMeans(40, n_init=1, random_state=0).fit(images[rows]).labels_
    labels = truth[rows].copy()
    wrong = np.zeros(len(rows), np.bool_)
    for kind in random.permutation(40).tolist():
        if wrong.mean() < 0.2:
            wrong |= kinds == kind
            labels[kinds == kind] = (labels[kinds == kind] + random.integers(1, 10)) % 10
    write_dump(tmp_path / "emb", vector_table(images[rows], label=labels), files=3)
    done = coresift("select", "random", "emb", "-n", "25%", "-o", "subset.parquet", cwd=tmp_path)
    assert done.code == 0, done.err
    chosen = pq.read_table(tmp_path / "subset.parquet", columns=["row", "label"])
    place = chosen["row"].to_numpy()
    x = images.astype(np.float64)
    with threadpool_limits(1, user_api="blas"):
        learned = reweighted(x[rows][place], chosen["label"].to_numpy(), x[trusted], truth[trusted])
    write_learned(tmp_path / "learned.parquet", place.tolist(), learned.tolist())
    carried(tmp_path, "--weights", "learned.parquet", "--normalize", "mean")
    weight = pq.read_table(tmp_path / "out.parquet")["weight"].to_numpy()
    assert weight[wrong].mean() < 0.5
    assert weight[~wrong].mean() > 1.0

    def accuracy(weight: NDArray[np.float64] | None) -> float:
        with threadpool_limits(1, user_api="blas"):
            model = LogisticRegression(max_iter=1000).fit(x[rows], labels, sample_weight=weight)
        return float(model.score(x[test], truth[test]))

    assert accuracy(weight) > accuracy(None) + 0.04


def test_a_small_budget_makes_small_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scores of a tile, the largest thing beside the rows, take no more than a block."""
    images, _ = digits()
    write_dump(tmp_path / "emb", vector_table(images))
    write_learned(tmp_path / "learned.parquet", list(range(1700)), [1.0] * 1700)
    taken: list[int] = []
    take = Workspace.take

    def watched(self: Workspace, name: str, shape: tuple[int, ...], *kind: Any) -> NDArray[Any]:
        if name == "scores":
            taken.append(4 * math.prod(shape))
        return take(self, name, shape, *kind)

    monkeypatch.setattr(Workspace, "take", watched)
    coresift_weights(
        tmp_path / "emb",
        subset=tmp_path / "learned.parquet",
        weights="weight",
        by="kernel",
        output=tmp_path / "out.parquet",
        memory="1GB",
        threads=16,
    )
    assert 3 << 20 < max(taken) <= 4 << 20


def test_a_block_is_held_once(tmp_path: Path) -> None:
    """Not beside the batches that it was put together from."""
    # decoded into memory that is traced
    vectors = np.ones((40_000, 64), np.float16)
    dump = open_dump([write_dump(tmp_path / "emb", vector_table(vectors))])
    dump.rows_at_a_time, dump.run_bytes = 2000, 1 << 22
    held: list[int] = []

    def task(_: NDArray[np.int64], block: NDArray[np.float32]) -> None:
        held.append(tracemalloc.get_traced_memory()[0] - before - block.nbytes)

    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in Scan(dump, SerialEngine(), Silent()).map(task, "look"):
            pass
    finally:
        tracemalloc.stop()
    assert len(held) == 3
    assert max(held) < 2 << 20

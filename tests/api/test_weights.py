"""Weights learned on a coreset with a real model, carried to all rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

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

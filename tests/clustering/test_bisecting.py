"""Bisecting k-means beside scikit-learn's, and its own promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import coresift
from coresift.clustering.bisecting import fit_bisecting
from coresift.clustering.kmeans import KMeansParams
from tests.clustering.rows import Rows, brute_force, train
from tests.data import digits, digits_dump, gaussians


def test_cost_is_that_of_scikit_learn() -> None:
    from sklearn.cluster import BisectingKMeans

    vectors = digits()[0]
    ours, theirs = [], []
    for seed in range(6):
        model = train(Rows(vectors), KMeansParams(k=24), trainer=fit_bisecting, seed=seed)
        ours.append(model.costs[-1])
        other = BisectingKMeans(
            24, random_state=seed, init="k-means++", bisecting_strategy="biggest_inertia"
        )
        theirs.append(other.fit(vectors).inertia_)
        # the last assignment is to the nearest of all centroids
        assert brute_force(vectors, model.centroids)[1].sum() <= model.costs[-1]
    assert abs(np.mean(ours) / np.mean(theirs) - 1.0) < 0.03


def test_each_split_lowers_the_cost() -> None:
    model = train(Rows(digits()[0]), KMeansParams(k=40), trainer=fit_bisecting)
    assert len(model.costs) == 39
    assert (np.diff(model.costs) < 0.0).all()


def test_finds_separated_gaussians() -> None:
    vectors = gaussians(1600, 16, 8)
    centroids = train(Rows(vectors), KMeansParams(k=8), trainer=fit_bisecting).centroids
    assert brute_force(vectors, centroids)[1].sum() < 1.02 * 16 * len(vectors)


@pytest.mark.parametrize("step", [37, 5000])
@pytest.mark.parametrize("threads", [1, 2])
def test_same_whatever_the_runs(step: int, threads: int) -> None:
    vectors = digits()[0]
    first = train(Rows(vectors), KMeansParams(k=15), trainer=fit_bisecting)
    again = train(Rows(vectors, step), KMeansParams(k=15), trainer=fit_bisecting, threads=threads)
    assert np.array_equal(first.centroids, again.centroids)


def test_fewer_distinct_vectors_than_clusters(tmp_path: Path) -> None:
    vectors = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    model = train(Rows(vectors), KMeansParams(k=5), trainer=fit_bisecting)
    assert model.centroids.shape == (5, 3)
    assert len(np.unique(model.centroids, axis=0)) == 3
    dump = digits_dump(tmp_path / "dump")
    made = coresift.cluster(dump, k=30, method="bisecting", train_rows=900, output=tmp_path / "c")
    assert (made.k, made.iterations, made.empty_clusters) == (30, 29, 0)
    assert "trained on 900 of 1,797 rows, drawn uniformly" in made.notes
    assert coresift.replay(tmp_path / "c", output=tmp_path / "again").identical

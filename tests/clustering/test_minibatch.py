"""Mini-batch k-means beside Sculley's algorithm, row by row."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

import coresift
from coresift.clustering.kmeans import KMeansParams
from coresift.clustering.minibatch import batches, default_minibatch_rows, fit_minibatch
from coresift.core.errors import ParameterError
from tests.clustering.rows import Rows, brute_force, train
from tests.data import digits, digits_dump, gaussians


@pytest.mark.parametrize("iterations", [1, 3])
def test_as_published(iterations: int) -> None:
    vectors = digits()[0]
    params = KMeansParams(k=12, iterations=iterations, tol=0.0)
    ours = train(Rows(vectors), params, trainer=partial(fit_minibatch, minibatch_rows=100))
    start = train(Rows(vectors), KMeansParams(k=12, iterations=0)).centroids
    centers, counts = start.astype(np.float64), np.zeros(12)
    for _ in range(iterations):
        for first in range(0, len(vectors), 100):
            batch = vectors[first : first + 100]
            for row, label in zip(
                batch, brute_force(batch, centers.astype(np.float32))[0], strict=True
            ):
                counts[label] += 1
                rate = 1.0 / counts[label]
                centers[label] = (1.0 - rate) * centers[label] + rate * row
    np.testing.assert_allclose(ours.centroids, centers, atol=1e-5)
    assert len(ours.costs) == iterations


def test_finds_separated_gaussians_in_one_pass() -> None:
    vectors = gaussians(3000, 16, 8)
    params = KMeansParams(k=8, iterations=1, seeding="greedy-k-means++")
    centroids = train(Rows(vectors), params, trainer=fit_minibatch).centroids
    cost = brute_force(vectors, centroids)[1].sum()
    assert cost < 1.1 * 16 * len(vectors)


@pytest.mark.parametrize("step", [37, 500, 5000])
@pytest.mark.parametrize("threads", [1, 2])
def test_same_whatever_the_runs(step: int, threads: int) -> None:
    vectors = digits()[0]
    params = KMeansParams(k=20, iterations=2)
    first = train(Rows(vectors), params, trainer=fit_minibatch)
    again = train(Rows(vectors, step), params, trainer=fit_minibatch, threads=threads)
    assert np.array_equal(first.centroids, again.centroids)


def test_spherical_centroids_have_norm_one() -> None:
    vectors = digits()[0]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    model = train(
        Rows(unit), KMeansParams(k=9, iterations=2), trainer=fit_minibatch, spherical=True
    )
    np.testing.assert_allclose(np.linalg.norm(model.centroids, axis=1), 1.0, atol=1e-6)


def test_batches_are_cut_at_fixed_rows() -> None:
    vectors = np.arange(23, dtype=np.float32)[:, None]
    for step in (1, 4, 7, 100):
        found = [block[:, 0].tolist() for block in batches(Rows(vectors, step), 7)]
        assert found == [list(range(at, min(at + 7, 23))) for at in range(0, 23, 7)]
    assert default_minibatch_rows(10) == 4096
    assert default_minibatch_rows(10_000) == 40_000


def test_the_verb(tmp_path: Path) -> None:
    dump = digits_dump(tmp_path / "dump")
    made = coresift.cluster(
        dump, k=30, method="minibatch", minibatch_rows=256, output=tmp_path / "c"
    )
    assert (made.method, made.iterations, made.empty_clusters) == ("minibatch", 1, 0)
    assert "batches of 256 rows in the order of the dump" in made.notes
    assert coresift.replay(tmp_path / "c", output=tmp_path / "again").identical
    with pytest.raises(ParameterError, match="--minibatch-rows is an option of --method minibatch"):
        coresift.cluster(dump, k=3, minibatch_rows=5, output=tmp_path / "d")
    with pytest.raises(ParameterError, match="--minibatch-rows 0 is not at least 1"):
        coresift.cluster(dump, k=3, method="minibatch", minibatch_rows=0, output=tmp_path / "d")

"""The plane of PCA: as scikit-learn finds it, and the same everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from coresift.clustering.points import Held, Points
from coresift.core.memory import Budget
from coresift.core.progress import Silent
from coresift.engine.local import LocalEngine
from coresift.evaluation.base import Resources
from coresift.io.dump import open_dump
from coresift.io.store import Scratch
from coresift.io.vectors import ingest
from coresift.reporting.plane import Plane
from tests.data import digits, digits_dump


def fitted(points: Points, threads: int = 2) -> tuple[Plane, NDArray[np.float32]]:
    engine = LocalEngine(threads)
    try:
        resources = Resources(engine, Budget.default(), Scratch(), Silent())
        plane = Plane.fit(points, resources)
        return plane, plane.project(points, resources)
    finally:
        engine.close()


def test_as_scikit_learn_finds_it() -> None:
    from sklearn.decomposition import PCA

    vectors = digits()[0] + np.float32(100.0)
    plane, found = fitted(Held(vectors))
    model = PCA(2, svd_solver="full").fit(vectors.astype(np.float64))
    signs = np.sign((model.components_ * plane.axes.T).sum(axis=1))
    np.testing.assert_allclose(plane.axes.T, model.components_ * signs[:, None], atol=1e-6)
    np.testing.assert_allclose(plane.shares, model.explained_variance_ratio_, rtol=1e-6)
    expected = model.transform(vectors.astype(np.float64)) * signs
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert (plane.axes[np.abs(plane.axes).argmax(axis=0), [0, 1]] > 0.0).all()


def test_files_row_groups_batches_and_threads_do_not_show(tmp_path: Path) -> None:
    seen = []
    for files, group, batch, threads in ((1, None, None, 1), (3, 100, 37, 2)):
        folder = tmp_path / str(files)
        dump = open_dump([digits_dump(folder, files=files, row_group_size=group)])
        dump.rows_at_a_time = batch
        engine = LocalEngine(threads)
        with Scratch() as scratch:
            vectors = ingest(dump, engine, Budget.default(), scratch, Silent())
            plane, found = fitted(vectors, threads)
        engine.close()
        seen.append((plane, found))
    (one, here), (other, there) = seen
    np.testing.assert_array_equal(here, there)
    np.testing.assert_array_equal(one.axes, other.axes)


@pytest.mark.parametrize(
    ("vectors", "shares"),
    [
        (np.ones((7, 3)), (0.0, 0.0)),
        (np.arange(5.0)[:, None], (1.0, 0.0)),
        (np.outer(np.arange(6.0), [1.0, 2.0, 2.0]), (1.0, 0.0)),
        (np.zeros((1, 4)), (0.0, 0.0)),
    ],
    ids=["one point", "one dimension", "a line", "one row"],
)
def test_data_of_fewer_than_two_directions(
    vectors: NDArray[np.float64], shares: tuple[float, float]
) -> None:
    plane, found = fitted(Held(vectors.astype(np.float32)))
    assert plane.shares == pytest.approx(shares)
    np.testing.assert_array_equal(found[:, 1], 0.0)
    spread = found[:, 0].astype(np.float64)
    lengths = np.linalg.norm(vectors - vectors.mean(axis=0), axis=1)
    np.testing.assert_allclose(np.abs(spread), lengths, atol=1e-5)

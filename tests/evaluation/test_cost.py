"""The error of the weighted k-means cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coresift.evaluation.base import RowSet
from coresift.evaluation.cost import PERTURBATIONS, RANDOM_CENTERS, center_sets, kmeans_cost_error
from tests.clustering.rows import Rows, brute_force
from tests.data import digits, gaussians
from tests.evaluation.cases import everything, grouped, resources, weighted

ARRAY = digits()[0]
CENTROIDS = ARRAY[:25]


def test_all_rows_have_no_error() -> None:
    with resources() as lent:
        found = kmeans_cost_error(
            Rows(ARRAY), [everything(len(ARRAY))], grouped(ARRAY, CENTROIDS), lent
        )
    assert found["kmeans_cost_error_mean"].tolist() == [0.0]
    assert found["kmeans_cost_error_max"].tolist() == [0.0]


def test_all_rows_weighing_double_are_off_by_one() -> None:
    double = RowSet(np.arange(len(ARRAY)), np.full(len(ARRAY), 2.0))
    with resources() as lent:
        found = kmeans_cost_error(Rows(ARRAY), [double], grouped(ARRAY, CENTROIDS), lent)
    assert found["kmeans_cost_error_mean"][0] == pytest.approx(1.0, rel=1e-12)
    assert found["kmeans_cost_error_max"][0] == pytest.approx(1.0, rel=1e-12)


def test_against_all_distances() -> None:
    points, grouping = Rows(ARRAY), grouped(ARRAY, CENTROIDS)
    sets = [weighted(len(ARRAY), 150, seed) for seed in range(3)]
    with resources(seed=5) as lent:
        found = kmeans_cost_error(points, sets, grouping, lent)
    for index, rows_of in enumerate(sets):
        errors = []
        for centers in center_sets(points, grouping, 5):
            squared = brute_force(ARRAY, centers)[1]
            full = squared.sum()
            errors.append(abs((rows_of.weight * squared[rows_of.rows]).sum() - full) / full)
        assert len(errors) == 1 + len(PERTURBATIONS) + RANDOM_CENTERS
        assert found["kmeans_cost_error_mean"][index] == pytest.approx(np.mean(errors), rel=1e-9)
        assert found["kmeans_cost_error_max"][index] == pytest.approx(max(errors), rel=1e-9)


def test_far_from_the_origin() -> None:
    """Where distances are far smaller than norms."""
    far = (gaussians(1000, 2, 10) / 8.0 + np.float32(2**17)).astype(np.float32)
    near = far - np.float32(2**17)
    sets = [weighted(1000, 100)]
    with resources() as lent:
        found = kmeans_cost_error(Rows(far), sets, grouped(far, far[:10]), lent)
        expected = kmeans_cost_error(Rows(near), sets, grouped(near, near[:10]), lent)
    # the centers drawn are the same rows; those moved by noise are rounded
    for name in found:
        assert found[name] == pytest.approx(expected[name], rel=0.05)


@settings(max_examples=8, deadline=None)
@given(
    step=st.integers(100, 1797),
    threads=st.integers(1, 2),
    memory=st.sampled_from([1, 8 << 30]),
)
def test_runs_threads_and_memory_leave_no_trace(step: int, threads: int, memory: int) -> None:
    sets = [weighted(len(ARRAY), 200)]
    grouping = grouped(ARRAY, CENTROIDS)
    with resources() as lent:
        expected = kmeans_cost_error(Rows(ARRAY, 1797), sets, grouping, lent)
    with resources(threads=threads, memory=memory) as lent:
        found = kmeans_cost_error(Rows(ARRAY, step), sets, grouping, lent)
    for name, values in expected.items():
        assert found[name].tolist() == values.tolist()


def test_points_on_their_centers() -> None:
    array = np.repeat(np.eye(4, dtype=np.float32), 5, axis=0)
    grouping = grouped(array, np.eye(4, dtype=np.float32))
    assert grouping.radius.tolist() == [0.0] * 4
    with resources() as lent:
        found = kmeans_cost_error(Rows(array), [weighted(20, 4)], grouping, lent)
    assert np.isfinite(found["kmeans_cost_error_max"]).all()


def test_centers_move_by_shares_of_the_clusters_radius() -> None:
    array = gaussians(3000, 32, 150, seed=1)
    grouping = grouped(array, array[:150])
    sets = list(center_sets(Rows(array), grouping, 3))
    np.testing.assert_array_equal(sets[0], grouping.centroids)
    for scale, centers in zip(PERTURBATIONS, sets[1:], strict=False):
        moved = np.sqrt(np.square(centers - grouping.centroids).sum(axis=1))
        assert np.sqrt(np.mean((moved / grouping.radius) ** 2)) == pytest.approx(scale, rel=0.05)
    drawn = sets[1 + len(PERTURBATIONS) :]
    assert len(drawn) == RANDOM_CENTERS
    for centers in drawn:
        assert len(np.unique(centers, axis=0)) == 150
        assert brute_force(centers, array)[1].max() == 0.0
    assert not np.array_equal(drawn[0], drawn[1])

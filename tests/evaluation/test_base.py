"""Row sets, and how values become metrics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coresift.evaluation.base import BETTER, Metric, RowSet, summarise
from tests.clustering.rows import Rows
from tests.data import gaussians


def test_metrics_beside_the_baseline() -> None:
    found = summarise(
        {
            "mmd": np.array([5.0, 1.0, 2.0, 6.0]),
            "clusters_hit": np.array([0.5, 0.25]),
            "probe_accuracy_full": np.array([0.1] * 7),
        }
    )
    assert found["mmd"].value == 5.0
    assert found["mmd"].random == 3.0
    assert found["mmd"].random_std == pytest.approx(np.sqrt(7.0))
    assert found["clusters_hit"] == Metric(0.5, 0.25, None, "higher")
    assert found["probe_accuracy_full"] == Metric(0.1, 0.1, 0.0, "higher")


def test_smaller_errors_and_distances_are_better() -> None:
    assert {name for name, better in BETTER.items() if better == "lower"} == {
        "kmeans_cost_error_mean", "kmeans_cost_error_max", "coverage_mean", "coverage_max", "mmd",
        "coreset_error_mean", "coreset_error_max", "sliced_wasserstein", "duplicates_equal",
        "duplicates_near",
    }  # fmt: skip


@given(
    everything=st.sets(st.integers(0, 300), max_size=80),
    chosen=st.sets(st.integers(0, 300)),
    cuts=st.lists(st.integers(0, 300), max_size=4),
)
def test_rows_within_runs(everything: set[int], chosen: set[int], cuts: list[int]) -> None:
    rows = np.array(sorted(everything & chosen), np.int64)
    rows_of = RowSet(rows, rows.astype(np.float64) + 0.5)
    found: list[int] = []
    for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), 301], strict=True):
        run = np.array([row for row in sorted(everything) if low <= row < high], np.int64)
        place, weight = rows_of.within(run)
        np.testing.assert_array_equal(weight, run[place] + 0.5)
        found += run[place].tolist()
    assert found == rows.tolist()


def test_uniform_subsets() -> None:
    points = Rows(gaussians(1000, 2, 3))
    drawn = [RowSet.uniform(points, 100, 5, index) for index in range(60)]
    for rows_of in drawn:
        assert len(np.unique(rows_of.rows)) == 100
        assert (np.diff(rows_of.rows) > 0).all()
        assert rows_of.weight.tolist() == [10.0] * 100
    counts = np.bincount(np.concatenate([rows_of.rows for rows_of in drawn]), minlength=1000)
    # 60 draws at 1/10: mean 6, variance 5.4
    assert counts.var() == pytest.approx(5.4, rel=0.2)
    assert not np.array_equal(drawn[0].rows, RowSet.uniform(points, 100, 6, 0).rows)

"""Distances to the nearest row of a set."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coresift.clustering.points import Sample
from coresift.evaluation import coverage as module
from coresift.evaluation.base import RowSet
from coresift.evaluation.coverage import coverage
from tests.clustering.rows import Rows, brute_force
from tests.data import digits
from tests.evaluation.cases import everything, resources, weighted

ARRAY = digits()[0]


def test_by_hand() -> None:
    points = Rows(np.array([[0, 0], [3, 4], [6, 8], [0, 1]], np.float32))
    sets = [
        RowSet(np.array([0]), np.array([4.0])),
        RowSet(np.array([0, 2]), np.array([2.0, 2.0])),
        everything(4),
    ]
    with resources() as lent:
        found = coverage(points, points, sets, lent)
    assert found["coverage_mean"] == pytest.approx([(0 + 5 + 10 + 1) / 4, (5 + 1) / 4, 0.0])
    assert found["coverage_max"].tolist() == [10.0, 5.0, 0.0]


@settings(max_examples=12, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=4),
    slab=st.integers(40, 450),
    step=st.integers(300, 1797),
    threads=st.integers(1, 2),
)
def test_slabs_leave_no_trace(sizes: list[int], slab: int, step: int, threads: int) -> None:
    sets = [weighted(len(ARRAY), size, size) for size in sizes]
    points = Rows(ARRAY, step)
    with (
        patch.object(module, "_LARGEST_SLAB", slab),
        patch.object(module, "_LEAST_SLAB", 1),
        resources(threads=threads) as lent,
    ):
        found = coverage(points, points, sets, lent)
    with resources() as lent:
        whole = coverage(Rows(ARRAY), Rows(ARRAY), sets, lent)
    for index, rows_of in enumerate(sets):
        distance = np.sqrt(brute_force(ARRAY, ARRAY[rows_of.rows])[1])
        assert found["coverage_mean"][index] == pytest.approx(distance.mean(), rel=1e-9)
        assert found["coverage_max"][index] == pytest.approx(distance.max(), rel=1e-12)
    for name, values in whole.items():
        assert found[name].tolist() == values.tolist()


def test_from_a_sample_of_rows() -> None:
    points = Rows(ARRAY)
    rows = np.arange(0, 1797, 7)
    sets = [weighted(len(ARRAY), 30)]
    with resources() as lent:
        targets = Sample(points, rows, lent.budget, lent.scratch)
        found = coverage(points, targets, sets, lent)
    distance = np.sqrt(brute_force(ARRAY[rows], ARRAY[sets[0].rows])[1])
    assert found["coverage_mean"][0] == pytest.approx(distance.mean(), rel=1e-9)
    assert found["coverage_max"][0] == pytest.approx(distance.max(), rel=1e-12)


def test_many_dimensions() -> None:
    """Where the search goes through a projection."""
    generator = np.random.default_rng(0)
    array = (generator.normal(size=(900, 12)) @ generator.normal(size=(12, 300))).astype(np.float32)
    rows_of = weighted(900, 90)
    with resources() as lent:
        found = coverage(Rows(array), Rows(array), [rows_of], lent)
    distance = np.sqrt(brute_force(array, array[rows_of.rows])[1])
    assert found["coverage_mean"][0] == pytest.approx(distance.mean(), rel=1e-9)
    assert found["coverage_max"][0] == pytest.approx(distance.max(), rel=1e-12)

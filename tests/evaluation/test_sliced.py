"""The sliced Wasserstein distance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from coresift.evaluation import sliced as module
from coresift.evaluation.base import RowSet
from coresift.evaluation.sliced import directions, sliced_wasserstein
from tests.clustering.rows import Rows
from tests.data import digits
from tests.evaluation.cases import everything, resources, weighted

ARRAY = digits()[0]
NAME = "sliced_wasserstein"


def test_a_shift_in_one_dimension() -> None:
    """All rows are a sample and its copy 3 further: the copy is 1.5 from the whole."""
    sample = np.random.default_rng(0).normal(size=(200, 1))
    points = Rows(np.vstack([sample, sample + 3.0]).astype(np.float32))
    halves = [RowSet(rows, np.ones(200)) for rows in (np.arange(200), np.arange(200, 400))]
    with resources() as lent:
        found = sliced_wasserstein(points, halves, lent)[NAME]
    assert found == pytest.approx([1.5, 1.5], rel=1e-5)
    assert directions(1, 0) == pytest.approx(np.sign(directions(1, 0)))


def test_all_rows_and_one() -> None:
    one = RowSet(np.array([0]), np.array([7.0]))
    line = np.array([[0.0], [1.0], [5.0]], np.float32)
    with resources() as lent:
        assert sliced_wasserstein(Rows(line), [one, everything(3)], lent)[NAME].tolist() == [2, 0]
        heavy = RowSet(np.arange(len(ARRAY)), np.full(len(ARRAY), 3.0))
        assert sliced_wasserstein(Rows(ARRAY), [heavy], lent)[NAME][0] < 1e-15


def test_against_scipy() -> None:
    sets = [weighted(len(ARRAY), size, size) for size in (5, 100, 900)]
    with resources(seed=4, threads=2) as lent:
        found = sliced_wasserstein(Rows(ARRAY), sets, lent)[NAME]
    lines = (ARRAY.astype(np.float64) @ directions(64, 4)).T
    for value, rows_of in zip(found, sets, strict=True):
        expected = [
            wasserstein_distance(line, line[rows_of.rows], v_weights=rows_of.weight)
            for line in lines
        ]
        assert value == pytest.approx(np.mean(expected), rel=1e-5)


def test_samples_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [weighted(len(ARRAY), 700), everything(len(ARRAY))]
    with resources() as lent:
        whole = sliced_wasserstein(Rows(ARRAY), sets, lent)[NAME]
    monkeypatch.setattr(module, "MOST_ROWS", 400)
    with resources() as lent, resources(threads=2) as other:
        found = sliced_wasserstein(Rows(ARRAY), sets, lent)[NAME]
        again = sliced_wasserstein(Rows(ARRAY, 333), sets, other)[NAME]
    assert found.tolist() == again.tolist()
    assert whole[0] < found[0] < 3.0 * whole[0]
    assert (whole[1], found[1]) == (0.0, 0.0)

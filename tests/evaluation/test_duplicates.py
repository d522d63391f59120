"""Duplicates left in a set."""

from __future__ import annotations

import numpy as np
import pytest

from coresift.evaluation import duplicates as module
from coresift.evaluation.base import RowSet
from coresift.evaluation.duplicates import duplicates_left, nearest_other
from tests.clustering.rows import Rows
from tests.data import digits
from tests.evaluation.cases import everything, resources, weighted

ARRAY = digits()[0]


def test_by_hand() -> None:
    points = Rows(np.array([[0, 0], [0, 0], [3, 4], [3, 4.5], [9, 9], [0, 0]], np.float32))
    sets = [
        everything(6),
        RowSet(np.array([0, 2, 4]), np.ones(3)),
        RowSet(np.array([1, 5]), np.array([9.0, 1.0])),
        RowSet(np.array([3]), np.ones(1)),
    ]
    with resources() as lent:
        found = duplicates_left(points, sets, 0.5, lent)
    assert found["duplicates_equal"].tolist() == [3 / 6, 0, 1, 0]
    assert found["duplicates_near"].tolist() == [5 / 6, 0, 1, 0]


@pytest.mark.parametrize("slab", [1, 100, 5000])
def test_the_nearest_other(slab: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SLAB", slab if slab > 1 else 300)
    rows = weighted(len(ARRAY), 600 if slab > 1 else 301).rows
    some = rows[::3]
    array = ARRAY.copy()
    array[rows[7]] = array[rows[400 % len(rows)]]
    wide = array.astype(np.float64)
    squared = np.stack([np.square(wide[rows] - wide[row]).sum(axis=1) for row in some])
    squared[some[:, None] == rows] = np.inf
    with resources(threads=2) as lent:
        found = nearest_other(Rows(array), some, rows, lent)
    assert found == pytest.approx(squared.min(axis=1), rel=1e-12, abs=0)


def test_a_sample_of_a_large_set(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.vstack([ARRAY[:800], ARRAY[:400]])
    monkeypatch.setattr(module, "MOST_ROWS", 500)
    with resources() as lent:
        found = duplicates_left(Rows(array), [everything(1200)], 0.1, lent)
    # 800 of 1,200 have an equal; sampled rows are compared with all
    assert found["duplicates_equal"][0] == pytest.approx(2 / 3, abs=0.06)

"""The effective number of rows."""

from __future__ import annotations

import numpy as np
import pytest

from coresift.evaluation import vendi as module
from coresift.evaluation.base import RowSet
from coresift.evaluation.vendi import effective_number, vendi
from tests.clustering.rows import Rows
from tests.data import digits
from tests.evaluation.cases import everything, resources, weighted

ARRAY = digits()[0]


def test_extremes() -> None:
    lengths = np.arange(1, 7, dtype=np.float32)[:, None]
    assert effective_number(np.eye(6, dtype=np.float32) * lengths) == pytest.approx(6.0)
    assert effective_number(np.eye(6, 20, dtype=np.float32)) == pytest.approx(6.0)
    assert effective_number(np.ones((9, 4), np.float32) * 3) == pytest.approx(1.0)
    assert effective_number(np.ones((1, 4), np.float32)) == pytest.approx(1.0)
    twice = np.repeat(np.eye(4, dtype=np.float32), 5, axis=0)
    assert effective_number(twice) == pytest.approx(4.0)
    # two kinds of rows, 3 to 1
    two = np.array([[1, 0]] * 3 + [[0, 2]], np.float32)
    assert effective_number(two) == pytest.approx(4 / 3**0.75)


def test_zeros_are_one_more_kind() -> None:
    zeros = np.vstack([np.eye(3), np.zeros((3, 3))]).astype(np.float32)
    shares = np.array([1, 1, 1, 3]) / 6
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert effective_number(zeros) == pytest.approx(expected)
    assert effective_number(np.zeros((5, 3), np.float32)) == pytest.approx(1.0)


@pytest.mark.parametrize("rows", [30, 64, 300])
def test_either_side_against_all_eigenvalues(rows: int) -> None:
    wide = ARRAY[:rows].astype(np.float64)
    wide /= np.sqrt(np.square(wide).sum(axis=1, keepdims=True))
    values = np.linalg.eigvalsh(wide @ wide.T / rows)
    values = values[values > 1e-12]
    expected = np.exp(-(values * np.log(values)).sum())
    assert effective_number(ARRAY[:rows]) == pytest.approx(expected, rel=1e-9)


def test_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [weighted(len(ARRAY), 200), everything(len(ARRAY)), RowSet(np.array([5]), np.ones(1))]
    with resources() as lent, resources(threads=2) as other:
        found = vendi(Rows(ARRAY), sets, lent)["vendi_score"]
        assert vendi(Rows(ARRAY, 90), sets, other)["vendi_score"].tolist() == found.tolist()
        expected = [effective_number(ARRAY[rows_of.rows]) for rows_of in sets]
        assert found.tolist() == pytest.approx(expected, rel=1e-12)
        monkeypatch.setattr(module, "MOST_ROWS", 100)
        fewer = vendi(Rows(ARRAY), sets, lent)["vendi_score"]
    assert fewer[0] == pytest.approx(found[0], rel=0.1)
    assert fewer[0] != found[0]
    assert module.most_rows(4096) == 2048

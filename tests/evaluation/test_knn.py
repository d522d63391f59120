"""The vote of the nearest rows."""

from __future__ import annotations

import numpy as np
import pytest

from coresift.evaluation import knn as module
from coresift.evaluation.base import RowSet
from coresift.evaluation.knn import knn_accuracy, vote
from coresift.evaluation.probe import held_out
from coresift.io.labels import Labels
from tests.clustering.rows import Rows
from tests.data import digits
from tests.evaluation.cases import everything, resources, weighted

ARRAY, CLASSES = digits()


def labels(codes: list[int] | np.ndarray) -> Labels:
    numbers = np.asarray(codes, np.int32)
    count = np.bincount(numbers[numbers >= 0]).astype(np.int64)
    return Labels(numbers, count, int((numbers < 0).sum()))


def test_votes_by_hand() -> None:
    """Two near rows against three farther ones, by what they weigh."""
    line = np.array([[0], [1], [2], [3], [4], [90]], np.float32)
    known = labels([0, 0, 1, 1, 1, 2])
    block = np.array([[-1.0]], np.float32)
    with resources() as lent:
        for weight, expected in ([1, 1, 1, 1, 1, 9], 1), ([3, 2, 1, 1, 1, 9], 0), (
            [3, 0, 1, 1, 1, 9], 0,
        ):  # fmt: skip
            voters = RowSet(np.arange(6), np.array(weight, np.float64))
            assert vote(block, line, voters, known, lent).tolist() == [expected]


def test_against_scikit_learn() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    # without equal distances, which scikit-learn orders otherwise
    array = (ARRAY + np.random.default_rng(0).normal(size=ARRAY.shape) * 0.01).astype(np.float32)
    rows_of = RowSet(np.sort(weighted(len(array), 600).rows), np.ones(600))
    with resources(threads=2) as lent:
        found, notes = knn_accuracy(Rows(array), [rows_of], labels(CLASSES), lent)
    out = held_out(np.arange(len(array)), 0)
    train = rows_of.rows[~out[rows_of.rows]]
    model = KNeighborsClassifier(5, algorithm="brute").fit(array[train], CLASSES[train])
    # its ties go to the lowest class
    assert found["knn_accuracy"][0] == pytest.approx(
        (model.predict(array[out]) == CLASSES[out]).mean(), abs=0.01
    )
    assert notes == ()


def test_extremes_and_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    out = np.flatnonzero(held_out(np.arange(len(ARRAY)), 0))
    none = RowSet(out[:3], np.ones(3))
    one = RowSet(np.flatnonzero(~held_out(np.arange(len(ARRAY)), 0))[:1], np.ones(1))
    sets = [everything(len(ARRAY)), none, one]
    with resources() as lent:
        found, _ = knn_accuracy(Rows(ARRAY), sets, labels(CLASSES), lent)
        same = CLASSES[out] == CLASSES[one.rows[0]]
        assert found["knn_accuracy"][0] > 0.97
        assert found["knn_accuracy"][1:].tolist() == [0.0, same.mean()]
        monkeypatch.setattr(module, "MOST_ROWS", 500)
        monkeypatch.setattr(module, "MOST_TESTED", 100)
        found, notes = knn_accuracy(Rows(ARRAY), sets[:1], labels(CLASSES), lent)
    assert 0.9 < found["knn_accuracy"][0] < 1.0
    assert notes == (
        f"knn_accuracy: tested on 100 of {len(out):,} rows held out",
        "knn_accuracy: 500 of the subset's rows, drawn uniformly",
    )
    with resources() as lent:
        nothing = knn_accuracy(Rows(ARRAY[:2]), [everything(2)], labels([0, 1]), lent)
    assert nothing == ({}, ("no knn_accuracy: no row fell into the hold-out",))

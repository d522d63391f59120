"""The linear probe."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from coresift.core import randomness
from coresift.core.memory import Budget
from coresift.evaluation import probe as module
from coresift.evaluation.base import RowSet
from coresift.evaluation.probe import fit, probe
from coresift.io.labels import Labels
from tests.clustering.rows import Rows
from tests.data import digits, gaussians
from tests.evaluation.cases import everything, resources, weighted

ARRAY, CLASSES = digits()


def labels_of(codes: NDArray[np.int64]) -> Labels:
    count = np.bincount(codes[codes >= 0]).astype(np.int64)
    return Labels(codes.astype(np.int32), count, int((codes < 0).sum()))


def test_all_rows_do_as_well_as_the_full_data_and_as_scikit_learn() -> None:
    held = randomness.uniform(3, "evaluate/holdout", np.arange(1797)) < 0.2
    with resources(seed=3, threads=2) as lent:
        found, notes = probe(Rows(ARRAY), [everything(1797)], labels_of(CLASSES), lent)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    model.fit(ARRAY[~held].astype(np.float64), CLASSES[~held])
    expected = model.score(ARRAY[held].astype(np.float64), CLASSES[held])
    assert found["probe_accuracy"] == pytest.approx([expected], abs=0.004)
    assert found["probe_accuracy_full"].tolist() == found["probe_accuracy"].tolist()
    tested = int(held.sum())
    assert notes == (
        f"probe: {tested} of the subset's 1,797 rows are held out, of {tested} in all",
    )


@pytest.mark.parametrize("centers", [2, 5])
def test_separated_classes_are_told_apart(centers: int) -> None:
    array = gaussians(600, 6, centers)
    codes = np.arange(600) % centers
    with resources() as lent:
        found, _ = probe(Rows(array), [weighted(600, 60)], labels_of(codes), lent)
    assert found["probe_accuracy"].tolist() == [1.0]


def test_rows_held_out_are_not_trained_on() -> None:
    held = randomness.uniform(0, "evaluate/holdout", np.arange(1797)) < 0.2
    rows = np.flatnonzero(held)
    with resources() as lent:
        found, notes = probe(
            Rows(ARRAY), [RowSet(rows, np.ones(len(rows)))], labels_of(CLASSES), lent
        )
    assert found["probe_accuracy"].tolist() == [0.0]
    assert found["probe_accuracy_full"][0] > 0.9
    assert notes[0].startswith(f"probe: {len(rows)} of the subset's {len(rows)} rows are held out")


def test_one_class_is_predicted_always() -> None:
    held = randomness.uniform(0, "evaluate/holdout", np.arange(1797)) < 0.2
    rows = np.flatnonzero(CLASSES == 4)
    with resources() as lent:
        found, _ = probe(Rows(ARRAY), [RowSet(rows, np.ones(len(rows)))], labels_of(CLASSES), lent)
    assert found["probe_accuracy"] == pytest.approx([(CLASSES[held] == 4).mean()])


def test_rows_without_a_label_do_not_count() -> None:
    codes = np.where(CLASSES < 2, CLASSES, -1)
    with resources() as lent:
        found, notes = probe(Rows(ARRAY), [everything(1797)], labels_of(codes), lent)
    held = randomness.uniform(0, "evaluate/holdout", np.flatnonzero(CLASSES < 2)) < 0.2
    assert found["probe_accuracy"].tolist() == [1.0]
    assert notes[0].endswith(
        f"{held.sum()} of the subset's 1,797 rows are held out, of {held.sum()} in all"
    )


def test_weights() -> None:
    codes = CLASSES[:300]
    generator = np.random.default_rng(0)
    weight = generator.uniform(0.5, 2.0, 300)
    model = fit(ARRAY[:300], codes, weight)
    scaled = fit(ARRAY[:300], codes, weight * 1000)
    np.testing.assert_allclose(scaled.weights, model.weights, rtol=1e-6, atol=1e-8)
    weight[::3] = 0.0
    some = fit(ARRAY[:300], codes, weight)
    kept = weight > 0
    np.testing.assert_array_equal(
        some.weights, fit(ARRAY[:300][kept], codes[kept], weight[kept]).weights
    )
    # classes that overlap: the heavier one wins more rows
    array = generator.normal(size=(400, 2)).astype(np.float32)
    two = np.arange(400) % 2
    heavy = fit(array, two, np.where(two == 1, 9.0, 1.0))
    assert (heavy.predict(array.astype(np.float64)) == 1).mean() > 0.95


def test_constant_features_change_nothing() -> None:
    constant = np.full((300, 1), 0.1, np.float32)
    model = fit(np.hstack([ARRAY[:300], constant]), CLASSES[:300], np.ones(300))
    np.testing.assert_allclose(model.weights[-1], 0.0, atol=1e-9)
    plain = fit(ARRAY[:300], CLASSES[:300], np.ones(300))
    wide = ARRAY.astype(np.float64)
    agreement = model.predict(np.hstack([wide, np.full((1797, 1), 0.1)])) == plain.predict(wide)
    assert agreement.mean() > 0.99


def test_what_was_sampled_or_did_not_converge_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 100)
    monkeypatch.setattr(module, "_ITERATIONS", 2)
    with resources() as lent:
        found, notes = probe(Rows(ARRAY), [everything(1797)], labels_of(CLASSES), lent)
    held = int((randomness.uniform(0, "evaluate/holdout", np.arange(1797)) < 0.2).sum())
    assert notes[1:] == (
        "probe: trained on 100 of the subset's rows, drawn uniformly",
        f"probe: probe_accuracy_full is of 100 of {1797 - held:,} rows, drawn uniformly",
        "probe: 2 of 2 fits did not converge in 2 iterations",
    )
    assert 0.3 < found["probe_accuracy"][0] < 0.97


def test_a_small_budget_is_told() -> None:
    array = gaussians(2000, 4, 4)
    codes = np.arange(2000) % 4
    with resources(memory=1) as lent:
        _, notes = probe(Rows(array), [weighted(2000, 50)], labels_of(codes), lent)
    assert notes[1].startswith("probe: probe_accuracy_full is of 512 of 1,")
    assert notes[1].endswith(" rows, drawn uniformly, which is what --memory holds")


def test_what_else_is_held_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST_ROWS", 64)
    points, sets, labels = Rows(ARRAY), [weighted(1797, 400)], labels_of(CLASSES)
    # room for a quarter of 4 MB: 512 rows of 64 features and 10 classes
    with resources(memory=(132 << 20)) as lent:
        found, notes = probe(points, sets, labels, lent)
        monkeypatch.setattr(Budget, "left", lambda _: 0)
        again, told = probe(points, sets, labels, lent)
    assert "probe: probe_accuracy_full is of 512 of 1," in notes[-1]
    assert told == notes
    assert {name: values.tolist() for name, values in again.items()} == {
        name: values.tolist() for name, values in found.items()
    }


def test_nothing_to_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    points, sets = Rows(ARRAY), [everything(1797)]
    with resources() as lent:
        assert probe(points, sets, labels_of(np.zeros(1797, np.int64)), lent) == (
            {}, ("no probe: all labels are one class",),
        )  # fmt: skip
        few = np.full(1797, -1)
        few[[0, 1]] = [0, 1]
        held = int((randomness.uniform(0, "evaluate/holdout", np.arange(2)) < 0.2).sum())
        assert held in (0, 2)
        assert probe(points, sets, labels_of(few), lent) == (
            {}, (f"no probe: {held} of 2 rows fell into the hold-out",),
        )  # fmt: skip
        monkeypatch.setattr(module, "MOST_CLASSES", 9)
        assert probe(points, sets, labels_of(CLASSES), lent) == (
            {}, ("no probe: 10 classes are more than 9",),
        )  # fmt: skip

"""Whether two models see rows alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coresift.evaluation import agreement as module
from coresift.evaluation.agreement import agreement, cka, jaccard
from tests.clustering.rows import Rows
from tests.data import digits
from tests.evaluation.cases import everything, resources, weighted

ARRAY = digits()[0]


@given(seed=st.integers(0, 100), scale=st.floats(1e-3, 1e3), shift=st.floats(-5, 5))
@settings(max_examples=15, deadline=None)
def test_turning_and_scaling_change_nothing(seed: int, scale: float, shift: float) -> None:
    generator = np.random.default_rng(seed)
    turn = np.linalg.qr(generator.normal(size=(64, 64)))[0]
    features = ARRAY[:200]
    turned = ((features.astype(np.float64) @ turn + shift) * scale).astype(np.float32)
    assert cka(features, turned) == pytest.approx(1.0, abs=1e-4)
    other = generator.normal(size=(200, 5)).astype(np.float32)
    assert cka(turned, other) == pytest.approx(cka(features, other), abs=1e-4)


def test_cka_against_its_features() -> None:
    generator = np.random.default_rng(5)
    left = generator.normal(size=(300, 6)).astype(np.float32)
    right = (left[:, :3] + generator.normal(size=(300, 3))).astype(np.float32)
    a, b = (side.astype(np.float64) - side.mean(axis=0, dtype=np.float64) for side in (left, right))
    norms = np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)
    expected = np.linalg.norm(b.T @ a) ** 2 / norms
    assert 0.1 < cka(left, right) < 0.9
    assert cka(left, right) == pytest.approx(expected, rel=1e-9)


def test_jaccard_against_all_pairs() -> None:
    generator = np.random.default_rng(6)
    left = generator.normal(size=(120, 4)).astype(np.float32)
    right = (left + generator.normal(size=(120, 4)) * 0.3).astype(np.float32)

    def near(side: np.ndarray, row: int) -> set[int]:
        squared = np.square(side.astype(np.float64) - side[row]).sum(axis=1)
        squared[row] = np.inf
        return set(np.argsort(squared)[:10].tolist())

    pairs = [(near(left, row), near(right, row)) for row in range(120)]
    expected = np.mean([len(a & b) / len(a | b) for a, b in pairs])
    assert jaccard(left, right) == pytest.approx(expected)
    assert 0.1 < expected < 0.9


def test_extremes() -> None:
    ones = np.ones((30, 3), np.float32) * np.float32(0.1)
    many = np.random.default_rng(0).normal(size=(4000, 3)).astype(np.float32)
    assert (cka(ones, ones), cka(ones, many[:30])) == (1.0, 0.0)
    assert (jaccard(ARRAY, ARRAY), jaccard(ones, ones)) == (1.0, 1.0)
    assert (cka(ones[:1], ones[:1]), jaccard(ones[:1], ones[:1])) == (1.0, 1.0)
    assert (cka(ones[:0], ones[:0]), jaccard(ones[:0], ones[:0])) == (1.0, 1.0)
    # of independent features: next to nothing
    assert cka(many[:2000], many[2000:]) < 0.01
    assert jaccard(many[:2000], many[2000:]) < 0.01


def test_sets_samples_and_rows_without_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    half = ARRAY[:, ::2].copy()
    sets = [weighted(len(ARRAY), 300), everything(len(ARRAY))]

    def other(rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        return half[rows], np.ones(len(rows), np.bool_)

    def even(rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        return half[rows], rows % 2 == 0

    with resources() as lent, resources(threads=2) as more:
        found = agreement(Rows(ARRAY), other, sets, lent)
        again = agreement(Rows(ARRAY, 90), other, sets, more)
        holes = agreement(Rows(ARRAY), even, sets, lent)
        monkeypatch.setattr(module, "MOST_ROWS", 100)
        fewer = agreement(Rows(ARRAY), other, sets, lent)
    rows = sets[0].rows
    assert found["agree_cka"][0] == pytest.approx(cka(ARRAY[rows], half[rows]))
    assert found["agree_jaccard"][0] == jaccard(ARRAY[rows], half[rows])
    rows = rows[rows % 2 == 0]
    assert holes["agree_jaccard"][0] == jaccard(ARRAY[rows], half[rows])
    for name, values in found.items():
        assert values.tolist() == again[name].tolist()
        assert values[0] != fewer[name][0]

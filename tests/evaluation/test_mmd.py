"""The maximum mean discrepancy, exact and by random features."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from coresift.clustering.bandwidth import median_distance
from coresift.evaluation import mmd as module
from coresift.evaluation.base import RowSet
from coresift.evaluation.mmd import mmd
from tests.clustering.rows import Rows
from tests.data import digits
from tests.evaluation.cases import everything, resources, weighted

ARRAY = digits()[0]
SETS = [weighted(len(ARRAY), size, size) for size in (20, 100, 500)]


def naive(array: NDArray[np.float32], rows_of: RowSet, bandwidth: float) -> float:
    """Three means of kernel values, from all differences."""
    wide = array.astype(np.float64)

    def mean(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
        squared = np.stack([np.square(right - row).sum(axis=1) for row in left])
        return np.exp(-squared / (2 * bandwidth**2))

    chosen = wide[rows_of.rows]
    shares = rows_of.weight / rows_of.weight.sum()
    value = (
        shares @ mean(chosen, chosen) @ shares
        - 2 * (shares @ mean(chosen, wide).mean(axis=1))
        + mean(wide, wide).mean()
    )
    return float(np.sqrt(value))


def test_exact_against_the_formula() -> None:
    with resources(threads=2) as lent:
        found = mmd(Rows(ARRAY), SETS, lent)
    assert found.method == "exact"
    for value, rows_of in zip(found.values["mmd"], SETS, strict=True):
        assert value == pytest.approx(naive(ARRAY, rows_of, found.bandwidth), rel=1e-6)


@pytest.mark.parametrize("most", [0, 10_000])
def test_all_rows_are_at_no_distance(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(module, "EXACT_ROWS", most)
    same = RowSet(np.arange(len(ARRAY)), np.full(len(ARRAY), 3.0))
    with resources() as lent:
        found = mmd(Rows(ARRAY), [everything(len(ARRAY)), same], lent)
    assert found.values["mmd"] == pytest.approx([0.0, 0.0], abs=1e-12)


def test_features_come_near_the_exact_value(monkeypatch: pytest.MonkeyPatch) -> None:
    with resources() as lent:
        exact = mmd(Rows(ARRAY), SETS, lent)
        monkeypatch.setattr(module, "EXACT_ROWS", 0)
        found = mmd(Rows(ARRAY), SETS, lent)
        again = mmd(Rows(ARRAY, 1797), SETS, lent)
    assert found.method == "random_fourier_features"
    assert found.bandwidth == exact.bandwidth
    assert found.values["mmd"] == pytest.approx(exact.values["mmd"], rel=0.1)
    assert again.values["mmd"] == pytest.approx(found.values["mmd"], rel=1e-9)


def test_features_depend_on_the_seed_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXACT_ROWS", 0)
    found = []
    for seed, threads in ((1, 1), (1, 2), (2, 1)):
        with resources(seed=seed, threads=threads) as lent:
            found.append(mmd(Rows(ARRAY, 256), SETS, lent).values["mmd"].tolist())
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_bandwidth() -> None:
    squared = np.square(ARRAY[:900, None, :8] - ARRAY[None, :900, :8]).sum(axis=2)
    expected = np.median(np.sqrt(squared[np.triu_indices(900, 1)]))
    assert median_distance(Rows(ARRAY[:900, :8]), 0) == pytest.approx(expected, rel=1e-6)
    mostly_one = np.zeros((50, 2), np.float32)
    mostly_one[0] = [3, 4]
    assert median_distance(Rows(mostly_one), 0) == 5.0
    assert median_distance(Rows(np.ones((50, 2), np.float32)), 0) == 1.0
    assert median_distance(Rows(np.ones((1, 2), np.float32)), 0) == 1.0

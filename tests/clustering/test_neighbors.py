"""The nearest few are those of a full float64 search, in their order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coresift.clustering import neighbors as module
from coresift.clustering.centers import Centers
from coresift.clustering.distances import squared_distances
from coresift.clustering.neighbors import neighbors
from tests.clustering.rows import KINDS, make
from tests.data import digits


def searched(
    points: NDArray[np.float32], others: NDArray[np.float32], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Nearest by all distances; of equals, the lowest index."""
    columns = [
        squared_distances(points, others, np.full(len(points), index, np.int32))
        for index in range(len(others))
    ]
    squared = np.stack(columns, axis=1)
    labels = np.argsort(squared, axis=1, kind="stable")[:, :count]
    return labels, np.take_along_axis(squared, labels, axis=1)


@given(
    kind=st.sampled_from(KINDS),
    rows=st.integers(1, 200),
    dim=st.integers(1, 40),
    k=st.integers(1, 120),
    few=st.integers(1, 12),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_they_are_those_of_a_full_search(
    kind: str, rows: int, dim: int, k: int, few: int, seed: int
) -> None:
    points, others = make(kind, rows, dim, k, seed)
    count = min(few, k)
    labels, squared = neighbors(points, Centers.prepare(others), count)
    expected, distances = searched(points, others, count)
    assert np.array_equal(labels, expected)
    assert np.array_equal(squared, distances)


def test_digits_agree_with_scikit_learn() -> None:
    from sklearn.neighbors import NearestNeighbors

    points = digits()[0]
    labels, squared = neighbors(points, Centers.prepare(points[:600]), 7)
    model = NearestNeighbors(n_neighbors=8, algorithm="brute").fit(points[:600].astype(np.float64))
    distance, found = model.kneighbors(points.astype(np.float64))
    assert np.abs(np.sqrt(squared) - distance[:, :7]).max() < 1e-6
    # pixels are sixteenths, so distances are often equal and then in any order there
    apart = np.diff(distance, axis=1).min(axis=1) > 1e-9
    assert apart.sum() > 1000
    assert np.array_equal(labels[apart], found[apart, :7])


def test_blocks_do_not_show() -> None:
    points, others = make("repeated", 300, 12, 90, 3)
    centers = Centers.prepare(others)
    labels, squared = neighbors(points, centers, 5)
    for step in (1, 7, 64):
        parts = [neighbors(points[i : i + step], centers, 5) for i in range(0, 300, step)]
        assert np.array_equal(np.concatenate([part[0] for part in parts]), labels)
        assert np.array_equal(np.concatenate([part[1] for part in parts]), squared)


def test_few_points_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds rule out nearly all: or else it would be a full search in float64."""
    pairs: list[int] = []
    measured = module._measured

    def counted(
        rows: NDArray[np.float32],
        others: NDArray[np.float32],
        row: NDArray[np.int64],
        label: NDArray[np.int32],
    ) -> NDArray[np.float64]:
        pairs.append(len(row))
        return measured(rows, others, row, label)

    monkeypatch.setattr(module, "_measured", counted)
    points = digits()[0]
    neighbors(points, Centers.prepare(points[:1000]), 10)
    assert 10 * len(points) <= sum(pairs) < 1.5 * 10 * len(points)

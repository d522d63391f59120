"""Herding: the plain greedy, kernels, rows that are given, pools and ties."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from coresift.core.errors import ParameterError
from coresift.core.selection import Selection
from coresift.selection.kernel import embedding
from coresift.selection.methods import herding
from coresift.selection.params.kernels import KERNELS
from coresift.selection.registry import METHODS
from tests.data import digits, digits_dump, gaussians, vector_table, write_dump
from tests.selection.choosing import choose
from tests.selection.mmd import digits_kernel, digits_uniform, discrepancy, matrix
from tests.selection.saved import write_clustering


def plain(kernel: NDArray[np.float64], given: list[int], n: int) -> list[int]:
    """Herding from the matrix of all kernel values; ties go to the first row."""
    mean = kernel.mean(axis=1)
    picks: list[int] = []
    for index in range(n):
        held = given + picks
        value = (len(given) + index + 1) * mean - kernel[:, held].sum(axis=1)
        value[held] = -np.inf
        picks.append(int(value.argmax()))
    return picks


def order(found: Selection) -> list[int]:
    """Rows as they were picked."""
    assert found.rank is not None
    picks: list[int] = found.rows[np.argsort(found.rank)].tolist()
    return picks


@pytest.mark.parametrize("kernel", KERNELS)
def test_as_the_plain_greedy(kernel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "_TILE", 150)
    monkeypatch.setattr(herding, "_RUN", 64)
    vectors = digits()[0][:400]
    dump = write_dump(tmp_path / "emb", vector_table(vectors), files=2)
    found = choose("herding", dump, 60, {"kernel": kernel, "bandwidth": 2.5})
    values = matrix(kernel, vectors, vectors, 2.5)
    picks = plain(values, [], 60)
    assert order(found) == picks
    assert found.weight.tolist() == [400 / 60] * 60
    assert found.score is not None
    gaps = [
        values[row].mean() - values[row, picks[:i]].sum() / (i + 1) for i, row in enumerate(picks)
    ]
    np.testing.assert_allclose(found.score[np.argsort(found.rank)], gaps, atol=1e-12)  # type: ignore[arg-type]


def test_the_bandwidth_is_the_median_distance(tmp_path: Path) -> None:
    vectors = digits()[0][:300]
    dump = write_dump(tmp_path / "emb", vector_table(vectors))
    far = np.sqrt(np.square(vectors[:, None] - vectors[None]).sum(axis=2))
    median = float(np.median(far[np.triu_indices(300, 1)]))
    found = choose("herding", dump, 20)
    assert found.resolved["bandwidth"] == pytest.approx(median, rel=1e-6)
    assert order(found) == plain(matrix("gaussian", vectors, vectors, median), [], 20)


def test_given_rows_count_as_chosen(tmp_path: Path) -> None:
    dump = digits_dump(tmp_path / "emb")
    # all zeros, which are then not wanted again
    held = np.flatnonzero(digits()[1] == 0)[:100].tolist()
    pq.write_table(pa.table({"row": held}), tmp_path / "held.parquet")
    params = {"given": str(tmp_path / "held.parquet"), "bandwidth": 2.0}
    found = choose("herding", dump, 50, params)
    kernel = digits_kernel()
    assert order(found) == plain(kernel, held, 50)
    assert found.weight.tolist() == [1797 / 150] * 50
    without = choose("herding", dump, 50, {"bandwidth": 2.0})
    assert (digits()[1][found.rows] == 0).sum() < (digits()[1][without.rows] == 0).sum()
    unaware = discrepancy(kernel, np.array([*held, *without.rows]))
    best = discrepancy(kernel, np.array([*held, *found.rows]))
    for size in (400, 90):
        pooled = choose("herding", dump, 50, {**params, "pool_size": size})
        lost = discrepancy(kernel, np.array([*held, *pooled.rows])) - best
        assert 0.0 <= lost < 0.1 * (unaware - best)


@pytest.mark.parametrize(
    ("n", "params"),
    [
        (60, {"pool_size": 300}),
        (60, {"pool_size": 300, "partition": "cluster"}),
        # too few for candidates: each pool gives its share
        (400, {"pool_size": 500}),
    ],
)
def test_pools_lose_little(n: int, params: dict[str, object], tmp_path: Path) -> None:
    dump = digits_dump(tmp_path / "emb")
    clustering = write_clustering(tmp_path / "clustering", dump, digits()[0][:6])
    kernel = digits_kernel()
    uniform = digits_uniform(n)
    whole = discrepancy(kernel, choose("herding", dump, n, {"bandwidth": 2.0}).rows)
    found = choose("herding", dump, n, {**params, "bandwidth": 2.0}, clustering=clustering)
    assert found.weight.sum() == pytest.approx(1797)
    assert discrepancy(kernel, found.rows) < whole + 0.25 * (uniform - whole)
    assert len(set(found.weight.tolist())) == (1 if n == 60 else 2)


def test_of_equal_rows_the_first(tmp_path: Path) -> None:
    vectors = np.repeat(gaussians(37, 30, 4), 5, axis=0)
    dump = write_dump(tmp_path / "emb", vector_table(vectors))
    picks = order(choose("herding", dump, 100))
    for group in range(37):
        mine = [row for row in picks if row // 5 == group]
        assert mine == sorted(mine)
        assert mine == list(range(5 * group, 5 * group + len(mine)))
    same = write_dump(tmp_path / "same", vector_table(np.full((40, 3), 0.1, np.float32)))
    assert order(choose("herding", same, 11)) == list(range(11))


def test_a_kernel_without_width() -> None:
    with pytest.raises(ParameterError, match=r"^--bandwidth 0 is not more than 0$"):
        METHODS["herding"].params.build({"bandwidth": 0}, "herding")
    with pytest.raises(ParameterError, match=r"^--bandwidth 'wide' is not a number or median$"):
        METHODS["herding"].params.build({"bandwidth": "wide"}, "herding")

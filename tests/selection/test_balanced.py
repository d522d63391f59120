"""Hierarchical balanced sampling: the shares, who gives them, and how often a row is taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import coresift
from coresift.core.errors import ParameterError
from coresift.selection.methods.balanced import shares
from tests.data import gaussians, vector_table, write_dump
from tests.selection.choosing import choose
from tests.selection.saved import write_clustering

SIZES = st.lists(st.integers(0, 12), min_size=1, max_size=12)


def water(sizes: list[int], n: int) -> int:
    """The largest integer x with sum of min(x, size) at most n, found by trying."""
    x = 0
    while x < max(sizes) and sum(min(x + 1, size) for size in sizes) <= n:
        x += 1
    return x


def flat(sizes: list[int], n: int, seed: int = 0) -> NDArray[np.int64]:
    return shares(np.array(sizes, np.int64), (), n, seed)


@given(sizes=SIZES, data=st.data())
def test_shares_are_those_of_the_water_level(sizes: list[int], data: st.DataObject) -> None:
    n = data.draw(st.integers(0, sum(sizes)))
    seed = data.draw(st.integers(0, 9))
    found = flat(sizes, n, seed).tolist()
    x = water(sizes, n)
    assert sum(found) == n
    for share, size in zip(found, sizes, strict=True):
        assert share in ({min(x, size)} if size <= x else {x, x + 1})


@given(sizes=SIZES, seed=st.integers(0, 9))
def test_more_rows_never_take_from_a_cluster(sizes: list[int], seed: int) -> None:
    before = flat(sizes, 0, seed)
    for n in range(1, sum(sizes) + 1):
        after = flat(sizes, n, seed)
        assert (after >= before).all()
        before = after


@given(sizes=SIZES, data=st.data())
def test_each_level_is_shared_alone(sizes: list[int], data: st.DataObject) -> None:
    """Children of a node keep exactly its budget, and share it as a level of their own would."""
    parent = data.draw(st.lists(st.integers(0, 3), min_size=len(sizes), max_size=len(sizes)))
    n = data.draw(st.integers(0, sum(sizes)))
    found = shares(np.array(sizes), (np.array(parent, np.int32),), n, 0)
    nodes = sorted(set(parent))
    above = [sum(s for s, p in zip(sizes, parent, strict=True) if p == node) for node in nodes]
    x = water(above, n)
    for node, size in zip(nodes, above, strict=True):
        children = [i for i, p in enumerate(parent) if p == node]
        budget = int(found[children].sum())
        assert budget in ({min(x, size)} if size <= x else {x, x + 1})
        level = water([sizes[i] for i in children], budget)
        for i in children:
            assert found[i] in ({sizes[i]} if sizes[i] <= level else {level, level + 1})
    assert found.sum() == n


def test_who_gives_the_remainder_depends_on_the_seed() -> None:
    """One row among three equal clusters: each gives it as often."""
    given_by = [int(flat([5, 5, 5], 1, seed).argmax()) for seed in range(600)]
    counts = np.bincount(given_by, minlength=3)
    assert counts.sum() == 600
    assert (abs(counts - 200) < 60).all()


@pytest.fixture
def tailed(tmp_path: Path) -> tuple[Path, Path]:
    """Three clusters of 60, 30 and 6 rows, row i being i-th in distance of its cluster."""
    sizes = (60, 30, 6)
    vectors = np.concatenate(
        [
            np.stack([np.full(size, 100.0 * index), np.arange(size) * 0.01], axis=1)
            for index, size in enumerate(sizes)
        ]
    ).astype(np.float32)
    source = write_dump(tmp_path / "emb", vector_table(vectors, id=np.arange(96)))
    centroids = np.array([[0.0, 0.0], [100.0, 0.0], [200.0, 0.0]])
    return source, write_clustering(tmp_path / "clusters", source, centroids)


def test_small_clusters_give_all_and_large_ones_as_many(tailed: tuple[Path, Path]) -> None:
    chosen = choose("balanced", tailed[0], 26, clustering=tailed[1])
    assert chosen.cluster is not None
    assert np.bincount(chosen.cluster).tolist() == [10, 10, 6]
    assert chosen.weight.tolist() == [1.0] * 26
    assert chosen.notes == ("1 cluster of 3 gave all they have",)


def test_within_a_cluster(tailed: tuple[Path, Path]) -> None:
    source, clusters = tailed
    near = choose("balanced", source, 9, {"within": "closest"}, clustering=clusters)
    assert near.rows.tolist() == [0, 1, 2, 60, 61, 62, 90, 91, 92]
    far = choose("balanced", source, 9, {"within": "farthest"}, clustering=clusters)
    assert far.rows.tolist() == [57, 58, 59, 87, 88, 89, 93, 94, 95]
    counts = np.zeros(96)
    for seed in range(300):
        counts[choose("balanced", source, 18, clustering=clusters, seed=seed).rows] += 1
    assert (counts[90:] == 300).all()
    assert abs(counts[:60] - 30).max() < 30
    assert abs(counts[60:90] - 60).max() < 36


def test_repeats_are_weights(tailed: tuple[Path, Path]) -> None:
    source, clusters = tailed
    params = {"multiplier": 3, "within": "closest"}
    chosen = choose("balanced", source, 30, params, clustering=clusters)
    assert chosen.weight.sum() == 30
    assert chosen.weight[chosen.cluster == 2].tolist() == [2, 2, 2, 2, 1, 1]
    assert chosen.weight[chosen.cluster == 0].tolist() == [1] * 10
    every = choose("balanced", source, 96 * 3, params, clustering=clusters)
    assert every.weight.tolist() == [3.0] * 96
    with pytest.raises(ParameterError, match=r"^size 289 is more than the 288 rows, each taken 3"):
        choose("balanced", source, 289, params, clustering=clusters)
    with pytest.raises(ParameterError, match=r"^--multiplier 1\.5 is not a whole number$"):
        choose("balanced", source, 5, {"multiplier": 1.5}, clustering=clusters)


def test_one_cluster_is_uniform_sampling(tmp_path: Path) -> None:
    source = write_dump(tmp_path / "emb", vector_table(gaussians(40, 3, 2)))
    clusters = write_clustering(tmp_path / "clusters", source, np.zeros((1, 3)))
    counts = np.zeros(40)
    for seed in range(400):
        counts[choose("balanced", source, 10, clustering=clusters, seed=seed).rows] += 1
    assert abs(counts - 100).max() < 45


def test_a_rare_group_keeps_its_part_through_the_levels(tmp_path: Path) -> None:
    """One group of ten has a tenth of the others' rows; of the choice it has far more."""
    random = np.random.default_rng(0)
    sizes = [600] * 9 + [60]
    corners = random.normal(size=(10, 6)) * 100
    clouds = corners[:, None, :] + random.normal(size=(10, 12, 6)) * 8
    group = np.repeat(np.arange(10), sizes)
    vectors = clouds[group, random.integers(0, 12, len(group))]
    vectors += random.normal(size=vectors.shape) * 0.3
    source = write_dump(tmp_path / "emb", vector_table(vectors.astype(np.float32), group=group))
    coresift.cluster(source, k=(120, 10), method="hierarchical", output=tmp_path / "clusters")
    coresift.select(
        "balanced", source, size=400, clusters=tmp_path / "clusters", output=tmp_path / "s.parquet"
    )
    counts = np.bincount(pq.read_table(tmp_path / "s.parquet")["group"].to_numpy())
    assert counts[9] > 5 * 400 * 60 / 5460

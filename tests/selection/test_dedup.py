"""Deduplication beside brute force in float64, on real digits and on planted duplicates."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from coresift.core.errors import InputError, ParameterError
from coresift.core.selection import Selection
from coresift.io.dump import InputOptions
from coresift.selection.duplicates import layout as layout_module
from coresift.selection.duplicates import pairs as pairs_module
from coresift.selection.duplicates import reach as reach_module
from coresift.selection.methods import dedup as dedup_module
from tests.data import digits, vector_table, write_dump
from tests.selection.choosing import choose
from tests.selection.saved import write_clustering

LINKAGES = ("greedy", "semdedup", "components")
COUNT = 700


@cache
def _vectors() -> NDArray[np.float32]:
    return digits()[0][:COUNT]


@cache
def _cosines() -> NDArray[np.float64]:
    return cosines(_vectors(), _vectors())


def cosines(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    left, right = one.astype(np.float64), other.astype(np.float64)
    norms = np.sqrt(np.outer((left**2).sum(axis=1), (right**2).sum(axis=1)))
    return np.asarray(left @ right.T / norms)


def _quality() -> NDArray[np.float64]:
    return np.random.default_rng(3).integers(0, 50, COUNT).astype(np.float64)


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    table = vector_table(_vectors(), quality=_quality())
    return write_dump(folder / "dump", table, files=2, row_group_size=150)


@pytest.fixture(scope="module")
def clusters(dump: Path) -> Path:
    return write_clustering(dump.parent / "clusters", dump, _vectors()[:20])


def brute(near: NDArray[np.bool_], rank: NDArray[np.int64], linkage: str) -> list[int]:
    """Rows that are kept."""
    near = near & ~np.eye(len(near), dtype=np.bool_)
    kept: list[int] = []
    if linkage == "components":
        reached = near | np.eye(len(near), dtype=np.bool_)
        while True:
            further = reached @ reached
            if np.array_equal(further, reached):
                break
            reached = further
        return [row for row in range(len(near)) if rank[row] == rank[reached[row]].min()]
    for row in np.argsort(rank).tolist():
        rivals = kept if linkage == "greedy" else np.flatnonzero(rank < rank[row]).tolist()
        if not near[row, rivals].any():
            kept.append(row)
    return sorted(kept)


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("threshold", [0.995, 0.95, 0.85, 0.5])
def test_all_pairs_are_found_with_and_without_clusters(
    dump: Path, clusters: Path, linkage: str, threshold: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = {"threshold": threshold, "linkage": linkage}
    expected = brute(_cosines() >= threshold, np.arange(COUNT), linkage)
    for clustering in (None, clusters):
        for tile in (2048, 64):
            monkeypatch.setattr(reach_module, "TILE", tile)
            # across borders wherever that leaves anything out, too
            monkeypatch.setattr(reach_module, "_MOST", 0.3 if tile == 64 else 1.0)
            chosen = choose("dedup", dump, None, params, clustering=clustering)
            assert chosen.rows.tolist() == expected
            assert chosen.weight.sum() == COUNT


@pytest.mark.parametrize("keep", ["first", "closest", "farthest", "best:quality", "best:-quality"])
def test_keep(dump: Path, clusters: Path, keep: str) -> None:
    vectors, centers = _vectors().astype(np.float64), _vectors()[:20].astype(np.float64)
    distance = np.sqrt(((vectors[:, None] - centers) ** 2).sum(axis=2).min(axis=1))
    key = {
        "first": np.arange(COUNT),
        "closest": distance.astype(np.float32),
        "farthest": -distance.astype(np.float32),
        "best:quality": -_quality(),
        "best:-quality": _quality(),
    }[keep]
    rank = np.empty(COUNT, np.int64)
    rank[np.lexsort((np.arange(COUNT), key))] = np.arange(COUNT)
    for linkage in LINKAGES:
        params = {"threshold": 0.9, "keep": keep, "linkage": linkage}
        chosen = choose("dedup", dump, None, params, clustering=clusters)
        assert chosen.rows.tolist() == brute(_cosines() >= 0.9, rank, linkage)


def test_inside_clusters(dump: Path, clusters: Path) -> None:
    vectors, centers = _vectors().astype(np.float64), _vectors()[:20].astype(np.float64)
    cluster = ((vectors[:, None] - centers) ** 2).sum(axis=2).argmin(axis=1)
    near = (_cosines() >= 0.9) & (cluster[:, None] == cluster)
    chosen = choose("dedup", dump, None, {"threshold": 0.9, "probe": 0}, clustering=clusters)
    assert chosen.rows.tolist() == brute(near, np.arange(COUNT), "greedy")
    # the sample is all rows here, so that the estimate is the recall
    pairs = (np.count_nonzero(_cosines() >= 0.9) - COUNT) // 2
    assert chosen.resolved["recall_pairs"] == pairs
    assert chosen.resolved["recall"] == (np.count_nonzero(near) - COUNT) // 2 / pairs


def test_the_nearest_borders(dump: Path, clusters: Path) -> None:
    vectors, centers = _vectors().astype(np.float64), _vectors()[:20].astype(np.float64)
    squared = ((vectors[:, None] - centers) ** 2).sum(axis=2)
    cluster = squared.argmin(axis=1)
    apart = np.sqrt(((centers[:, None] - centers) ** 2).sum(axis=2))
    apart[np.diag_indices(20)] = np.nan
    border = (squared - squared.min(axis=1, keepdims=True)) / (2.0 * apart[cluster])
    reached = np.zeros((COUNT, 20), np.bool_)
    nearest = np.argsort(border, axis=1)[:, :2]
    # no pair lies across a border that is farther from both than half their distance
    norms = np.linalg.norm(vectors, axis=1)
    widest = max(
        np.sqrt(2.0 - 2.0 * 0.9) * norms.max(),
        np.sqrt(norms.min() ** 2 + norms.max() ** 2 - 1.8 * norms.min() * norms.max()),
    )
    inside = np.take_along_axis(border, nearest, axis=1) <= 0.5 * widest
    np.put_along_axis(reached, nearest, inside, axis=1)
    reached[np.arange(COUNT), cluster] = True
    compared = reached[:, cluster] | reached[:, cluster].T
    chosen = choose("dedup", dump, None, {"threshold": 0.9, "probe": 2}, clustering=clusters)
    near = (_cosines() >= 0.9) & compared
    assert chosen.rows.tolist() == brute(near, np.arange(COUNT), "greedy")


def _planted(threshold: float, offsets: NDArray[np.float64]) -> NDArray[np.float32]:
    """Pairs of rows, one after the other, whose cosine is the threshold and an offset."""
    random = np.random.default_rng(1)
    base = random.normal(size=(len(offsets), 96))
    base /= np.linalg.norm(base, axis=1, keepdims=True)
    aside = random.normal(size=base.shape)
    aside -= base * (aside * base).sum(axis=1, keepdims=True)
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    cosine = (threshold + offsets)[:, None]
    copies = (cosine * base + np.sqrt(1.0 - cosine**2) * aside) * random.uniform(
        0.1, 9.0, (len(offsets), 1)
    )
    return np.stack([base, copies], axis=1).reshape(-1, 96).astype(np.float32)


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("threshold", [0.999, 0.9, 0.7])
def test_planted_pairs_fall_on_the_right_side(
    tmp_path: Path, threshold: float, clustered: bool
) -> None:
    steps = np.concatenate([10.0 ** -np.arange(4, 9), -(10.0 ** -np.arange(4, 9))])
    vectors = _planted(threshold, np.tile(steps, 30))
    source = write_dump(tmp_path / "dump", vector_table(vectors))
    clustering = write_clustering(tmp_path / "c", source, vectors[:20]) if clustered else None
    near = cosines(vectors, vectors) >= threshold
    # the planted pairs are the only ones, and most are where they were put
    assert 140 < (near.sum() - len(vectors)) // 2 < 160
    chosen = choose("dedup", source, None, {"threshold": threshold}, clustering=clustering)
    assert chosen.rows.tolist() == brute(near, np.arange(len(vectors)), "greedy")


@pytest.mark.parametrize("probe", [0, 2, "all"])
def test_exact_duplicates_are_found_by_each_reach(tmp_path: Path, probe: int | str) -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(300, 12)).astype(np.float32)
    copies = random.permutation(300)[:90]
    vectors[copies[:60]] = vectors[copies[60:].repeat(2)]
    source = write_dump(tmp_path / "dump", vector_table(vectors), files=3)
    clustering = write_clustering(tmp_path / "c", source, vectors[:9])
    distinct = np.unique(vectors, axis=0, return_index=True)[1]
    for params in ({"threshold": 1.0}, {"epsilon": 0.0}):
        chosen = choose("dedup", source, None, {**params, "probe": probe}, clustering=clustering)
        assert chosen.rows.tolist() == sorted(distinct.tolist())
        assert chosen.weight.sum() == 300


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_epsilon(dump: Path, tmp_path: Path, metric: str) -> None:
    options = InputOptions(metric=metric)
    vectors = _vectors().astype(np.float64)
    if metric == "cosine":
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    distance = np.sqrt(((vectors[:, None] - vectors) ** 2).sum(axis=2))
    # many digits are exactly as far apart
    epsilon = float(np.quantile(distance, 0.01)) + 1e-9 * (metric == "cosine")
    params = {"epsilon": epsilon, "pairs": "pairs.parquet"}
    clustering = write_clustering(tmp_path / "c", dump, _vectors()[:20]) if metric == "l2" else None
    chosen = choose("dedup", dump, None, params, options=options, clustering=clustering)
    assert chosen.rows.tolist() == brute(distance <= epsilon, np.arange(COUNT), "greedy")
    assert chosen.dropped is not None
    assert chosen.dropped.measure == "distance"
    between = distance[chosen.dropped.row, chosen.dropped.duplicate_of]
    np.testing.assert_allclose(chosen.dropped.values, between, atol=1e-6)


def test_what_each_row_was_dropped_for(dump: Path) -> None:
    params = {"threshold": 0.9, "pairs": "pairs.parquet"}
    chosen = choose("dedup", dump, None, params)
    dropped = chosen.dropped
    assert dropped is not None
    assert np.setdiff1d(np.arange(COUNT), chosen.rows).tolist() == dropped.row.tolist()
    assert np.isin(dropped.duplicate_of, chosen.rows).all()
    assert (dropped.values >= 0.9).all()
    np.testing.assert_allclose(dropped.values, _cosines()[dropped.row, dropped.duplicate_of])
    behind = np.bincount(
        np.searchsorted(chosen.rows, dropped.duplicate_of), minlength=len(chosen.rows)
    )
    assert (1 + behind).tolist() == chosen.weight.tolist()
    # greedy: for the first of the kept rows that it duplicates
    first = [int(chosen.rows[_cosines()[row, chosen.rows] >= 0.9][0]) for row in dropped.row]
    assert first == dropped.duplicate_of.tolist()


def test_zero_vectors_are_similar_to_none(tmp_path: Path) -> None:
    vectors = np.ones((6, 4), np.float32)
    vectors[[1, 4]] = 0.0
    source = write_dump(tmp_path / "dump", vector_table(vectors))
    chosen = choose("dedup", source, None, {"threshold": 0.3})
    assert chosen.rows.tolist() == [0, 1, 4]
    assert chosen.notes == ("2 zero vectors kept, similar to none",)


@pytest.mark.parametrize("linkage", LINKAGES)
@pytest.mark.parametrize("target", ["650", "400", "10%"])
def test_target(dump: Path, linkage: str, target: str) -> None:
    chosen = choose("dedup", dump, None, {"target": target, "linkage": linkage})
    threshold = chosen.resolved["threshold"]
    wanted = 70 if target == "10%" else int(target)
    assert isinstance(threshold, float)
    again = choose("dedup", dump, None, {"threshold": threshold, "linkage": linkage})
    assert again.rows.tolist() == chosen.rows.tolist()
    assert wanted - 1 <= len(chosen.rows) <= wanted
    above = float(np.nextafter(threshold, 2.0))
    assert len(choose("dedup", dump, None, {"threshold": above, "linkage": linkage}).rows) > wanted


def test_target_beyond_reach(dump: Path, clusters: Path) -> None:
    with pytest.raises(ParameterError, match=r"^--target 5: 20 rows are left whatever the thresh"):
        choose("dedup", dump, None, {"target": "5", "probe": 0}, clustering=clusters)


def test_same_however_little_memory_there_is(
    dump: Path, clusters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases: list[dict[str, object]] = [
        {"threshold": 0.85},
        {"threshold": 0.85, "probe": 2, "keep": "farthest"},
        {"target": "300", "pairs": "pairs.parquet"},
    ]

    def chosen() -> list[Selection]:
        return [choose("dedup", dump, None, params, clustering=clusters) for params in cases]

    before = chosen()
    monkeypatch.setattr(layout_module, "_WORK_BYTES", 1 << 60)
    monkeypatch.setattr(dedup_module._Work, "_limit", 64)
    monkeypatch.setattr(pairs_module, "_SINGLE", 1)
    for one, other in zip(before, chosen(), strict=True):
        assert one.rows.tolist() == other.rows.tolist()
        assert one.weight.tolist() == other.weight.tolist()
        assert one.resolved == other.resolved
        if one.dropped is not None and other.dropped is not None:
            assert np.array_equal(one.dropped.values, other.dropped.values)


def test_against_another_dump(dump: Path, tmp_path: Path) -> None:
    tests = digits()[0][COUNT : COUNT + 200]
    other = write_dump(tmp_path / "tests", vector_table(tests), files=2)
    cosine = cosines(_vectors(), tests)
    params = {"threshold": 0.95, "against": str(other), "pairs": "pairs.parquet"}
    chosen = choose("dedup", dump, None, params)
    near = (cosine >= 0.95).any(axis=1)
    assert 0 < near.sum() < COUNT
    assert chosen.rows.tolist() == np.flatnonzero(~near).tolist()
    assert (chosen.weight == 1.0).all()
    assert chosen.dropped is not None
    assert chosen.dropped.row.tolist() == np.flatnonzero(near).tolist()
    assert chosen.dropped.duplicate_of.tolist() == cosine[near].argmax(axis=1).tolist()
    np.testing.assert_allclose(chosen.dropped.values, cosine[near].max(axis=1))


def test_against_several_dumps(dump: Path, tmp_path: Path) -> None:
    tests = digits()[0][COUNT : COUNT + 200]
    # with other columns, and a closer row in the second for some
    one = write_dump(tmp_path / "one", vector_table(tests[:90], label=np.zeros(90)))
    two = write_dump(tmp_path / "two", vector_table(tests[90:]))
    params = {"threshold": 0.95, "pairs": "pairs.parquet"}
    several = choose("dedup", dump, None, {**params, "against": [str(one), str(two)]})
    whole = write_dump(tmp_path / "whole", vector_table(tests))
    expected = choose("dedup", dump, None, {**params, "against": str(whole)})
    assert several.rows.tolist() == expected.rows.tolist()
    assert several.dropped is not None
    assert expected.dropped is not None
    assert several.dropped.duplicate_of.tolist() == expected.dropped.duplicate_of.tolist()
    assert several.dropped.values.tolist() == expected.dropped.values.tolist()
    assert (several.dropped.duplicate_of < 90).any()
    assert (several.dropped.duplicate_of >= 90).any()


def test_against_another_dimension(dump: Path, tmp_path: Path) -> None:
    other = write_dump(tmp_path / "tests", vector_table(np.ones((3, 5), np.float32)))
    with pytest.raises(InputError, match=r"--against .*: vectors of 5 dimensions, expected 64$"):
        choose("dedup", dump, None, {"threshold": 0.9, "against": str(other)})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"probe": 0}, "--probe is about clusters, and there are none"),
        ({"keep": "closest"}, "--keep closest is about centroids, and there are none"),
    ],
)
def test_clusters_are_missing(dump: Path, params: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        choose("dedup", dump, None, {"threshold": 0.9, **params})
    assert caught.value.message == message


def test_no_size_and_no_null_score(dump: Path, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"^dedup takes no size$"):
        choose("dedup", dump, 5, {"threshold": 0.9})
    source = write_dump(
        tmp_path / "dump", vector_table(np.eye(3, dtype=np.float32), quality=[1.0, None, 2.0])
    )
    with pytest.raises(
        InputError, match=r"row 1 of the file \(row 1\): --keep best:quality is null"
    ):
        choose("dedup", source, None, {"threshold": 0.9, "keep": "best:quality"})

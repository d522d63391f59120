"""Facility location against the plain greedy, brute force, and the bounds of its optimisers."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coresift.api.select import select
from coresift.core import randomness
from coresift.core.errors import ParameterError
from coresift.core.memory import current_rss
from coresift.core.selection import Selection
from coresift.engine.serial import SerialEngine
from coresift.io.dump import InputOptions
from coresift.selection.pools import above as above_module
from coresift.selection.pools import covering, dense
from coresift.selection.pools import maximise as maximise_module
from coresift.selection.pools.above import Above, Higher
from coresift.selection.pools.dense import Kept
from coresift.selection.pools.similarity import Similarity
from coresift.selection.registry import METHODS
from tests.data import digits, digits_dump, gaussians, vector_table, write_dump
from tests.selection.choosing import choose
from tests.selection.plain_coverage import gains, in_units, order, plain, similarities, value
from tests.selection.saved import write_clustering

SHARE = 1.0 - 1.0 / math.e
COSINE = InputOptions(metric="cosine")
SOME = 600


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 digits."""
    folder = tmp_path_factory.mktemp("some")
    return write_dump(folder / "emb", vector_table(digits()[0][:SOME]), files=2)


def same(one: Selection, other: Selection) -> bool:
    """Whether two selections hold the same."""
    mine, theirs = one.columns(), other.columns()
    return all(np.array_equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize(
    ("options", "params", "kind"),
    [
        (COSINE, {}, "cosine"),
        (InputOptions(), {}, "gaussian"),
        (InputOptions(), {"similarity": "cosine"}, "cosine"),
    ],
)
def test_as_the_plain_greedy(
    options: InputOptions, params: dict[str, object], kind: str, some: Path
) -> None:
    matrix = similarities(digits()[0][:SOME], kind)
    found = choose("facility-location", some, 40, params, options=options)
    picks = order(found)
    assert picks == plain(matrix, [], 40)
    assert found.resolved["similarity"] == kind
    assert found.score is not None
    assert found.rank is not None
    expected = [gains(matrix, picks[:i])[row] for i, row in enumerate(picks)]
    np.testing.assert_allclose(found.score[np.argsort(found.rank)], expected, rtol=1e-5)
    if options.metric == "cosine" or kind == "gaussian":
        counts = np.bincount(matrix[:, picks].argmax(axis=1), minlength=40)
        assert found.weight[np.argsort(found.rank)].tolist() == counts.tolist()


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_neither_blocks_nor_threads_nor_memory_show(
    metric: str, some: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = InputOptions(metric=metric)
    first = choose("facility-location", some, 50, options=options)
    assert same(first, choose("facility-location", some, 50, options=options, threads=1))
    monkeypatch.setattr(dense, "TILE", 37)
    monkeypatch.setattr(dense, "_BLOCK", 500)
    monkeypatch.setattr(maximise_module, "_LEAST", 1)
    monkeypatch.setattr(maximise_module, "_MOST", 3)
    assert same(first, choose("facility-location", some, 50, options=options))
    monkeypatch.setattr(covering, "_MATRIX_BYTES", 0)
    monkeypatch.setattr(dense, "SPAN", 41)
    assert same(first, choose("facility-location", some, 50, options=options))
    tight = current_rss() + (9 << 20)
    assert same(first, choose("facility-location", some, 50, options=options, memory=tight))


@pytest.mark.parametrize("optimizer", ["lazy", "stochastic", "threshold"])
@pytest.mark.parametrize(("few", "kept"), [(1.0, 2 << 30), (0.05, 2 << 30), (0.05, 0)])
def test_listing_what_still_adds_does_not_show(
    optimizer: str, few: float, kept: int, some: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow, narrowed = Above.narrow, 0

    def counted(self: Above, best: NDArray[np.float32]) -> None:
        nonlocal narrowed
        narrowed += 1
        narrow(self, best)

    monkeypatch.setattr(Above, "narrow", counted)
    params = {"optimizer": optimizer}
    monkeypatch.setattr(covering, "_MATRIX_BYTES", kept)
    monkeypatch.setattr(dense, "SPAN", 99)
    monkeypatch.setattr(dense, "_FEW", few)
    listed = choose("facility-location", some, 150, params, options=COSINE)
    assert narrowed
    monkeypatch.setattr(dense, "_FEW", -1.0)
    assert same(listed, choose("facility-location", some, 150, params, options=COSINE))


@given(
    cells=st.lists(st.integers(0, 9), min_size=12 * 12, max_size=12 * 12),
    weights=st.lists(st.integers(0, 5), min_size=12, max_size=12),
    picks=st.lists(st.integers(0, 11), max_size=8),
    narrowed=st.integers(0, 8),
    block=st.integers(1, 200),
)
def test_gains_that_are_kept_up_to_date(
    cells: list[int], weights: list[int], picks: list[int], narrowed: int, block: int
) -> None:
    matrix = np.array(cells, np.float32).reshape(12, 12)
    matrix += matrix.T
    weight, best = np.array(weights, np.float64), matrix[3].copy()
    parts = [Higher.of(matrix[a : a + 5], best[a : a + 5]) for a in range(0, 12, 5)]
    assert Above.of(parts, best, weight, int(sum(part.counts.sum() for part in parts)) - 1) is None
    above = Above.of(parts, best, weight, 12 * 12)
    assert above is not None
    for index, pick in enumerate(picks):
        above.choose(matrix[pick], best)
        best = np.maximum(best, matrix[pick])
        if index == narrowed:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(above_module, "_PIECE", block)
                above.narrow(best)
        expected = (np.maximum(matrix - best[:, None], 0.0) * weight[:, None]).sum(axis=0)
        assert above.gains.tolist() == expected.tolist()


@given(
    seed=st.integers(0, 1000),
    weights=st.lists(st.integers(0, 1_000_000), min_size=40, max_size=40),
    share=st.floats(0.0, 1.2),
    block=st.integers(1, 400),
)
def test_gains_below_what_is_asked_for_are_bounds(
    seed: int, weights: list[int], share: float, block: int
) -> None:
    vectors = np.random.default_rng(seed).normal(size=(40, 5)).astype(np.float32)
    similarity = Similarity("cosine")
    weight = np.array([1.0, *weights[1:]]) * math.pi
    coverage = Kept(similarity, similarity.rows(vectors), weight, SerialEngine(), 0)
    coverage.add(7)
    every = np.arange(40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense, "_BLOCK", block)
        exact = coverage.gains(every)
        least = share * float(exact.max())
        found = coverage.gains(every, least)
    units = np.array([coverage.column(place) for place in range(40)], np.float64)
    expected = np.maximum(units - coverage.best, 0.0) @ coverage.weight
    assert exact.tolist() == expected.tolist()
    high = exact >= least
    assert found[high].tolist() == exact[high].tolist()
    assert (found >= exact).all()
    assert (found[~high] < least).all()


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    points=st.lists(st.tuples(*[st.integers(-3, 3)] * 2), min_size=3, max_size=9),
    size=st.integers(1, 3),
    kind=st.sampled_from(["cosine", "gaussian"]),
    optimizer=st.sampled_from(["lazy", "threshold"]),
)
def test_near_the_best_value(
    points: list[tuple[int, int]],
    size: int,
    kind: str,
    optimizer: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    rows = np.array(points, np.float32)
    dump = write_dump(tmp_path_factory.mktemp("few"), vector_table(rows))
    matrix = similarities(rows, kind)
    best = max(
        value(matrix, list(chosen)) for chosen in itertools.combinations(range(len(rows)), size)
    )
    found = choose("facility-location", dump, size, {"similarity": kind, "optimizer": optimizer})
    share = SHARE if optimizer == "lazy" else SHARE - 0.1
    assert value(matrix, found.rows) >= share * best - 1e-6
    if optimizer == "lazy":
        # rounded as there, sums are exact, and so are ties: of rows that add as much, the first
        assert order(found) == plain(in_units(rows, kind), [], size)


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_covered_by_neighbours_only(metric: str, some: Path) -> None:
    options = InputOptions(metric=metric)
    everything = choose("facility-location", some, 40, {"neighbors": "all"}, options=options)
    assert same(
        everything, choose("facility-location", some, 40, {"neighbors": SOME}, options=options)
    )
    matrix = similarities(digits()[0][:SOME], "cosine" if metric == "cosine" else "gaussian")
    bar = np.sort(matrix, axis=1)[:, -25]
    matrix[matrix < bar[:, None]] = 0.0
    found = choose("facility-location", some, 40, {"neighbors": 25}, options=options)
    assert order(found) == plain(matrix, [], 40)
    assert found.score is not None
    assert found.score.sum() == pytest.approx(value(matrix, found.rows), rel=1e-6)


def test_large_pools_take_neighbours(some: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(covering, "_ALL_ROWS", SOME - 1)
    found = choose("facility-location", some, 60, options=COSINE)
    # 8 x 600 / 60
    expected = choose("facility-location", some, 60, {"neighbors": 80}, options=COSINE)
    assert same(found, expected)
    assert found.notes == ("of 600 rows, each was covered by its 80 most similar ones only",)
    everything = choose("facility-location", some, 60, {"neighbors": "all"}, options=COSINE)
    assert not everything.notes
    matrix = similarities(digits()[0][:SOME], "cosine")
    assert value(matrix, found.rows) >= 0.995 * value(matrix, everything.rows)
    # too few are chosen for that
    assert not choose("facility-location", some, 4, options=COSINE).notes


def test_given_rows_cover_from_the_start(tmp_path: Path, some: Path) -> None:
    select("random", some, size=40, output=tmp_path / "held.parquet")
    held = pq.read_table(tmp_path / "held.parquet")["row"].to_pylist()
    matrix = similarities(digits()[0][:SOME], "cosine")
    params = {"given": str(tmp_path / "held.parquet")}
    for more in ({}, {"neighbors": "all"}, {"neighbors": SOME - 40}):
        found = choose("facility-location", some, 20, {**params, **more}, options=COSINE)
        # rows that are held need no cover
        outside = matrix.copy()
        outside[held] = 0.0
        assert order(found) == plain(outside, held, 20)
        assert found.score is not None
        both = value(outside, [*held, *found.rows])
        assert found.score.sum() == pytest.approx(both - value(outside, held), rel=1e-5)
    assert len(choose("facility-location", some, "100%", params, options=COSINE).rows) == SOME - 40


def test_stochastic_takes_the_best_of_samples(some: Path) -> None:
    matrix = similarities(digits()[0][:SOME], "cosine")
    n, epsilon = 30, 0.2
    size = math.ceil(SOME / n * math.log(1.0 / epsilon))
    params: dict[str, object] = {"optimizer": "stochastic", "epsilon": epsilon}
    values = []
    for seed in range(3):
        found = choose("facility-location", some, n, params, options=COSINE, seed=seed)
        picks: list[int] = []
        for index in range(n):
            left = np.setdiff1d(np.arange(SOME), picks)
            keys = randomness.bits(seed, f"stochastic/{index}", left)
            sample = np.sort(left[np.argsort(keys)[:size]])
            picks.append(int(sample[gains(matrix, picks)[sample].argmax()]))
        assert order(found) == picks
        values.append(value(matrix, found.rows))
    lazy = plain(matrix, [], n)
    # no n rows can be worth more than this
    most = value(matrix, lazy) + np.sort(gains(matrix, lazy))[-n:].sum()
    assert np.mean(values) >= (SHARE - epsilon) * most
    assert np.mean(values) >= (1.0 - epsilon / 10.0) * value(matrix, lazy)
    assert len(set(values)) == 3


def test_threshold_takes_what_adds_enough(some: Path) -> None:
    matrix = similarities(digits()[0][:SOME], "cosine")
    n = 30
    lazy = value(matrix, plain(matrix, [], n))
    for epsilon in (0.05, 0.3):
        params: dict[str, object] = {"optimizer": "threshold", "epsilon": epsilon}
        found = choose("facility-location", some, n, params, options=COSINE)
        picks: list[int] = []
        most = bar = gains(matrix, []).max()
        while bar >= epsilon / n * most and len(picks) < n:
            best = matrix[:, picks].max(axis=1, initial=0.0)
            for row in range(SOME):
                gain = np.maximum(matrix[:, row] - best, 0.0).sum()
                if len(picks) < n and row not in picks and gain >= bar:
                    picks.append(row)
                    best = np.maximum(best, matrix[:, row])
            bar *= 1.0 - epsilon
        assert order(found) == picks + plain(matrix, picks, n - len(picks))
        assert value(matrix, found.rows) >= (1.0 - epsilon) * lazy


def test_the_falling_threshold_may_leave_rows_over(tmp_path: Path) -> None:
    rows = np.concatenate([np.tile(np.eye(3), (5, 1)), np.zeros((5, 3))]).astype(np.float32)
    dump = write_dump(tmp_path / "emb", vector_table(rows))
    params: dict[str, object] = {"optimizer": "threshold", "similarity": "cosine"}
    found = choose("facility-location", dump, 10, params)
    # three cover all there is; the others add nothing, and come in their order
    assert order(found) == list(range(10))
    assert found.score is not None
    assert found.rank is not None
    assert found.score[np.argsort(found.rank)].tolist() == [5.0] * 3 + [0.0] * 7


def test_pools_lose_little(tmp_path: Path) -> None:
    dump = digits_dump(tmp_path / "emb")
    matrix = similarities(digits()[0], "cosine")
    whole = value(matrix, choose("facility-location", dump, 50, options=COSINE).rows)
    clustering = write_clustering(tmp_path / "clusters", dump, digits()[0][:20], options=COSINE)
    for params in ({"pool_size": 450}, {"pool_size": 450, "partition": "cluster"}):
        there = clustering if "partition" in params else None
        run = [
            choose(
                "facility-location", dump, 50, params, options=COSINE, clustering=there, threads=t
            )
            for t in (1, 2)
        ]
        assert same(*run)
        assert value(matrix, run[0].rows) >= 0.97 * whole
        assert run[0].weight.sum() == 1797


def test_equal_rows_and_rows_like_none(tmp_path: Path) -> None:
    equal = write_dump(tmp_path / "equal", vector_table(np.full((50, 4), 0.3, np.float32)))
    for params in ({"similarity": "cosine"}, {}, {"neighbors": 7}, {"optimizer": "stochastic"}):
        for size in (1, 7, 50):
            found = choose("facility-location", equal, size, params)
            assert len(found.rows) == size
            assert found.weight.sum() == 50
    assert order(choose("facility-location", equal, 5)) == [0, 1, 2, 3, 4]
    one = write_dump(tmp_path / "one", vector_table(np.ones((1, 4), np.float32)))
    assert choose("facility-location", one, 1).rows.tolist() == [0]
    far = gaussians(40, 3, 4)
    far[::4] = 0.0
    some_zero = write_dump(tmp_path / "zero", vector_table(far))
    found = choose("facility-location", some_zero, 20, {"similarity": "cosine"})
    assert order(found) == plain(similarities(far, "cosine"), [], 20)


def test_options_that_do_not_go_together() -> None:
    build = METHODS["facility-location"].params.build
    for values, message in (
        ({"epsilon": 0.2}, "--epsilon is about --optimizer stochastic and threshold"),
        ({"neighbors": 2.5}, "--neighbors 2.5 is not a whole number"),
        ({"neighbors": "few"}, "--neighbors 'few' is not a number or all"),
        ({"epsilon": 1, "optimizer": "threshold"}, "--epsilon 1 is more than 0.9"),
    ):
        with pytest.raises(ParameterError, match=message):
            build(values, "facility-location")

"""k-center: the plain greedy, its bound, rows that are given, outliers and ties."""

from __future__ import annotations

import itertools
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coresift.api.select import select
from coresift.core.errors import InputError, MismatchError, ParameterError
from coresift.core.memory import Budget, current_rss
from coresift.core.selection import Selection
from coresift.io import vectors as vectors_module
from coresift.io.dump import InputOptions
from coresift.io.vectors import Vectors
from coresift.selection import base as base_module
from coresift.selection.pools import farthest as farthest_module
from tests.data import digits, digits_dump, gaussians, vector_table, write_dump
from tests.selection.choosing import choose


def distances(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """All distances, float64."""
    wide = rows.astype(np.float64)
    return np.sqrt([np.square(wide - row).sum(axis=1) for row in wide])


@cache
def digit_distances() -> NDArray[np.float64]:
    """Those of all digits."""
    return distances(digits()[0])


def plain(far: NDArray[np.float64], chosen: list[int], count: int) -> list[int]:
    """The next rows by comparing all with all; ties go to the first row."""
    picks: list[int] = []
    for _ in range(count):
        left = far[:, chosen + picks].min(axis=1)
        left[chosen + picks] = -1.0
        picks.append(int(left.argmax()))
    return picks


def order(found: Selection) -> list[int]:
    """Rows as they were picked."""
    assert found.rank is not None
    picks: list[int] = found.rows[np.argsort(found.rank)].tolist()
    return picks


@pytest.mark.parametrize("pool", [5, 20, 10_000])
def test_as_the_plain_greedy(pool: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farthest_module, "_POOL_BYTES", 0)
    monkeypatch.setattr(farthest_module, "_LEAST_POOL", pool)
    dump = digits_dump(tmp_path / "emb", files=2)
    far = digit_distances()
    found = choose("k-center", dump, 120)
    picks = order(found)
    assert picks[1:] == plain(far, picks[:1], 119)
    assert found.score is not None
    assert found.rank is not None
    assert np.isinf(found.score[found.rank.argmin()])
    expected = [far[picks[:i], row].min() for i, row in enumerate(picks) if i]
    np.testing.assert_allclose(found.score[np.argsort(found.rank)][1:], expected)
    assert found.resolved["radius"] == pytest.approx(far[:, picks].min(axis=1).max())
    assert found.weight.sum() == len(far)
    # of two as near, the one that was picked first
    counts = np.bincount(far[:, picks].argmin(axis=1), minlength=120)
    assert found.weight[np.argsort(found.rank)].tolist() == counts.tolist()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    points=st.lists(st.tuples(*[st.integers(0, 5)] * 2), min_size=4, max_size=11),
    size=st.integers(1, 4),
    seed=st.integers(0, 3),
)
def test_at_most_twice_the_best_radius(
    points: list[tuple[int, int]], size: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = np.array(points, np.float32)
    dump = write_dump(tmp_path_factory.mktemp("few"), vector_table(rows))
    far = distances(rows)
    best = min(
        far[:, list(some)].min(axis=1).max()
        for some in itertools.combinations(range(len(rows)), size)
    )
    found = choose("k-center", dump, size, seed=seed)
    radius = far[:, found.rows].min(axis=1).max()
    assert found.resolved["radius"] == pytest.approx(radius)
    assert radius <= 2.0 * best + 1e-9
    # equal rows are chosen last, in their order, and each stands for itself
    picks = order(found)
    assert picks[1:] == plain(far, picks[:1], size - 1)
    assert found.weight.sum() == len(rows)
    assert (found.weight >= 1.0).all()


def test_given_rows_are_covered_and_not_chosen(tmp_path: Path) -> None:
    dump = digits_dump(tmp_path / "emb")
    select("random", dump, size=40, output=tmp_path / "labelled.parquet")
    held = pq.read_table(tmp_path / "labelled.parquet")["row"].to_pylist()
    found = choose("k-center", dump, 30, {"given": str(tmp_path / "labelled.parquet")})
    far = digit_distances()
    assert order(found) == plain(far, held, 30)
    # of two as near, one that was given, or else the one that was picked first
    owner = far[:, [*held, *order(found)]].argmin(axis=1)
    assert sorted(found.weight.tolist()) == sorted(np.bincount(owner, minlength=70)[40:].tolist())
    assert "40 rows were given, and are not among those chosen" in found.notes
    with pytest.raises(ParameterError, match="size 1,758 is more than the 1,757 rows"):
        choose("k-center", dump, 1758, {"given": str(tmp_path / "labelled.parquet")})


def test_given_rows_may_be_any_table(tmp_path: Path) -> None:
    dump = digits_dump(tmp_path / "emb")
    files = {
        "good": np.array([5, 3]),
        "none": np.empty(0, np.int64),
        "twice": np.array([3, 3]),
        "outside": np.array([1797]),
        "huge": np.array([2**63 + 5], np.uint64),
    }
    for name, rows in files.items():
        pq.write_table(pa.table({"row": rows}), tmp_path / f"{name}.parquet")
    picks = order(choose("k-center", dump, 5, {"given": str(tmp_path / "good.parquet")}))
    assert picks == plain(digit_distances(), [3, 5], 5)
    # the first round of labelling
    first = choose("k-center", dump, 5, {"given": str(tmp_path / "none.parquet")})
    assert order(first) == order(choose("k-center", dump, 5))
    for name, message in (
        ("twice", "row 3 stands more than once"),
        ("outside", "row 1797 is not one of the 1,797 rows"),
        ("huge", "row 9223372036854775813 is not one of the 1,797 rows"),
    ):
        with pytest.raises(InputError, match=message):
            choose("k-center", dump, 5, {"given": str(tmp_path / f"{name}.parquet")})


def test_given_rows_of_another_dump_are_refused(tmp_path: Path) -> None:
    dump = digits_dump(tmp_path / "emb")
    other = digits_dump(tmp_path / "other", files=2)
    select("random", other, size=40, output=tmp_path / "labelled.parquet")
    with pytest.raises(MismatchError, match="was made from another input"):
        choose("k-center", dump, 5, {"given": str(tmp_path / "labelled.parquet")})


def test_provenance_without_a_fingerprint(tmp_path: Path) -> None:
    dump = digits_dump(tmp_path / "emb")
    select("random", dump, size=40, output=tmp_path / "held.parquet")
    table = pq.read_table(tmp_path / "held.parquet")
    provenance = json.loads(table.schema.metadata[b"coresift"])
    metadata = {b"coresift": json.dumps({**provenance, "fingerprint": {}}).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "held.parquet")
    with pytest.raises(InputError, match="its provenance holds no fingerprint"):
        choose("k-center", dump, 5, {"given": str(tmp_path / "held.parquet")})


def test_vectors_too_long_for_float32(tmp_path: Path) -> None:
    rows = digits()[0][:50] * np.float32(1e19)
    dump = write_dump(tmp_path / "emb", vector_table(rows))
    with pytest.raises(ParameterError, match="too large to be squared in float32"):
        choose("k-center", dump, 5)


def test_outliers_are_left_out(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    near = random.normal(size=(400, 3))
    # each alone and far from all else: the greedy takes them first
    outliers = 1000.0 * (1.0 + np.arange(8))[:, None] * np.eye(3)[np.arange(8) % 3]
    rows = np.concatenate([near, outliers]).astype(np.float32)
    dump = write_dump(tmp_path / "emb", vector_table(rows))
    greedy = choose("k-center", dump, 9)
    assert (greedy.rows >= 400).sum() >= 7
    robust = [choose("k-center", dump, 20, {"outliers": 0.02}, seed=seed) for seed in range(5)]
    for found in robust:
        assert found.resolved["outliers"] == 8
        # half of the farthest that a row is drawn from are no outliers
        assert (found.rows < 400).sum() >= 8
        far = np.sort(distances(rows)[:, found.rows].min(axis=1))
        assert found.resolved["radius"] == pytest.approx(far[-9])
        assert far[-9] < 5.0
    assert len({tuple(found.rows) for found in robust}) > 1


@pytest.mark.parametrize("pool", [3, 30, 500])
@pytest.mark.parametrize("held", [True, False])
def test_rows_wait_and_are_counted(
    pool: int, held: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farthest_module, "_POOL_BYTES", 0)
    monkeypatch.setattr(farthest_module, "_LEAST_POOL", pool)
    monkeypatch.setattr(farthest_module, "_TOGETHER", 7)
    monkeypatch.setattr(Budget, "left", lambda self: 1 << 30 if held else 24_000)
    rows = np.repeat(gaussians(250, 4, 30), 2, axis=0)
    kept = np.arange(500) % 11 != 3
    rows[~kept] = np.nan
    dump = write_dump(tmp_path / "emb", vector_table(rows), files=3, row_group_size=40)
    found = choose("k-center", dump, 200, options=InputOptions(invalid="drop"))
    places = np.flatnonzero(kept)
    far = distances(rows[kept])
    picks = np.searchsorted(places, order(found)).tolist()
    assert picks[1:] == plain(far, picks[:1], 199)
    owner = far[:, picks].argmin(axis=1)
    owner[picks] = np.arange(200)
    counts = np.bincount(owner, minlength=200)
    assert found.rank is not None
    assert found.weight[np.argsort(found.rank)].tolist() == counts.tolist()
    assert found.resolved["radius"] == pytest.approx(far[:, picks].min(axis=1).max())


def test_memory_and_scratch_leave_no_trace(tmp_path: Path) -> None:
    dump = digits_dump(tmp_path / "emb", files=3)
    expected = choose("k-center", dump, 60)
    tight = choose("k-center", dump, 60, memory=current_rss() + (8 << 20))
    assert tight.rows.tolist() == expected.rows.tolist()
    assert tight.weight.tolist() == expected.weight.tolist()


@pytest.mark.parametrize(
    ("method", "outliers"), [("k-center", 0.0), ("k-center", 0.1), ("probability-coverage", 0.0)]
)
def test_room_is_left_for_all_that_follows(
    method: str, outliers: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked for after the vectors were read was kept free when they were."""
    left_free: list[int] = []
    asked_for: list[int] = []

    def ingest(*given: Any, reserve: int) -> Vectors:
        left_free.append(reserve)
        asked_for.clear()
        return vectors_module.ingest(*given, reserve=reserve)

    monkeypatch.setattr(base_module, "ingest", ingest)
    monkeypatch.setattr(Budget, "require", lambda _, needed, __: asked_for.append(needed))
    vectors = np.abs(gaussians(3000, 20, 5))
    vectors /= vectors.sum(axis=1, keepdims=True)
    source = write_dump(tmp_path / "emb", vector_table(vectors))
    pq.write_table(pa.table({"row": np.arange(70)}), tmp_path / "held.parquet")
    params: dict[str, object] = {"given": str(tmp_path / "held.parquet")}
    if outliers:
        params["outliers"] = outliers
    choose(method, source, 50, params)
    assert len(asked_for) == 2
    assert left_free[0] >= sum(asked_for) + farthest_module.ROW_BYTES * 3000

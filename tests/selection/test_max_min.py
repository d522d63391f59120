"""max-min: GIST's bounds against brute force, a plain reference, utilities and pools."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coresift.core.errors import InputError, ParameterError
from coresift.engine.serial import SerialEngine
from coresift.selection.duplicates import independent as independent_module
from coresift.selection.methods import max_min as max_min_module
from coresift.selection.methods.max_min import _Gist
from coresift.selection.pools.pool import Pool
from tests.data import digits, digits_dump, gaussians, vector_table, write_dump
from tests.selection.choosing import choose
from tests.selection.test_k_center import digit_distances, distances, order


def pool_of(rows: NDArray[np.float32], values: NDArray[np.float64] | None, held: int = 0) -> Pool:
    """A pool whose last rows are given."""
    left = len(rows) - held
    return Pool(
        np.arange(left),
        rows[:left],
        np.ones(left),
        rows[left:],
        None if values is None else values[:left],
    )


def least(far: NDArray[np.float64], some: list[int], held: list[int]) -> float:
    """Least distance between two of some rows, or of one of them and a held one."""
    inner = far[np.ix_(some, some)][np.triu_indices(len(some), 1)]
    return float(min(inner.min(initial=np.inf), far[np.ix_(some, held)].min(initial=np.inf)))


def independent(
    far: NDArray[np.float64], worth: NDArray[np.float64], held: list[int], d: float, n: int
) -> list[int]:
    """The paper's greedy independent set, row by row."""
    taken: list[int] = []
    for row in np.argsort(-worth, kind="stable").tolist():
        if row not in held and len(taken) < n and (far[row, taken + held] >= d).all():
            taken.append(row)
    return taken


points = st.lists(st.tuples(*[st.integers(0, 6)] * 2), min_size=5, max_size=10)


@settings(max_examples=150, deadline=None)
@given(
    points=points,
    data=st.data(),
    n=st.integers(1, 4),
    held=st.integers(0, 1),
    weight=st.sampled_from([0.0, 0.3, 1.0, 5.0, 40.0]),
    epsilon=st.sampled_from([0.05, 0.3]),
)
def test_the_bound_of_a_linear_utility(
    points: list[tuple[int, int]],
    data: st.DataObject,
    n: int,
    held: int,
    weight: float,
    epsilon: float,
) -> None:
    rows = np.array(points, np.float32)
    values = np.array(
        data.draw(st.lists(st.integers(0, 9), min_size=len(rows), max_size=len(rows))), float
    )
    far = distances(rows)
    given_rows = list(range(len(rows) - held, len(rows)))

    def parts(some: list[int]) -> tuple[float, float]:
        distance = least(far, some, given_rows)
        return values[some].sum(), weight * distance if np.isfinite(distance) else 0.0

    found = _Gist(pool_of(rows, values, held), n, weight, epsilon, SerialEngine()).best()
    mine = sum(parts(found.places.tolist()))
    every = itertools.combinations(range(len(rows) - held), n)
    utility, distance = max((parts(list(some)) for some in every), key=sum)
    best = utility + distance
    bound = min(best / (1 + epsilon), utility + distance / (2 * (1 + epsilon)))
    assert mine >= bound - 1e-9
    assert mine >= best / (2 * (1 + epsilon)) - 1e-9
    if utility >= distance / 2:
        assert mine >= best * 2 / (3 * (1 + epsilon)) - 1e-9


@settings(max_examples=150, deadline=None)
@given(points=points, n=st.integers(2, 4), held=st.integers(0, 2))
def test_without_a_utility_at_least_half_the_best_distance(
    points: list[tuple[int, int]], n: int, held: int
) -> None:
    rows = np.array(points, np.float32)
    far = distances(rows)
    given_rows = list(range(len(rows) - held, len(rows)))
    found = _Gist(pool_of(rows, None, held), min(n, len(rows) - held), 1.0, 0.1, SerialEngine())
    picked = found.best()
    mine = least(far, picked.places.tolist(), given_rows)
    best = max(
        least(far, list(some), given_rows)
        for some in itertools.combinations(range(len(rows) - held), len(picked.places))
    )
    assert mine >= best / 2 - 1e-9
    assert picked.score is not None
    assert picked.score.min() == pytest.approx(mine)
    assert len(set(picked.places.tolist())) == len(picked.places)


@pytest.mark.parametrize(("block", "tile", "wave"), [(512, 16, 8), (7, 3, 1)])
@pytest.mark.parametrize("held", [0, 40])
def test_as_the_plain_algorithm(
    block: int, tile: int, wave: int, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(independent_module, "_BLOCK", block)
    monkeypatch.setattr(independent_module, "_TILE", tile)
    monkeypatch.setattr(max_min_module, "_WAVE", wave)
    rows = digits()[0][:400]
    values = np.random.default_rng(2).integers(0, 50, len(rows)).astype(float)
    far = distances(rows)
    given_rows = list(range(len(rows) - held, len(rows)))
    n, weight, epsilon = 30, 150.0, 0.1
    picked = _Gist(pool_of(rows, values, held), n, weight, epsilon, SerialEngine()).best()

    # the pair, or the rows given, and the farthest rows from them
    start = int(far[int(far[0, : len(rows) - held].argmax()), : len(rows) - held].argmax())
    apart = [] if held else [start]
    while len(apart) < n:
        near = far[:, apart + given_rows].min(axis=1)
        near[apart + given_rows] = -1.0
        apart.append(int(near.argmax()))
    tried = [apart, independent(far, values, given_rows, 0.0, n)]
    r = least(far, apart, given_rows)
    d = epsilon * r / 2
    while d <= 2 * r:
        tried.append(independent(far, values, given_rows, d, n))
        d *= 1 + epsilon

    def worth(some: list[int]) -> float:
        return float(values[some].sum() + weight * least(far, some, given_rows))

    best = max((some for some in tried if len(some) == n), key=worth)
    assert worth(picked.places.tolist()) == pytest.approx(worth(best))
    assert picked.places.tolist() == best
    assert best not in tried[:2]


def test_what_a_selection_tells(tmp_path: Path) -> None:
    source = digits_dump(tmp_path / "emb", files=2)
    far = digit_distances()
    alone = choose("max-min", source, 40)
    assert alone.resolved["distance"] == pytest.approx(least(far, alone.rows.tolist(), []))
    assert "utility" not in alone.resolved
    worth = digits()[1] / 9.0
    found = choose("max-min", source, 40, {"utility": "label / 9"})
    assert found.resolved["lambda"] == 40
    assert found.resolved["utility"] == pytest.approx(worth[found.rows].sum())
    assert found.resolved["distance"] == pytest.approx(least(far, found.rows.tolist(), []))
    assert found.score is not None
    picks = order(found)
    before = [far[row, picks[:i]].min(initial=np.inf) for i, row in enumerate(picks)]
    np.testing.assert_allclose(found.score, np.array(before)[np.argsort(picks)])
    assert found.weight.sum() == len(far)
    # more weight of one part, more of it
    near = choose("max-min", source, 40, {"utility": "label / 9", "lambda": 0})
    assert near.resolved["utility"] == 40.0
    wide = choose("max-min", source, 40, {"utility": "label / 9", "lambda": 1e6})
    spread = [float(each.resolved["distance"]) for each in (near, found, wide)]
    assert spread[0] < spread[1] < spread[2]
    # at least as good as the farthest rows of k-center, which are within half of the best, too
    assert least(far, alone.rows.tolist(), []) >= 0.9 * least(
        far, choose("k-center", source, 40).rows.tolist(), []
    )


def test_utilities_must_be_numbers_of_at_least_0(tmp_path: Path) -> None:
    worth: list[float | None] = [0.5] * 90
    vectors = gaussians(90, 3, 5)
    for value, message in (
        (-0.25, r"\(row 41\): --utility 'worth' is -0\.25, less than 0$"),
        (None, r"\(row 41\): --utility 'worth' is null or not a number$"),
    ):
        worth[41] = value
        source = write_dump(tmp_path / str(value), vector_table(vectors, worth=worth), files=2)
        with pytest.raises(InputError, match=message) as caught:
            choose("max-min", source, 5, {"utility": "worth"})
        assert caught.value.hint is not None
        assert caught.value.hint.startswith("each row needs a number of 0 or more")
    with pytest.raises(ParameterError, match="--utility: no column 'worht'"):
        choose("max-min", source, 5, {"utility": "worht"})
    with pytest.raises(ParameterError, match="--lambda weighs the least distance against"):
        choose("max-min", source, 5, {"lambda": 2})


@pytest.mark.parametrize("params", [{}, {"utility": "worth"}])
def test_pools_lose_little(params: dict[str, object], tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(3000, 3)).astype(np.float32)
    worth = np.random.default_rng(1).random(3000)
    source = write_dump(tmp_path / "dump", vector_table(vectors, worth=worth))
    far = distances(vectors)

    def objective(params: dict[str, object]) -> float:
        rows = choose("max-min", source, 60, params).rows.tolist()
        return float("utility" in params) * float(worth[rows].mean()) + least(far, rows, [])

    whole = objective(params)
    for size in (200, 1000):
        assert objective({**params, "pool_size": size}) >= 0.85 * whole
    pq.write_table(pa.table({"row": np.arange(0, 3000, 9)}), tmp_path / "given.parquet")
    held = list(range(0, 3000, 9))
    more = {**params, "pool_size": 200, "given": str(tmp_path / "given.parquet"), "epsilon": 0.2}
    found = choose("max-min", source, 60, more)
    assert found.resolved["distance"] == pytest.approx(least(far, found.rows.tolist(), held))

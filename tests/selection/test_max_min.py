"""max-min: GIST's bounds against brute force, a plain reference, utilities and pools."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coresift.engine.serial import SerialEngine
from coresift.selection import max_min as max_min_module
from coresift.selection.max_min import _Gist
from coresift.selection.pool import Pool
from tests.data import digits
from tests.selection.test_k_center import distances


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
@pytest.mark.parametrize("held", [0, 60])
def test_as_the_plain_algorithm(
    block: int, tile: int, wave: int, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(max_min_module, "_BLOCK", block)
    monkeypatch.setattr(max_min_module, "_TILE", tile)
    monkeypatch.setattr(max_min_module, "_WAVE", wave)
    rows = digits()[0][:700]
    values = np.random.default_rng(2).integers(0, 50, len(rows)).astype(float)
    far = distances(rows)
    given_rows = list(range(len(rows) - held, len(rows)))
    n, weight, epsilon = 40, 150.0, 0.1
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

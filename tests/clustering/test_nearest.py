"""Nearest centroids are those of a full float64 search, whatever the shape of the data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coresift.clustering import nearest as module
from coresift.clustering.bounds import nearest_again
from coresift.clustering.centers import Centers
from coresift.clustering.distances import squared_distances
from coresift.clustering.moves import Moves, grouped
from coresift.clustering.nearest import closer, nearest
from coresift.clustering.projection import Projection
from coresift.engine.local import LocalEngine
from tests.clustering.rows import KINDS, brute_force, make
from tests.data import digits


@given(
    kind=st.sampled_from(KINDS),
    rows=st.integers(1, 300),
    dim=st.integers(1, 40),
    k=st.integers(1, 60),
    seed=st.integers(0, 1000),
    directions=st.sampled_from([None, 1, 4, 8]),
    drift=st.sampled_from([0.0, 1e-3, 0.5]),
)
@settings(max_examples=60, deadline=None)
def test_labels_are_those_of_a_float64_search(
    kind: str, rows: int, dim: int, k: int, seed: int, directions: int | None, drift: float
) -> None:
    points, centroids = make(kind, rows, dim, k, seed)
    expected, squared = brute_force(points, centroids)
    projection = None if directions is None else Projection.fit(points).narrowed(directions)
    centers = Centers.prepare(centroids, projection)
    assert nearest(points, centers).tolist() == expected.tolist()
    upper = np.empty(rows, np.float32)
    assert nearest(points, centers, None, upper).tolist() == expected.tolist()
    exact = np.sqrt(squared)
    assert (upper >= exact).all()
    labels = expected.astype(np.int32)
    assert np.allclose(squared_distances(points, centroids, labels), squared, rtol=1e-12)


@given(
    kind=st.sampled_from(KINDS),
    rows=st.integers(1, 300),
    dim=st.integers(1, 40),
    k=st.integers(1, 60),
    seed=st.integers(0, 1000),
    directions=st.sampled_from([None, (1, 0), (8, 0), (8, 3)]),
    drift=st.sampled_from([0.0, 1e-3, 0.05, 0.5]),
    share=st.sampled_from([0.1, 0.5, 1.0]),
    groups=st.sampled_from([1, 2, 5]),
)
@settings(max_examples=150, deadline=None)
def test_bounds_that_are_carried_along_lead_to_the_same_labels(
    kind: str,
    rows: int,
    dim: int,
    k: int,
    seed: int,
    directions: tuple[int, int] | None,
    drift: float,
    share: float,
    groups: int,
) -> None:
    """Some centroids drift for a few rounds; bounds hold and labels are a full search's."""
    points, centroids = make(kind, rows, dim, k, seed)
    random = np.random.default_rng(seed)
    projection = Projection.fit(points).narrowed(*directions) if directions else None
    before = Centers.prepare(centroids, projection)
    projection = before.projection
    group = random.integers(0, groups, k).astype(np.int32)
    bounds = np.zeros((rows, 2 + group.max()), np.float32)
    labels = nearest(points, before, None, bounds[:, 0])
    for _ in range(4):
        steps = random.normal(size=centroids.shape) * (random.random((k, 1)) < share) * drift
        centroids = (centroids + steps * centroids.std()).astype(np.float32)
        after = Centers.prepare(centroids, projection)
        moves = Moves.between(before, after, group, LocalEngine(1))
        labels = nearest_again(points, after, None, labels, bounds, moves)
        expected, squared = brute_force(points, centroids)
        assert labels.tolist() == expected.tolist()
        distances = np.sqrt(all_squared(points, centroids))
        assert (bounds[:, 0] >= np.sqrt(squared)).all()
        distances[np.arange(rows), expected] = np.inf
        for index in range(group.max() + 1):
            others = distances[:, group == index].min(axis=1, initial=np.inf)
            assert (bounds[:, 1 + index] <= others).all()
        before = after


def test_groups_hold_near_centroids_and_as_many_each() -> None:
    """Four far clouds are four groups, whatever the order."""
    random = np.random.default_rng(0)
    corners = np.array([[0, 0], [0, 50], [90, 0], [90, 50]], np.float32)
    cloud = np.repeat(np.arange(4), 250)
    random.shuffle(cloud)
    points = (corners[cloud] + random.normal(size=(1000, 2))).astype(np.float32)
    group = grouped(points)
    assert sorted(set(zip(cloud.tolist(), group.tolist(), strict=True))) == [
        (index, int(group[cloud == index][0])) for index in range(4)
    ]
    assert np.bincount(group).tolist() == [250] * 4
    assert np.bincount(grouped(np.zeros((999, 3), np.float32))).tolist() == [249, 250, 250, 250]


@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 1000),
    share=st.floats(0.0, 1.0),
    directions=st.sampled_from([None, 2, 8]),
)
@settings(max_examples=40, deadline=None)
def test_closer_finds_exactly_the_rows_that_a_centroid_improves(
    kind: str, seed: int, share: float, directions: int | None
) -> None:
    points, centroids = make(kind, 200, 20, 15, seed)
    labels, squared = brute_force(points, centroids)
    bars = np.full(200, np.quantile(squared, share))
    projection = None if directions is None else Projection.fit(points).narrowed(directions)
    rows, found, distance = closer(points, Centers.prepare(centroids, projection), bars)
    expected = np.flatnonzero(squared_distances(points, centroids, labels.astype(np.int32)) < bars)
    assert rows.tolist() == expected.tolist()
    assert found.tolist() == labels[expected].tolist()
    assert np.allclose(distance, squared[expected], rtol=1e-12)


def test_ties_go_to_the_lowest_index() -> None:
    points = np.array([[0.0, 0.0], [3.0, 0.0]], np.float32)
    centroids = np.array([[2.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]], np.float32)
    assert nearest(points, Centers.prepare(centroids)).tolist() == [1, 0]


@pytest.mark.parametrize("block", [1, 7, 100, 1797])
def test_labels_do_not_depend_on_the_block(block: int) -> None:
    rows, _ = digits()
    projection = Projection.fit(rows).narrowed(12)
    centers = Centers.prepare(rows[::9].copy(), projection)
    whole = nearest(rows, centers)
    parts = [nearest(rows[a : a + block], centers) for a in range(0, len(rows), block)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_a_poor_projection_falls_back_to_all_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = digits()
    monkeypatch.setattr(module, "_MANY", 1)
    centers = Centers.prepare(rows[:200].copy(), Projection.fit(rows).narrowed(1))
    assert centers.projection.basis is not None
    assert nearest(rows, centers).tolist() == brute_force(rows, rows[:200])[0].tolist()


def all_squared(points: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """Squared distances of all pairs, in float64."""
    return np.stack([np.square(points.astype(float) - one).sum(axis=1) for one in others], axis=1)


@given(
    seed=st.integers(0, 1000),
    directions=st.integers(1, 20),
    head=st.integers(0, 20),
    shift=st.floats(-1e3, 1e3),
)
@settings(max_examples=60, deadline=None)
def test_the_projected_score_bounds_the_squared_distance(
    seed: int, directions: int, head: int, shift: float
) -> None:
    points, centroids = make("spread", 100, 40, 20, seed)
    points, centroids = points + np.float32(shift), centroids + np.float32(shift)
    projection = Projection.fit(points).narrowed(directions, head)
    rows = projection.rows(points)
    weights, reach = projection.centers(centroids)
    slack = projection.slack(rows[:, -1], reach)[:, None]
    exact = -0.5 * all_squared(points, centroids)
    scores = (rows @ weights).astype(np.float64)
    assert (scores + slack >= exact).all()
    narrow = (rows[:, projection.tail :] @ weights[projection.tail :]).astype(np.float64)
    assert (narrow + slack >= exact).all()
    later = centroids + np.float32(0.1) * centroids[::-1]
    changes, moved = projection.steps(centroids, later)
    reach = max(reach, projection.centers(later)[1])
    change = -0.5 * all_squared(points, later) - exact
    for center in range(len(centroids)):
        step = np.repeat(moved[center], len(rows))
        spare = projection.step_slack(rows[:, -1], step, reach)
        assert (rows @ changes[center] <= change[:, center] + spare).all()

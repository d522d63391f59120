"""k-means++ in batches, and by rejection, draws what k-means++ one by one draws."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from coresift.clustering import rejection
from coresift.clustering.chains import seed_by_chains
from coresift.clustering.greedy import candidates_of, greedy_plusplus
from coresift.clustering.plusplus import plusplus
from coresift.clustering.projection import Projection
from coresift.clustering.rejection import seed_by_rejection
from coresift.core.memory import Budget
from coresift.core.progress import Silent
from coresift.engine.local import LocalEngine
from coresift.engine.serial import SerialEngine
from coresift.io.store import Scratch
from tests.clustering.rows import Rows
from tests.data import digits


def by_batches(points: NDArray[np.float32], k: int, seed: int) -> list[int]:
    weights = np.ones(len(points))
    projection = Projection.fit(points)
    drawn = plusplus(points, weights, k, seed, projection, SerialEngine(), Silent())
    return [int(index) for index in drawn]


def by_greed(points: NDArray[np.float32], k: int, seed: int) -> list[int]:
    projection = Projection.fit(points)
    drawn = greedy_plusplus(points, k, seed, projection, LocalEngine(2), Silent())
    return [int(index) for index in drawn]


def by_rejection(points: NDArray[np.float32], k: int, seed: int) -> list[int]:
    centers, _ = reject(points, k, seed, step=2)
    return [int(np.flatnonzero((points == center).all(axis=1))[0]) for center in centers]


def reject(
    points: NDArray[np.float32], k: int, seed: int, *, step: int = 500
) -> tuple[NDArray[np.float32], int]:
    with Scratch() as scratch:
        return seed_by_rejection(
            Rows(points, step),
            k,
            seed,
            Projection.fit(points),
            SerialEngine(),
            scratch,
            Budget(8 << 30),
            Silent(),
        )


def by_chains(points: NDArray[np.float32], k: int, seed: int) -> list[int]:
    centers = chain(points, k, seed, step=2)
    return [int(np.flatnonzero((points == center).all(axis=1))[0]) for center in centers]


def chain(
    points: NDArray[np.float32], k: int, seed: int, *, step: int = 500
) -> NDArray[np.float32]:
    with Scratch() as scratch:
        return seed_by_chains(
            Rows(points, step),
            k,
            seed,
            Projection.fit(points),
            SerialEngine(),
            scratch,
            Budget(8 << 30),
            Silent(),
        )


@pytest.mark.parametrize("seeding", [by_batches, by_rejection, by_chains])
def test_draws_follow_the_distribution_of_the_paper(
    seeding: Callable[[NDArray[np.float32], int, int], list[int]],
) -> None:
    points = np.array([[0.0], [1.0], [3.0], [7.0], [7.5], [-2.0]], np.float32)
    exact = points.astype(np.float64)
    expected: dict[tuple[int, ...], float] = {}
    for order in itertools.permutations(range(6), 3):
        probability = 1.0 / 6.0
        for count in (1, 2):
            nearest = np.square(exact - exact[list(order[:count])].T).min(axis=1)
            probability *= nearest[order[count]] / nearest.sum()
        expected[order] = probability
    _fits(expected, [tuple(seeding(points, 3, seed)) for seed in range(4000)])


def test_greedy_draws_follow_the_distribution_of_the_paper() -> None:
    """The best of three candidates drawn by D^2, for two more centers; of equals the first."""
    points = np.array([[0.0], [1.0], [3.0], [7.0], [7.5], [-2.0]], np.float32)
    exact = points.astype(np.float64)
    squared = np.square(exact - exact.T)
    assert candidates_of(3) == 3
    expected: dict[tuple[int, ...], float] = {}
    for first in range(6):
        for second, one in _best_of_three(squared, squared[first]):
            for third, two in _best_of_three(squared, np.minimum(squared[first], squared[second])):
                expected[first, second, third] = one * two / 6.0
    drawn = [tuple(by_greed(points, 3, seed)) for seed in range(4000)]
    _fits(expected, drawn)


def _best_of_three(
    squared: NDArray[np.float64], distance: NDArray[np.float64]
) -> Iterator[tuple[int, float]]:
    """Points, and with which probability each is the best of three candidates."""
    left = np.minimum(squared, distance).sum(axis=1)
    share = distance / distance.sum()
    for point in np.flatnonzero(share):
        worse, equal = share[left > left[point]].sum(), share[left >= left[point]].sum()
        yield int(point), float((equal**3 - worse**3) * share[point] / (equal - worse))


def test_greedy_is_as_good_as_that_of_scikit_learn() -> None:
    from sklearn.cluster import kmeans_plusplus

    points = digits()[0]
    ours, theirs, plain = [], [], []
    for seed in range(12):
        drawn = by_greed(points, 50, seed)
        ours.append(_cost(points, points[drawn]))
        theirs.append(_cost(points, kmeans_plusplus(points, 50, random_state=seed)[0]))
        plain.append(_cost(points, points[by_batches(points, 50, seed)]))
    assert abs(np.mean(ours) / np.mean(theirs) - 1.0) < 0.02
    assert np.mean(ours) < 0.95 * np.mean(plain)


def test_greedy_centers_are_distinct_rows_while_there_are() -> None:
    points = np.repeat(digits()[0][:30], 4, axis=0)
    drawn = by_greed(points, 40, 0)
    assert len(np.unique(drawn)) == 40
    assert len(np.unique(points[drawn[:30]], axis=0)) == 30


def test_weights_count_as_that_many_points() -> None:
    points = np.array([[0.0], [1.0], [3.0]], np.float32)
    weights = np.array([1.0, 2.0, 1.0])
    projection = Projection.fit(points)
    expected: dict[tuple[int, ...], float] = {}
    for first, second in itertools.permutations(range(3), 2):
        mass = weights * np.square(points - points[first])[:, 0]
        expected[first, second] = float(weights[first] / 4.0 * mass[second] / mass.sum())
    drawn = [
        tuple(plusplus(points, weights, 2, seed, projection, SerialEngine(), Silent()).tolist())
        for seed in range(3000)
    ]
    _fits(expected, drawn)


def _fits(expected: Mapping[tuple[int, ...], float], drawn: Sequence[tuple[int, ...]]) -> None:
    """Chi-square; what is expected less than five times counts as one."""
    seen = Counter(drawn)
    runs = len(drawn)
    likely = [order for order, probability in expected.items() if probability * runs >= 5]
    rest = runs - sum(seen[order] for order in likely)
    rest_expected = runs - sum(expected[order] * runs for order in likely)
    observed = [seen[order] for order in likely]
    wanted = [expected[order] * runs for order in likely]
    if rest_expected > 1e-6 * runs:
        observed.append(rest)
        wanted.append(rest_expected)
    assert stats.chisquare(observed, wanted).pvalue > 1e-4


@pytest.mark.parametrize("k", [1, 17, 300])
def test_centers_are_distinct_rows(k: int) -> None:
    points = digits()[0]
    drawn = plusplus(
        points, np.ones(len(points)), k, 0, Projection.fit(points), LocalEngine(2), Silent()
    )
    assert len(drawn) == k
    assert len(np.unique(points[drawn], axis=0)) == k


def test_spread_is_that_of_scikit_learn() -> None:
    from sklearn.cluster import kmeans_plusplus

    points = digits()[0]
    projection = Projection.fit(points)
    ours, theirs = [], []
    for seed in range(12):
        drawn = plusplus(
            points, np.ones(len(points)), 50, seed, projection, LocalEngine(1), Silent()
        )
        ours.append(_cost(points, points[drawn]))
        centers, _ = kmeans_plusplus(points, 50, random_state=seed, n_local_trials=1)
        theirs.append(_cost(points, centers))
    assert abs(np.mean(ours) / np.mean(theirs) - 1.0) < 0.03


def _cost(points: np.ndarray, centers: np.ndarray) -> float:
    squared = np.square(points).sum(axis=1)[:, None] - 2.0 * points @ centers.T
    return float((squared + np.square(centers).sum(axis=1)).min(axis=1).sum())


def test_rejection_spreads_as_sequential_draws_do() -> None:
    """Potentials over 200 seeds have the mean of exact k-means++."""
    points = digits()[0]
    projection = Projection.fit(points)
    ours, exact = [], []
    for seed in range(200):
        ours.append(_cost(points, reject(points, 30, seed)[0]))
        drawn = plusplus(
            points, np.ones(len(points)), 30, seed, projection, SerialEngine(), Silent()
        )
        exact.append(_cost(points, points[drawn]))
    error = np.hypot(np.std(ours), np.std(exact)) / np.sqrt(200)
    assert abs(np.mean(ours) - np.mean(exact)) < 4.0 * error
    assert stats.ks_2samp(ours, exact).pvalue > 1e-4


def test_chains_spread_nearly_as_sequential_draws_do() -> None:
    points = digits()[0]
    projection = Projection.fit(points)
    ours, exact = [], []
    for seed in range(40):
        ours.append(_cost(points, chain(points, 30, seed)))
        drawn = plusplus(
            points, np.ones(len(points)), 30, seed, projection, SerialEngine(), Silent()
        )
        exact.append(_cost(points, points[drawn]))
    error = np.hypot(np.std(ours), np.std(exact)) / np.sqrt(40)
    assert abs(np.mean(ours) - np.mean(exact)) < 4.0 * error


@pytest.mark.parametrize("step", [37, 1000])
def test_chains_do_not_depend_on_the_runs(step: int) -> None:
    points = digits()[0]
    assert np.array_equal(chain(points, 40, 3), chain(points, 40, 3, step=step))


def test_chains_where_all_rows_are_centers() -> None:
    points = np.repeat(np.array([[0.0, 1.0], [5.0, 5.0]], np.float32), 20, axis=0)
    assert len(np.unique(chain(points, 6, 0), axis=0)) == 2


@pytest.mark.parametrize("step", [37, 1000])
def test_rejection_does_not_depend_on_the_runs(step: int) -> None:
    points = digits()[0]
    assert np.array_equal(reject(points, 40, 3)[0], reject(points, 40, 3, step=step)[0])


def test_rejection_gives_up_where_all_rows_are_centers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejection, "_PATIENCE", 50)
    points = np.repeat(np.array([[0.0, 1.0], [5.0, 5.0]], np.float32), 20, axis=0)
    centers, uniform = reject(points, 6, 0)
    assert uniform == 4
    assert len(np.unique(centers[:2], axis=0)) == 2

"""k-means++ in batches draws what k-means++ one by one draws."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from coresift.clustering.plusplus import plusplus
from coresift.clustering.projection import Projection
from coresift.core.progress import Silent
from coresift.engine.local import LocalEngine
from tests.data import digits
from tests.engines import Inline


def test_draws_follow_the_distribution_of_the_paper() -> None:
    points = np.array([[0.0], [1.0], [3.0], [7.0], [7.5]], np.float32)
    weights = np.array([1.0, 2.0, 1.0, 1.0, 1.0])
    projection = Projection.fit(points)
    engine = Inline()
    expected: dict[tuple[int, ...], float] = {}
    for order in itertools.permutations(range(5), 3):
        probability = weights[order[0]] / weights.sum()
        for count in (1, 2):
            nearest = np.square(points - points[list(order[:count])].T).min(axis=1)
            mass = weights * nearest
            probability *= mass[order[count]] / mass.sum()
        expected[order] = probability
    runs = 4000
    seen = dict.fromkeys(expected, 0)
    for seed in range(runs):
        drawn = plusplus(points, weights, 3, seed, projection, engine, Silent())
        seen[tuple(int(index) for index in drawn)] += 1
    likely = [order for order, probability in expected.items() if probability * runs >= 5]
    rest = runs - sum(seen[order] for order in likely)
    rest_expected = runs - sum(expected[order] * runs for order in likely)
    observed = [*(seen[order] for order in likely), rest]
    wanted = [*(expected[order] * runs for order in likely), rest_expected]
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

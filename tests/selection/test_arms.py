"""The bandit by itself: which arms it draws from, and which rows are chosen at the end."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coresift.selection.influences.arms import Bandit, Pull, Rule, entropy


def _sizes(*rows: int) -> NDArray[np.int64]:
    return np.array(rows, np.int64)


def _rule(alpha: float = 0.3, batch: int = 10, reward: str = "hits", top: float = 0.05) -> Rule:
    return Rule(alpha, batch, reward, top)


def _tell(bandit: Bandit, *scores: float) -> None:
    """Scores of the last rows drawn."""
    bandit.tell(np.arange(len(bandit.arm) - len(scores), len(bandit.arm)), np.array(scores))


def test_a_trace_by_hand() -> None:
    """alpha 0.3, one row at a time; the figures are worked out beside it."""
    bandit = Bandit(_sizes(4, 3, 2, 0), _rule(alpha=0.3, batch=1, reward="mean"))
    assert bandit.draw(3) == [Pull(0, 0, 1), Pull(1, 0, 1), Pull(2, 0, 1)]  # the largest first
    _tell(bandit, 1.0, 2.0, 0.0)
    # one row of each: the bounds are as wide, and the highest score wins
    assert bandit.draw(1) == [Pull(1, 1, 2)]
    _tell(bandit, 0.0)
    # means 1, 1, 0; within arm 1: (2 - 1)^2 + (0 - 1)^2 = 2 with 4 - 3 degrees of freedom, so
    # sigma = sqrt(2); sqrt(2 ln 4) = 1.665; the bounds are 1 + 0.3 * 1.414 * 1.665 = 1.706,
    # 1 + 0.706 / sqrt(2) = 1.4996, and 0.706
    mean, width = bandit.beliefs()
    assert mean[:3].tolist() == [1.0, 1.0, 0.0]
    assert width == pytest.approx(1.4142135624)
    assert bandit.draw(1) == [Pull(0, 1, 2)]
    _tell(bandit, -4.0)
    # means -1.5, 1, 0; within: 12.5 + 2 over 5 - 3, sigma = 2.693; sqrt(2 ln 5) = 1.794; 1.449:
    # bounds -1.5 + 1.025 = -0.475; 1 + 1.025 = 2.025; 1.449
    assert bandit.draw(1) == [Pull(1, 2, 3)]
    _tell(bandit, -2.0)
    # arm 1 has no row left; means -1.5, 0, 0; within: 12.5 + 8 over 6 - 3, sigma = 2.614;
    # sqrt(2 ln 6) = 1.893; 1.485: bounds -1.5 + 1.050 = -0.450; 1.485
    assert bandit.draw(1) == [Pull(2, 1, 2)]
    assert bandit.draw(5) == [Pull(0, 2, 3), Pull(0, 3, 4)]  # all that is left
    assert bandit.draw(5) == []


def test_hits_by_hand() -> None:
    """An arm of low mean with a few of the best rows wins over one that is always middling."""
    scores = np.array([5.0, -9.0, -9.0, -9.0, 1.0, 1.0, 1.0, 1.0])
    arm = np.repeat([0, 1], 4)
    next_arm = {}
    for reward in ("mean", "hits"):
        rule = _rule(alpha=0.0, batch=1, reward=reward, top=0.1)
        bandit = Bandit(_sizes(10, 10), rule, arm, scores)
        next_arm[reward] = bandit.draw(1)[0].arm
    assert next_arm == {"mean": 1, "hits": 0}
    assert bandit.level() == 5.0


def _plain_choice(
    bandit: Bandit, arms: list[list[float]], sizes: list[int], alpha: float, level: float
) -> int:
    """The arm of highest bound, written out."""
    rewards = [[float(s >= level) for s in scores] for scores in arms]
    if bandit.rule.reward == "mean":
        rewards = arms
    everything = [r for scores in rewards for r in scores]
    means = [sum(scores) / len(scores) for scores in rewards]
    within = sum((r - m) ** 2 for m, scores in zip(means, rewards, strict=True) for r in scores)
    freedom = len(everything) - len(arms)
    sigma = math.sqrt(within / freedom) if freedom and within > 1e-20 else float(np.std(everything))
    total = sum(map(len, arms))
    bounds = [
        -math.inf
        if len(scores) == size
        else mean + alpha * sigma * math.sqrt(2 * math.log(total) / len(scores))
        for scores, size, mean in zip(arms, sizes, means, strict=True)
    ]
    best = max(bounds)
    near = [i for i, bound in enumerate(bounds) if best - bound < 1e-9]
    return -1 if len(near) > 1 else near[0]  # a tie is decided otherwise


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(2, 8), min_size=2, max_size=5),
    alpha=st.floats(0.0, 2.0),
    reward=st.sampled_from(["mean", "hits"]),
    seed=st.integers(0, 1000),
)
def test_one_row_at_a_time_is_the_formula(
    sizes: list[int], alpha: float, reward: str, seed: int
) -> None:
    random = np.random.default_rng(seed)
    bandit = Bandit(_sizes(*sizes), _rule(alpha=alpha, batch=1, reward=reward, top=0.3))
    arms: list[list[float]] = [[] for _ in sizes]
    for step in range(sum(sizes)):
        level = bandit.level() if step else 0.0
        expected = _plain_choice(bandit, arms, sizes, alpha, level) if all(arms) else -1
        (pull,) = bandit.draw(1)
        assert expected in (-1, pull.arm)
        assert pull.start == len(arms[pull.arm])
        score = float(random.normal())
        arms[pull.arm].append(score)
        _tell(bandit, score)
    assert [len(scores) for scores in arms] == sizes


def _regrets(alpha: float, reward: str, seed: int) -> NDArray[np.float64]:
    """What each draw lost against the best arm, on 20 arms whose means go up to 1."""
    random = np.random.default_rng(seed)
    means = random.permutation(np.linspace(0.0, 1.0, 20))
    bandit = Bandit(np.full(20, 5000), _rule(alpha=alpha, batch=1, reward=reward, top=0.1))
    lost: list[float] = []
    while len(lost) < 3000:
        pulls = bandit.draw(20)
        arms = [pull.arm for pull in pulls]
        _tell(bandit, *(means[arms] + random.normal(size=len(arms)) * 0.5))
        lost.extend(1.0 - means[arms])
    return np.array(lost)


@pytest.mark.parametrize("reward", ["mean", "hits"])
def test_regret_shrinks(reward: str) -> None:
    lost = np.mean([_regrets(0.3, reward, seed) for seed in range(5)], axis=0)
    quarters = lost.reshape(4, -1).mean(axis=1)
    assert quarters[0] < 0.25  # drawn evenly it would be 0.5
    assert quarters[-1] < quarters[0] / 4
    assert quarters[-1] < 0.05


def test_it_does_not_matter_when_scores_are_told() -> None:
    random = np.random.default_rng(3)
    sizes = np.full(6, 100)
    first = Bandit(sizes, _rule(batch=4))
    first.draw(60)
    scores = random.normal(size=60) * 10.0 ** random.integers(-8, 8, 60)
    first.tell(np.arange(60), scores)
    second = Bandit(sizes, first.rule, first.arm)
    for part in np.array_split(random.permutation(60), 7):
        second.tell(part, scores[part])
    assert first.beliefs()[0].tobytes() == second.beliefs()[0].tobytes()
    assert first.draw(100) == second.draw(100)


def test_rows_that_wait_for_their_score_count_as_drawn() -> None:
    bandit = Bandit(np.full(4, 50), _rule(alpha=1.0, batch=5))
    assert [pull.arm for pull in bandit.draw(40)] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert [pull.arm for pull in bandit.draw(20)] == [0, 1, 2, 3]
    bandit.tell(np.flatnonzero(bandit.arm == 2), np.full(15, 3.0))
    bandit.tell(np.flatnonzero(bandit.arm == 1), np.linspace(0.0, 1.0, 15))
    assert bandit.draw(5)[0].arm == 2
    drawn = [pull.arm for pull in bandit.draw(40)]
    assert drawn.count(2) > 2  # and again, without word of the others


@pytest.mark.parametrize("factor", [2.0**1020, 2.0**-1000])
def test_the_size_of_scores_does_not_show(factor: float) -> None:
    seen = []
    for scale in (1.0, factor):
        random = np.random.default_rng(3)
        bandit = Bandit(_sizes(40, 30, 50), _rule(reward="mean"))
        pulls = []
        for _ in range(6):
            before = len(bandit.arm)
            pulls += bandit.draw(15)
            scores = random.normal(bandit.arm[before:], 1.0)
            bandit.tell(np.arange(before, len(bandit.arm)), scores * scale)
        chosen = bandit.choose(20, np.arange(len(bandit.arm)), 0.4)
        seen.append((pulls, chosen.tolist()))
    assert seen[0] == seen[1]


def test_every_row_is_drawn_once() -> None:
    sizes = _sizes(0, 7, 1, 0, 30)
    bandit = Bandit(sizes, _rule(batch=4))
    places = set()
    while pulls := bandit.draw(5):
        assert sum(pull.stop - pull.start for pull in pulls) <= 5
        for pull in pulls:
            places |= {(pull.arm, place) for place in range(pull.start, pull.stop)}
        _tell(bandit, *np.zeros(sum(pull.stop - pull.start for pull in pulls)))
    assert len(places) == 38
    assert bandit.left == 0


def test_the_level_is_that_of_all_rows() -> None:
    """Arm 0 stands for 900 rows and arm 1 for 100, whatever was drawn of them."""
    arm = np.repeat([0, 1], [10, 100])
    score = np.concatenate([np.arange(10.0), 100.0 + np.arange(100.0)])
    bandit = Bandit(_sizes(900, 100), _rule(top=0.05), arm, score)
    assert bandit.level() == 150.0
    bandit = Bandit(_sizes(900, 100), _rule(top=0.28), arm, score)
    assert bandit.level() == 8.0  # 10% are above 100, and each of arm 0 is 9%


@pytest.mark.parametrize("diversity", [0.0, 0.3, 2.0])
def test_chosen_as_by_a_greedy_that_counts(diversity: float) -> None:
    random = np.random.default_rng(5)
    arm = random.choice(8, 400, p=np.arange(1, 9) / 36)
    score = random.normal(size=400) + arm / 4.0
    bandit = Bandit(np.full(8, 1000), _rule(), arm, score)
    rows = random.permutation(10_000)[:400]
    n = 60
    mean = np.bincount(arm, score) / np.bincount(arm)
    width = math.sqrt(((score - mean[arm]) ** 2).sum() / (400 - 8))
    taken: list[int] = []
    while len(taken) < n:
        have = np.bincount(arm[taken], minlength=8) if taken else np.zeros(8)
        value = score + diversity * width * np.sqrt((n / 8) / (have[arm] + 1))
        value[taken] = -np.inf
        taken.append(int(value.argmax()))
    assert bandit.choose(n, rows, diversity).tolist() == taken


def test_chosen_above_the_threshold_first() -> None:
    arm = np.array([0, 0, 0, 1, 1])
    score = np.array([9.0, 8.0, 7.0, 1.0, 0.0])
    bandit = Bandit(_sizes(10, 10), _rule(), arm, score)
    rows = np.arange(5)
    assert bandit.choose(3, rows, 50.0).tolist() != [0, 1, 2]
    assert sorted(bandit.choose(3, rows, 50.0, 6.5).tolist()) == [0, 1, 2]
    assert bandit.choose(4, rows, 50.0, 6.5)[-1] == 3


def test_entropy() -> None:
    assert entropy(np.array([3, 3, 3])) == 0.0
    assert entropy(np.arange(8)) == pytest.approx(math.log(8))
    assert entropy(np.empty(0, np.int64)) == 0.0

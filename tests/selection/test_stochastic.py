"""Rows drawn by their scores: against exact distributions, limits and plain forms."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coresift.core import randomness
from coresift.core.errors import InputError, ParameterError
from coresift.selection.draws import ranking
from tests.data import vector_table, write_dump
from tests.selection.choosing import choose
from tests.selection.saved import write_clustering

TRIALS = 4000
SCORES = np.array([3.0, 0.5, 1.0, 0.5, 2.0])


def _dump(folder: Path, files: int = 2, **columns: Any) -> Path:
    rows = len(next(iter(columns.values())))
    table = vector_table(np.ones((rows, 2), np.float32), **columns)
    return write_dump(folder / "dump", table, files=files)


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same few rows again and again: noise is by row, so each group is a draw of its own."""
    trial = np.repeat(np.arange(TRIALS), len(SCORES))
    return _dump(tmp_path_factory.mktemp("trials"), value=np.tile(SCORES, TRIALS), trial=trial)


def _one_after_the_other(chances: NDArray[np.float64], size: int) -> dict[tuple[int, ...], float]:
    """Probability of each sequence of draws without replacement."""
    found = {}
    for drawn in permutations(range(len(chances)), size):
        probability, left = 1.0, float(chances.sum())
        for row in drawn:
            probability *= chances[row] / left
            left -= chances[row]
        found[drawn] = probability
    return found


@pytest.mark.parametrize("coldness", [0.0, 0.5, 1.0, 2.5])
@pytest.mark.parametrize(
    ("draw", "odds"),
    [
        ("power", SCORES),
        ("softmax", np.exp(SCORES)),
        # ties go to the first row
        ("softrank", 1.0 / np.array([1.0, 4.0, 3.0, 5.0, 2.0])),
    ],
)
def test_draws_are_those_made_one_after_the_other(
    draw: str, odds: NDArray[np.float64], coldness: float, trials: Path
) -> None:
    from scipy.stats import chisquare

    params = {"score": "value", "draw": draw, "coldness": coldness, "per": "trial"}
    chosen = choose("stochastic", trials, 2, params, seed=11)
    assert chosen.rank is not None
    assert chosen.rank.tolist().count(0) == TRIALS
    order = np.lexsort((chosen.rank, chosen.rows // len(SCORES)))
    pairs = (chosen.rows[order] % len(SCORES)).reshape(TRIALS, 2)
    expected = _one_after_the_other(odds**coldness, 2)
    counts = [int((pairs == drawn).all(axis=1).sum()) for drawn in expected]
    assert chisquare(counts, [TRIALS * p for p in expected.values()]).pvalue > 1e-3
    included = [int((pairs == row).sum()) for row in range(len(SCORES))]
    inclusion = [sum(p for d, p in expected.items() if row in d) for row in range(len(SCORES))]
    assert included == pytest.approx(np.multiply(TRIALS, inclusion), abs=4 * TRIALS**0.5 / 2)


def test_another_coldness_would_be_told_apart(trials: Path) -> None:
    from scipy.stats import chisquare

    params = {"score": "value", "draw": "power", "coldness": 1.25, "per": "trial"}
    chosen = choose("stochastic", trials, 1, params)
    counts = np.bincount(chosen.rows % len(SCORES), minlength=len(SCORES))
    assert chisquare(counts, TRIALS * SCORES / SCORES.sum()).pvalue < 1e-3
    expected = SCORES**1.25 / (SCORES**1.25).sum()
    assert chisquare(counts, TRIALS * expected).pvalue > 1e-3


def _scores() -> NDArray[np.float64]:
    return np.random.default_rng(1).integers(1, 80, 500) / 8.0


@pytest.mark.parametrize(
    ("draw", "lowest"),
    [("power", False), *((draw, low) for draw in ("softmax", "softrank") for low in (False, True))],
)
def test_a_large_coldness_takes_the_best(draw: str, lowest: bool, tmp_path: Path) -> None:
    source = _dump(tmp_path, value=_scores())
    params = {"score": "value", "lowest": lowest}
    best = choose("top-k", source, 60, params)
    cold = choose("stochastic", source, 60, {**params, "draw": draw, "coldness": 1e300})
    assert cold.rows.tolist() == best.rows.tolist()
    assert cold.rank is not None
    assert best.rank is not None
    assert cold.rank.tolist() == best.rank.tolist()
    assert (cold.weight == 1.0).all()


@pytest.mark.parametrize("draw", ["power", "softmax", "softrank"])
def test_without_coldness_the_scores_do_not_matter(draw: str, tmp_path: Path) -> None:
    source = _dump(tmp_path, value=_scores())
    drawn = choose("stochastic", source, 60, {"score": "value", "draw": draw, "coldness": 0})
    even = {"score": "value", "draw": "threshold", "threshold": -1}
    assert drawn.rows.tolist() == choose("top-k", source, 60, even).rows.tolist()


@pytest.mark.parametrize("draw", ["power", "softmax", "softrank"])
def test_a_larger_size_keeps_the_rows_of_a_smaller_one(draw: str, tmp_path: Path) -> None:
    source = _dump(tmp_path, value=_scores())
    params = {"score": "value", "draw": draw}
    some, more = (choose("stochastic", source, size, params, seed=3) for size in (20, 90))
    assert some.rank is not None
    assert more.rank is not None
    first = more.rank < 20
    assert some.rows.tolist() == more.rows[first].tolist()
    assert some.rank.tolist() == more.rank[first].tolist()


def test_softrank_goes_by_the_order_alone(tmp_path: Path) -> None:
    value = _scores()
    source = _dump(tmp_path, value=value, other=np.exp(value), third=np.log(value) - 1e6)
    rows = [
        choose("stochastic", source, 40, {"score": name, "draw": "softrank"}).rows.tolist()
        for name in ("value", "other", "third")
    ]
    assert rows[0] == rows[1] == rows[2]
    infinite = np.where(value > 9.0, np.inf, value)
    source = _dump(tmp_path / "b", value=infinite)
    assert len(choose("stochastic", source, 40, {"score": "value", "draw": "softrank"}).rows) == 40


def _plain_softrank(
    score: NDArray[np.float64], rows: NDArray[np.int64], size: int, coldness: float, seed: int
) -> list[int]:
    """Rows in the order in which they are drawn, by ranks that are all held; lowest first."""
    rank = np.empty(len(rows))
    rank[np.lexsort((rows, score))] = np.arange(1, len(rows) + 1)
    noise = -np.log(-np.log(randomness.uniform(seed, "draw", rows)))
    return [int(row) for row in rows[np.argsort(coldness * np.log(rank) - noise)[:size]]]


@pytest.mark.parametrize("sample", [1, 2, 30, 499, 500])
@pytest.mark.parametrize(("size", "coldness"), [(1, 1.0), (40, 0.3), (40, 4.0), (500, 1.0)])
def test_softrank_from_a_sample_is_exact(
    sample: int, size: int, coldness: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "_SAMPLE", sample)
    value, kind = _scores(), np.arange(500) % 7 % 3
    source = _dump(tmp_path, files=3, value=value, kind=kind)
    params = {"score": "value", "draw": "softrank", "coldness": coldness, "lowest": True}
    chosen = choose("stochastic", source, size, params, seed=5)
    assert chosen.rank is not None
    every = np.arange(500)
    expected = _plain_softrank(value, every, size, coldness, 5)
    assert chosen.rows[np.argsort(chosen.rank)].tolist() == expected
    reached = every[value <= 8.0]
    params["threshold"] = 8
    chosen = choose("stochastic", source, "50%", params, seed=5)
    half = (len(reached) + 1) // 2
    assert chosen.rows.tolist() == sorted(
        _plain_softrank(value[reached], reached, half, coldness, 5)
    )
    chosen = choose("stochastic", source, size, {**params, "per": "kind"}, seed=5)
    expected = []
    for group in range(3):
        of = reached[kind[reached] == group]
        expected += _plain_softrank(value[of], of, min(size, len(of)), coldness, 5)
    assert chosen.rows.tolist() == sorted(expected)


def test_softrank_holds_few_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ordered: list[int] = []

    class Watched(ranking._Order):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            ordered.append(len(self))

    monkeypatch.setattr(ranking, "_Order", Watched)
    monkeypatch.setattr(ranking, "_SAMPLE", 1000)
    source = _dump(tmp_path, value=np.random.default_rng(2).normal(size=50_000))
    choose("stochastic", source, 2000, {"score": "value", "draw": "softrank"})
    assert ordered[0] == 1000
    assert 2000 <= ordered[1] < 2300


def test_rows_of_score_zero_come_last(tmp_path: Path) -> None:
    value = np.zeros(200)
    value[50:60] = [1e-300, 1e300, *[1.0] * 8]
    source = _dump(tmp_path, value=value)
    firsts = []
    for seed in range(20):
        params = {"score": "value", "draw": "power", "coldness": 0.01}
        chosen = choose("stochastic", source, 30, params, seed=seed)
        assert chosen.rank is not None
        order = chosen.rows[np.argsort(chosen.rank)]
        assert sorted(order[:10]) == list(range(50, 60))
        firsts.append(int(order[10]))
    assert len(set(firsts)) > 15


@pytest.mark.parametrize(
    ("value", "draw", "message"),
    [
        (-3.0, "power", "is -3, and --draw power needs scores of 0 or more"),
        (-3.0, "weighted", "is -3, and --draw weighted needs scores of 0 or more"),
        (np.inf, "power", "is inf, and --draw power needs finite scores"),
        (np.inf, "weighted", "is inf, and --draw weighted needs finite scores"),
        (-np.inf, "softmax", "is -inf, and --draw softmax needs finite scores"),
        (np.nan, "softrank", "is null or not a number"),
    ],
)
def test_scores_that_cannot_be_drawn_by(
    value: float, draw: str, message: str, tmp_path: Path
) -> None:
    source = _dump(tmp_path, value=[1.0, 2.0, 3.0, 4.0, value, value])
    with pytest.raises(InputError) as caught:
        choose("top-k", source, 2, {"score": "value", "draw": draw})
    place = f"{source}/emb-001.parquet: row 1 of the file (row 4): --score 'value' "
    assert caught.value.message == place + message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        (
            "stochastic",
            {"score": "value", "lowest": True},
            "--draw power draws in proportion to the score, and low ones are preferred",
        ),
        (
            "top-k",
            {"score": "value", "lowest": True, "draw": "weighted"},
            "--draw weighted draws in proportion to the score, and low ones are preferred",
        ),
        (
            "top-k",
            {"score": "value", "per": "value", "draw": "weighted"},
            "--draw weighted draws from all rows together, not by group",
        ),
        (
            "prototypes",
            {"floor": 1, "draw": "weighted"},
            "--draw weighted draws from all rows together, not by group",
        ),
        (
            "prototypes",
            {"order": "easy", "draw": "power"},
            "--draw power draws in proportion to the score, and low ones are preferred",
        ),
    ],
)
def test_rules_that_do_not_go_with_what_is_asked(
    method: str, params: dict[str, object], message: str, tmp_path: Path
) -> None:
    source = _dump(tmp_path, value=[1.0, 2.0, 3.0])
    clusters = write_clustering(tmp_path / "clusters", source, np.zeros((1, 2)))
    clustering = clusters if method == "prototypes" else None
    with pytest.raises(ParameterError) as caught:
        choose(method, source, 2, params, clustering=clustering)
    assert caught.value.message == message


def test_threshold_draws_evenly_from_those_that_reach_it(tmp_path: Path) -> None:
    value = _scores()
    source = _dump(tmp_path, value=value)
    params = {"score": "value", "draw": "threshold", "threshold": 5}
    reached = np.flatnonzero(value >= 5)
    every = choose("top-k", source, None, params)
    assert every.rows.tolist() == reached.tolist()
    drawn = np.zeros(500, np.int64)
    for seed in range(200):
        chosen = choose("top-k", source, len(reached) // 4, params, seed=seed)
        drawn[chosen.rows] += 1
    assert drawn[value < 5].sum() == 0
    assert abs(np.corrcoef(drawn[reached], value[reached])[0, 1]) < 0.2
    assert drawn[reached].min() > 50 - 5 * 6.1
    assert drawn[reached].max() < 50 + 5 * 6.1


def test_weighted_is_in_proportion_and_unbiased(tmp_path: Path) -> None:
    value = np.concatenate([[400.0, 90.0], _scores()[:98]])
    source = _dump(tmp_path, value=value)
    params = {"score": "value", "draw": "weighted"}
    # of the others 18 are drawn
    inclusion = 18 * value / value[2:].sum()
    inclusion[:2] = 1.0
    sums = []
    for seed in range(150):
        chosen = choose("top-k", source, 20, params, seed=seed)
        assert chosen.resolved == {"certain_rows": 2}
        assert chosen.score is not None
        assert chosen.score.tolist() == value[chosen.rows].tolist()
        assert chosen.weight == pytest.approx(1.0 / inclusion[chosen.rows])
        assert len(chosen.rows) == 20
        sums.append(chosen.weight.sum())
    assert chosen.rank is not None
    best = np.lexsort((chosen.rows, -value[chosen.rows]))
    assert np.argsort(chosen.rank).tolist() == best.tolist()
    assert np.mean(sums) == pytest.approx(100.0, abs=4 * np.std(sums) / 150**0.5)


def test_weighted_at_the_ends_of_the_numbers(tmp_path: Path) -> None:
    for scale in (1e308, 1e-318):
        source = _dump(tmp_path / f"{scale}", value=np.array([1.0, 0.5, 0.0, 0.25, 0.0]) * scale)
        chosen = choose("top-k", source, 2, {"score": "value", "draw": "weighted"})
        assert 0 in chosen.rows
        assert set(chosen.rows) <= {0, 1, 3}
        more = choose("top-k", source, 4, {"score": "value", "draw": "weighted"})
        assert {0, 1, 3} < set(more.rows)
        assert more.notes == (
            "only 3 rows have a score above zero: all were taken, and 1 of the others drawn "
            "uniformly",
        )


RULES: list[dict[str, object]] = [
    {"draw": "top"},
    {"draw": "power", "coldness": 2},
    {"draw": "softmax"},
    {"draw": "softrank"},
    {"draw": "weighted"},
    {"draw": "threshold", "threshold": 0.8},
    {"draw": "softmax", "threshold": 0.8},
]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("line")
    distance = np.random.default_rng(4).exponential(size=300).astype(np.float32)
    vectors = np.stack([distance, np.zeros(300, np.float32)], axis=1)
    table = vector_table(vectors, value=distance.astype(np.float64))
    source = write_dump(folder / "emb", table, files=3)
    return source, write_clustering(folder / "clusters", source, np.zeros((1, 2)))


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_prototypes_draw_as_a_column_of_distances_would(
    rule: dict[str, object], line: tuple[Path, Path]
) -> None:
    source, clusters = line
    params = {"score": "value", **rule}
    of_column = choose("top-k", source, 25, params)
    chosen = choose("prototypes", source, 25, rule, clustering=clusters)
    assert chosen.rows.tolist() == of_column.rows.tolist()
    assert chosen.weight.tolist() == of_column.weight.tolist()
    assert chosen.score is not None
    assert chosen.rank is not None
    assert of_column.rank is not None
    assert chosen.rank.tolist() == of_column.rank.tolist()


@pytest.mark.parametrize("draw", ["power", "softrank"])
def test_a_floor_under_random_draws(
    draw: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows near a centroid are hardly ever drawn; half of an even cut is theirs all the same."""
    near = np.stack([np.zeros(80), np.arange(1, 81) * 1e-9], axis=1)
    far = np.stack([np.full(20, 100.0), 10.0 + np.arange(20)], axis=1)
    source = write_dump(
        tmp_path / "emb", vector_table(np.concatenate([near, far]).astype(np.float32))
    )
    clusters = write_clustering(tmp_path / "c", source, np.array([[0.0, 0.0], [100.0, 0.0]]))
    params: dict[str, object] = {"draw": draw, "floor": 0.5, "coldness": 5}
    chosen = choose("prototypes", source, 10, params, clustering=clusters)
    assert int((chosen.rows < 80).sum()) == 4
    assert chosen.resolved == {"groups": 2, "kept_by_floor": 5}
    monkeypatch.setattr(ranking, "_SAMPLE", 7)
    again = choose("prototypes", source, 10, params, clustering=clusters)
    assert again.rows.tolist() == chosen.rows.tolist()

"""Products of gradients: how far float32 may be off, and float64 where it counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coresift.core.errors import ResourceError
from coresift.core.memory import Budget
from coresift.influence import products
from coresift.influence.kfac import Layer
from coresift.influence.products import Dense, Products
from coresift.influence.scores import Scoring, together
from coresift.influence.turns import take_turns
from tests.influence.given import Array, decaying, lent


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    dim=st.integers(1, 70),
    spread=st.floats(0.0, 12.0),
    cosine=st.booleans(),
)
def test_rough_values_are_no_farther_off_than_they_say(
    seed: int, dim: int, spread: float, cosine: bool
) -> None:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(40, dim)) * np.exp(spread * random.normal(size=(40, dim)) / 3)
    targets = random.normal(size=(9, dim))
    term = Dense(Array(rows), targets, cosine=cosine)
    values, off = term.rough(0, 40)
    assert (np.abs(values - term.read(0, 40)) <= off[:, None]).all()


def test_a_row_is_scored_the_same_whatever_is_beside_it() -> None:
    rows, random = decaying(700, 50), np.random.default_rng(0)
    for targets in (1, 3, 40):
        term = Dense(Array(rows), random.normal(size=(targets, 50)), cosine=False)
        whole = term.read(0, 700)
        assert np.array_equal(term.read(13, 411), whole[13:411])
        some = np.sort(random.permutation(700)[:111])
        assert np.array_equal(term.take(some), whole[some])


class _Counted(Array):
    """The most rows that were read together."""

    most = 0

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        self.most = max(self.most, stop - start)
        return super().read(start, stop)

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        self.most = max(self.most, len(rows))
        return super().take(rows)


def test_of_wide_gradients_fewer_rows_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    values, targets = decaying(1000, 50), decaying(6, 50, 1).astype(np.float64)
    whole = Dense(Array(values), targets, cosine=True)
    monkeypatch.setattr(products, "_READ_BYTES", 4 * 50 * 2 * products.TILE + 8)
    source = _Counted(values)
    term = Dense(source, targets, cosine=True)
    assert np.array_equal(term.read(7, 990), whole.read(7, 990))
    rows = np.arange(0, 1000, 2)
    assert np.array_equal(term.take(rows), whole.take(rows))
    found, off = term.rough(7, 990)
    assert (np.abs(found - whole.read(7, 990)) <= off[:, None]).all()
    assert source.most == 2 * products.TILE


def test_zero_gradients_have_no_influence_under_cosine() -> None:
    rows = decaying(10, 4)
    rows[3] = 0.0
    found = Dense(Array(rows), np.ones((2, 4)), cosine=True).read(0, 10)
    assert found[3].tolist() == [0.0, 0.0]
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    expected = rows.sum(axis=1, keepdims=True) / np.where(lengths > 0.0, lengths, 1.0)
    assert np.allclose(found, np.broadcast_to(expected, (10, 2)), rtol=1e-5)


@pytest.mark.parametrize("cosine", [False, True])
def test_a_layer_gives_what_its_whole_gradients_give(cosine: bool) -> None:
    inputs, outputs = decaying(300, 6), decaying(300, 4, 1)
    gradients = np.einsum("ri,rj->rij", outputs, inputs).reshape(300, 24)
    targets = np.random.default_rng(2).normal(size=(3, 4, 6))
    layer = Layer(Array(inputs), Array(outputs), targets, cosine=cosine)
    dense = Dense(Array(gradients), targets.reshape(3, 24), cosine=cosine)
    assert np.allclose(layer.read(0, 300), dense.read(0, 300), rtol=1e-4, atol=1e-6)
    rows = np.array([2, 9, 250])
    assert np.array_equal(layer.take(rows), layer.read(0, 300)[rows])


def test_the_best_are_settled_in_float64_and_ties_stay_ties() -> None:
    """Of 1,500 rows three in a row are equal but for less than float32 tells."""
    random = np.random.default_rng(3)
    base = random.normal(size=(500, 32)).astype(np.float32)
    rows = np.repeat(base, 3, axis=0)
    rows[1::3, 0] = np.nextafter(rows[1::3, 0], np.float32(9))
    targets = random.normal(size=(60, 32))
    influence = Products([Dense(Array(rows), targets, cosine=False)])
    exact = (rows.astype(np.float64) @ targets.T).max(axis=1)
    with lent() as context:
        scoring = Scoring(influence, "max", context)
        scoring.roughly()
        assert (np.abs(scoring.score - exact) <= scoring.off).all()
        assert (scoring.score != exact).any()
        scoring.settle_best(np.arange(1500), 100)
        whole = Scoring(influence, "max", context)
        whole.exactly()
    best = np.lexsort((np.arange(1500), -scoring.score))[:100]
    assert np.array_equal(best, np.lexsort((np.arange(1500), -whole.score))[:100])
    assert np.allclose(scoring.score[best], exact[best], rtol=1e-13)
    settled = scoring.off == 0.0
    assert 100 <= np.count_nonzero(settled) < 200


def test_more_targets_than_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    influence = Products([Dense(Array(np.ones((5, 1))), np.ones((30_000, 1)), cosine=False)])
    with lent() as context:
        monkeypatch.setattr(Budget, "left", lambda _: 1 << 30)
        with pytest.raises(
            ResourceError, match=r"^the influence of 2,048 rows at a time on 30,000"
        ):
            Scoring(influence, "max", context)
        with pytest.raises(
            ResourceError, match=r"^the influence of 2,048 rows at a time on 30,000"
        ):
            take_turns(influence, np.arange(5), 2, context)


def test_together() -> None:
    values = np.array([[1.0, 5.0], [3.0, 2.0]])
    assert together(values, "mean").tolist() == [3.0, 2.5]
    assert together(values, "max").tolist() == [5.0, 3.0]


@pytest.mark.parametrize("n", [1, 7, 40, 60])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_turns_are_those_of_the_plain_loop(n: int, sign: float) -> None:
    """Targets 0 and 1 are alike, so that each finds the other's rows taken; some rows are equal."""
    random = np.random.default_rng(4)
    rows = np.round(random.normal(size=(64, 5)), 1)
    rows[40:50] = rows[30:40]
    targets = np.round(random.normal(size=(4, 5)), 1)
    targets[1] = targets[0]
    there = np.setdiff1d(np.arange(64), [5, 6, 7, 63])
    values = Dense(Array(rows), targets, cosine=False).read(0, 64)
    taken: list[int] = []
    for turn in range(n):
        order = np.lexsort((there, -sign * values[there, turn % 4]))
        taken.append(next(int(row) for row in there[order] if row not in taken))
    influence = Products([Dense(Array(rows), targets, cosine=False)])
    with lent() as context:
        found, score = take_turns(influence, there, n, context, sign)
    assert found.tolist() == taken
    assert np.array_equal(score, values[taken, np.arange(n) % 4])

"""Draws in proportion to masses: probabilities, counts, and unbiased weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coresift.core.errors import ParameterError
from coresift.core.randomness import generator
from coresift.selection.draws.drawing import (
    MassBlock,
    Masses,
    draw_distinct,
    draw_replacing,
    hits,
    inclusion,
    systematic_points,
)
from tests.data import digits


def streamed(mass: NDArray[np.float64], bounds: Sequence[int] = ()) -> Masses:
    """Masses in blocks that end at ``bounds``."""
    edges = [0, *bounds, len(mass)]

    def masses() -> Iterator[MassBlock]:
        for start, stop in pairwise(edges):
            rows = np.arange(start, stop, dtype=np.int64)
            yield MassBlock(rows, mass[start:stop], (rows % 7).astype(np.int32))

    return masses


def exact_inclusion(mass: Sequence[float], size: int) -> list[Fraction]:
    """Probabilities by definition: take out rows at 1 until none is beyond it."""
    exact = [Fraction(value) for value in mass]
    certain: set[int] = set()
    while True:
        left = sum(value for i, value in enumerate(exact) if i not in certain)
        scale = (size - len(certain)) / left if left else Fraction(0)
        beyond = {i for i, v in enumerate(exact) if i not in certain and scale * v > 1}
        if not beyond:
            return [Fraction(1) if i in certain else scale * v for i, v in enumerate(exact)]
        certain |= beyond


masses_and_size = st.lists(
    st.one_of(st.floats(1e-6, 1e6), st.sampled_from([1.0, 2.0, 1e12])), min_size=1, max_size=40
).flatmap(lambda mass: st.tuples(st.just(mass), st.integers(1, len(mass))))


@given(masses_and_size)
def test_inclusion_is_min_one_c_mass_and_sums_to_the_size(case: tuple[list[float], int]) -> None:
    mass, size = case
    solved = inclusion(streamed(np.array(mass)), size)
    probability = solved.probability(solved.scale.integers(np.array(mass)))
    assert probability.max() <= 1.0
    assert probability.min() > 0.0
    assert probability.sum() == pytest.approx(size, rel=1e-12)
    expected = np.array([float(value) for value in exact_inclusion(mass, size)])
    np.testing.assert_allclose(probability, expected, rtol=1e-6, atol=1e-15)


@given(masses_and_size, st.integers(0, 2**32))
def test_exactly_the_size_is_drawn_without_repeats(
    case: tuple[list[float], int], seed: int
) -> None:
    mass, size = case
    drawn = draw_distinct(streamed(np.array(mass)), size, generator(seed, "test"))
    assert len(drawn.rows) == size
    assert (np.diff(drawn.rows) > 0).all()
    np.testing.assert_allclose(drawn.weight * drawn.expected, 1.0)
    np.testing.assert_array_equal(drawn.cluster, drawn.rows % 7)


@given(
    st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0, 1e9]), min_size=2, max_size=30),
    st.data(),
)
def test_how_rows_are_split_does_not_matter(mass: list[float], data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(mass)))
    bounds = sorted(data.draw(st.lists(st.integers(0, len(mass)), max_size=4)))
    for draw in (draw_distinct, draw_replacing):
        whole = draw(streamed(np.array(mass)), size, generator(3, "test"))
        split = draw(streamed(np.array(mass), bounds), size, generator(3, "test"))
        np.testing.assert_array_equal(whole.rows, split.rows)
        np.testing.assert_array_equal(whole.weight, split.weight)


@given(st.integers(1, 2**61 - 1), st.integers(1, 2000), st.integers(0, 2**61))
def test_systematic_points_are_those_of_exact_arithmetic(
    line: int, points: int, offset: int
) -> None:
    offset %= line
    expected = [(j * line + offset) // points for j in range(points)]
    assert systematic_points(line, points, offset).tolist() == expected


def test_a_point_falls_on_the_row_that_begins_there() -> None:
    points = np.array([3, 10, 11, 12, 14, 15])
    found, stop = hits(np.array([0, 2, 0, 3]), 10, points)
    assert found.tolist() == [1, 1, 3, 3]
    assert stop == 15
    nothing, stop = hits(np.array([], np.int64), 10, points)
    assert (len(nothing), stop) == (0, 10)


def test_frequency_of_inclusion_is_the_probability() -> None:
    mass = np.array([0.1, 3.0, 0.7, 0.7, 40.0, 1.5, 0.2, 2.2])
    solved = inclusion(streamed(mass), 4)
    probability = solved.probability(solved.scale.integers(mass))
    draws = 4000
    counts = np.zeros(len(mass))
    for seed in range(draws):
        counts[draw_distinct(streamed(mass), 4, generator(seed, "test")).rows] += 1
    error = np.sqrt(probability * (1 - probability) / draws)
    assert counts[4] == draws
    assert (np.abs(counts / draws - probability) <= 4 * error).all()


def test_outlier_of_any_size_leaves_the_others_their_proportions() -> None:
    mass = np.array([1e300, 1.0, 2.0, 3.0])
    solved = inclusion(streamed(mass), 2)
    probability = solved.probability(solved.scale.integers(mass))
    np.testing.assert_allclose(probability, [1.0, 1 / 6, 2 / 6, 3 / 6], rtol=1e-12)


def test_more_rows_than_positive_masses_are_filled_uniformly() -> None:
    mass = np.array([0.0, 5.0, 0.0, 1e-9, 0.0, 0.0])
    drawn = draw_distinct(streamed(mass), 4, generator(0, "test"))
    assert drawn.filled == 2
    assert {1, 3} <= set(drawn.rows.tolist())
    weight = dict(zip(drawn.rows.tolist(), drawn.weight.tolist(), strict=True))
    assert weight.pop(1) == weight.pop(3) == 1.0
    assert list(weight.values()) == pytest.approx([2.0, 2.0])


def test_zero_masses_are_drawn_uniformly_with_replacement() -> None:
    drawn = draw_replacing(streamed(np.zeros(10)), 5, generator(0, "test"))
    assert drawn.filled == 5
    assert drawn.weight.sum() == pytest.approx(10.0)


def test_overflow_is_refused() -> None:
    for draw in (draw_distinct, draw_replacing):
        with pytest.raises(ParameterError, match="the probabilities overflow"):
            draw(streamed(np.array([np.inf, 1.0, 1.0])), 1, generator(0, "test"))


def test_merged_repeats_keep_the_papers_weights() -> None:
    mass = np.array([8.0, 1.0, 1.0])
    drawn = draw_replacing(streamed(mass), 20, generator(1, "test"))
    np.testing.assert_allclose(drawn.expected, 20 * mass[drawn.rows] / 10)
    times = drawn.weight * drawn.expected
    np.testing.assert_allclose(times, np.rint(times))
    assert times.sum() == pytest.approx(20)


@pytest.mark.parametrize("draw", [draw_distinct, draw_replacing])
def test_weighted_sums_are_unbiased_on_digits(draw: object) -> None:
    assert callable(draw)
    vectors, _ = digits()
    values = vectors.sum(axis=1, dtype=np.float64)
    mass = ((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1).astype(np.float64)
    estimates = np.empty((2000, 2))
    for seed in range(2000):
        drawn = draw(streamed(mass), 60, generator(seed, "test"))
        estimates[seed] = (drawn.weight * values[drawn.rows]).sum(), drawn.weight.sum()
    error = estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates))
    distance = np.abs(estimates.mean(axis=0) - [values.sum(), len(values)])
    assert (distance <= 3 * error).all()


@settings(deadline=None)
@given(st.integers(1, 5))
def test_certain_rows_weigh_one(outliers: int) -> None:
    mass = np.ones(50)
    mass[:outliers] = 1e6
    drawn = draw_distinct(streamed(mass), 10, generator(0, "test"))
    assert drawn.certain == outliers
    assert drawn.rows[:outliers].tolist() == list(range(outliers))
    assert (drawn.weight[:outliers] == 1.0).all()


@settings(max_examples=30, deadline=None)
@given(
    mass=st.lists(st.floats(0.01, 50.0), min_size=4, max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=4),
    seed=st.integers(0, 1000),
)
def test_strata_lie_one_after_the_other(mass: list[float], cuts: list[int], seed: int) -> None:
    """As if the rows had come in that order, however they come."""
    masses = np.array(mass)
    count = len(masses)
    stratum = generator(seed, "strata").integers(0, 3, count)
    order = np.lexsort((np.arange(count), stratum))
    n = 1 + count // 3
    sorted_rows = MassBlock(np.arange(count), masses[order], np.zeros(count, np.int32))
    expected = draw_distinct(lambda: iter([sorted_rows]), n, generator(seed, "start"))
    bounds = [0, *sorted(min(cut, count) for cut in cuts), count]

    def streamed_blocks() -> Iterator[MassBlock]:
        for low, high in pairwise(bounds):
            rows = np.arange(low, high)
            yield MassBlock(rows, masses[rows], np.zeros(len(rows), np.int32), stratum[rows])

    found = draw_distinct(streamed_blocks, n, generator(seed, "start"), strata=3)
    assert found.rows.tolist() == np.sort(order[expected.rows]).tolist()
    np.testing.assert_array_equal(
        found.expected, expected.expected[np.argsort(order[expected.rows])]
    )

"""Sizes, exact sums, randomness by row, and the ordered map."""

from __future__ import annotations

import threading
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from coresift.core import randomness
from coresift.core.errors import ParameterError
from coresift.core.exact import Quantum
from coresift.core.size import Size, format_bytes, parse_bytes
from coresift.engine.local import LocalEngine


@given(rows=st.integers(1, 10**12), percent=st.fractions(Fraction(1, 1000), 100))
def test_a_share_is_rounded_to_the_nearest_row(rows: int, percent: Fraction) -> None:
    found = Size(share=percent / 100).resolve(rows)
    assert 1 <= found <= rows
    assert abs(found - rows * percent / 100) <= Fraction(1, 2) or found == 1


@pytest.mark.parametrize("text", ["0", "-3", "1.5", "0%", "101%", "ten", "", "%", "1/0%"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(ParameterError):
        Size.parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8GB", 8 * 10**9), ("512MiB", 512 << 20), ("1.5k", 1500), ("7", 7), ("2 TB", 2 * 10**12)],
)
def test_bytes(text: str, expected: int) -> None:
    assert parse_bytes(text) == expected


def test_bytes_are_written_for_people() -> None:
    assert [format_bytes(n) for n in (12, 1500, 2.5e9)] == ["12 B", "1.5 kB", "2.5 GB"]


@given(
    values=st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=200),
    seed=st.integers(0, 100),
    parts=st.integers(1, 7),
)
def test_exact_sums_do_not_depend_on_order_or_split(
    values: list[float], seed: int, parts: int
) -> None:
    terms = np.array(values)
    quantum = Quantum.covering(1e6, len(terms))
    whole = quantum.value(quantum.sum(terms))
    shuffled = np.random.default_rng(seed).permutation(terms)
    units = sum(quantum.sum(part) for part in np.array_split(shuffled, parts))
    assert quantum.value(units) == whole
    exact = float(sum(map(Fraction, values)))
    assert abs(whole - exact) <= len(terms) * quantum.unit


@given(start=st.integers(0, 10**12), length=st.integers(1, 50), cut=st.integers(0, 50))
def test_a_row_draws_the_same_in_any_batch(start: int, length: int, cut: int) -> None:
    rows = np.arange(start, start + length)
    whole = randomness.bits(3, "test", rows)
    parts = [randomness.bits(3, "test", part) for part in (rows[:cut], rows[cut:])]
    assert np.array_equal(np.concatenate(parts), whole)


def test_draws_are_uniform_and_independent_over_rows_seeds_and_purposes() -> None:
    rows = np.arange(200_000)
    first = randomness.uniform(0, "a", rows)
    assert stats.kstest(first, "uniform").pvalue > 1e-3
    for other in (
        randomness.uniform(1, "a", rows),
        randomness.uniform(0, "b", rows),
        randomness.uniform(0, "a", rows + 1),
    ):
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.01
    assert first.min() > 0.0
    assert first.max() < 1.0


def test_the_map_keeps_the_order_and_bounds_what_is_held() -> None:
    engine = LocalEngine(2)
    running = []
    lock = threading.Lock()

    def task(item: int) -> int:
        with lock:
            running.append(item)
        time.sleep(0.01 if item % 3 else 0.0)
        return item

    seen = []
    for result in engine.map(task, range(30)):
        seen.append(result)
        assert len(running) <= len(seen) + 2 * engine.workers
    assert seen == list(range(30))
    engine.close()


def test_an_error_in_a_task_stops_the_map() -> None:
    engine = LocalEngine(2)
    done = []

    def task(item: int) -> int:
        if item == 3:
            raise ValueError(item)
        done.append(item)
        return item

    with pytest.raises(ValueError, match="3"):
        list(engine.map(task, range(100)))
    assert len(done) < 20
    assert list(engine.map(str, range(3))) == ["0", "1", "2"]
    engine.close()

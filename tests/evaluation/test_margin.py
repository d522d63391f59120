"""What stands out from the spread over seeds."""

from __future__ import annotations

import numpy as np
import pytest

from coresift.evaluation.margin import best


def test_the_margin_must_exceed_the_spread() -> None:
    """Standard deviations 1 and 1: pooled 1, so that means must differ by more than 2."""
    near = {"a": [1.0, 2.0, 3.0], "b": [3.0, 4.0, 5.0]}
    far = {"a": [1.0, 2.0, 3.0], "b": [3.01, 4.01, 5.01]}
    assert (best(near, "lower"), best(near, "higher")) == (None, None)
    assert (best(far, "lower"), best(far, "higher")) == ("a", "b")
    assert best(near, "lower", factor=1.9) == "a"


def test_spreads_are_pooled() -> None:
    """Deviations 0 and 2: pooled sqrt(2)."""
    values = {"a": [0.0, 0.0, 0.0], "b": [0.8, 2.8, 4.8]}
    assert best(values, "lower", factor=1.97) == "a"
    assert best(values, "lower", factor=1.98) is None


def test_every_other_method_counts() -> None:
    """The second is far off, and a third of large spread is not."""
    values = {"a": [1.0, 1.1], "b": [2.0, 2.1], "c": [1.0, 9.0]}
    assert best(values, "lower") is None
    assert best({name: values[name] for name in "ab"}, "lower") == "a"


def test_one_value() -> None:
    values = {"a": [1.0], "b": [2.0, 2.1, 2.2]}
    assert best(values, "lower") is None
    assert best(values, "lower", fixed=frozenset("a")) == "a"
    assert best({"a": [1.0], "b": [1.0]}, "lower", fixed=frozenset("ab")) is None
    assert best({"a": [1.0, 1.0]}, "lower") is None


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_equal_methods_are_seldom_told_apart(better: str) -> None:
    generator = np.random.default_rng(0)
    marked = sum(
        best({name: generator.normal(size=3).tolist() for name in "abcd"}, better) is not None
        for _ in range(500)
    )
    assert marked < 25

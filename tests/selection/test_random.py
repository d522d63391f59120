"""Uniform and stratified sampling."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coresift.core.errors import ParameterError
from coresift.selection.reading.strata import allocate
from tests.data import digits, digits_dump, vector_table, write_dump
from tests.selection.choosing import choose

counts_and_size = st.lists(st.integers(1, 30), min_size=1, max_size=8).flatmap(
    lambda counts: st.tuples(st.just(counts), st.integers(1, sum(counts)))
)


def water_level(size: int, counts: list[int], claims: list[Fraction]) -> list[Fraction]:
    """Shares by definition: whoever would get more than it has gives all it has."""
    full: set[int] = set()
    while True:
        left = size - sum(counts[h] for h in full)
        claimed = sum((c for h, c in enumerate(claims) if h not in full), Fraction(0))
        shares = [
            Fraction(counts[h]) if h in full else Fraction(left) * claims[h] / claimed
            for h in range(len(counts))
        ]
        beyond = {h for h in range(len(counts)) if shares[h] > counts[h]}
        if not beyond:
            return shares
        full |= beyond


@given(counts_and_size, st.sampled_from(["proportional", "equal"]))
def test_allocation_is_the_exact_share_rounded(case: tuple[list[int], int], shares: str) -> None:
    counts, size = case
    given = allocate(size, counts, shares)
    claims = [Fraction(1 if shares == "equal" else count) for count in counts]
    exact = water_level(size, counts, claims)
    assert sum(given) == size
    for rows, count, share in zip(given, counts, exact, strict=True):
        assert 0 <= rows <= count
        assert abs(rows - share) < 1
    # Largest remainders: nobody rounded down has a larger remainder than one rounded up.
    up = [share % 1 for rows, share in zip(given, exact, strict=True) if rows > share]
    down = [share % 1 for rows, share in zip(given, exact, strict=True) if rows < share]
    assert not up or not down or min(up) >= max(down)


@given(counts_and_size)
def test_root_shares_grow_with_the_stratum_and_slower(case: tuple[list[int], int]) -> None:
    counts, size = case
    given = allocate(size, counts, "sqrt")
    assert sum(given) == size
    for rows, count in zip(given, counts, strict=True):
        assert 0 <= rows <= count
        for other_rows, other in zip(given, counts, strict=True):
            if count >= other:
                assert rows >= other_rows - 1


def test_allocations_by_hand() -> None:
    assert allocate(10, [100, 50, 50], "proportional") == [5, 3, 2]
    assert allocate(9, [100, 50, 2], "equal") == [4, 3, 2]
    assert allocate(30, [400, 100, 100], "sqrt") == [15, 8, 7]
    assert allocate(40, [1, 400, 100], "sqrt") == [1, 26, 13]
    assert allocate(3, [1, 1, 1], "proportional") == [1, 1, 1]


def test_each_row_weighs_what_it_stands_for(tmp_path: Path) -> None:
    chosen = choose("random", digits_dump(tmp_path), 100)
    assert (chosen.weight == 17.97).all()
    assert chosen.score is None
    assert chosen.rank is None


def test_a_larger_size_keeps_the_rows_of_a_smaller_one(tmp_path: Path) -> None:
    source = digits_dump(tmp_path)
    small, large = choose("random", source, 50), choose("random", source, 500)
    assert set(small.rows.tolist()) < set(large.rows.tolist())


def test_rows_are_chosen_uniformly(tmp_path: Path) -> None:
    source = write_dump(tmp_path, vector_table(np.ones((20, 2), np.float32), id=np.arange(20)))
    counts = np.zeros(20)
    for seed in range(400):
        counts[choose("random", source, 5, seed=seed, threads=1).rows] += 1
    assert np.abs(counts - 100).max() < 4 * np.sqrt(400 * 0.25 * 0.75)


@pytest.mark.parametrize("shares", ["proportional", "equal", "sqrt"])
def test_strata_get_their_rows_and_weights(tmp_path: Path, shares: str) -> None:
    _, labels = digits()
    chosen = choose("random", digits_dump(tmp_path), 203, {"by": "label", "shares": shares})
    assert len(chosen.rows) == 203
    seen = Counter(labels[chosen.rows].tolist())
    sizes = Counter(labels.tolist())
    order = list(dict.fromkeys(labels.tolist()))
    expected = allocate(203, [sizes[label] for label in order], shares)
    assert [seen[label] for label in order] == expected
    for row, weight in zip(chosen.rows.tolist(), chosen.weight.tolist(), strict=True):
        assert weight == sizes[labels[row]] / seen[labels[row]]
    assert chosen.weight.sum() == pytest.approx(1797)
    assert chosen.resolved == {"strata": 10}


@pytest.mark.parametrize("kind", ["text", "number", "dictionary", "expression"])
def test_null_is_a_stratum(tmp_path: Path, kind: str) -> None:
    values: list[str | float | None] = ["a", None, "b"] * 10
    if kind in ("number", "expression"):
        values = [1.5, None, float("nan")] * 10
    column = pa.array(values)
    if kind == "dictionary":
        column = column.dictionary_encode()
    table = vector_table(np.ones((30, 2), np.float32), kind=column)
    by = "kind * 2" if kind == "expression" else "kind"
    chosen = choose(
        "random", write_dump(tmp_path, table, files=4), 6, {"by": by, "shares": "equal"}
    )
    assert Counter((chosen.rows % 3).tolist()) == {0: 2, 1: 2, 2: 2}


def test_strata_too_small_for_a_share_are_noted(tmp_path: Path) -> None:
    table = vector_table(np.ones((100, 2), np.float32), kind=[0] * 98 + [1, 2])
    chosen = choose("random", write_dump(tmp_path, table), 5, {"by": "kind"})
    assert chosen.notes == (
        "2 of 3 strata, with 2 rows, are too small for a share and have no row",
    )


def test_strata_of_lists_are_refused(tmp_path: Path) -> None:
    table = vector_table(np.ones((4, 2), np.float32), tags=[[1], [2], [1, 2], []])
    source = write_dump(tmp_path, table)
    from coresift.io.dump import InputOptions

    with pytest.raises(ParameterError, match=r"^--by: the values cannot be grouped: "):
        choose("random", source, 2, {"by": "tags"}, options=InputOptions(embedding="embedding"))


def test_a_dump_without_vectors_is_noted(tmp_path: Path) -> None:
    source = write_dump(tmp_path, pa.table({"id": np.arange(9)}))
    chosen = choose("random", source, 3)
    assert len(chosen.notes) == 1
    assert chosen.notes[0].startswith("vectors were not checked: ")
    assert chosen.notes[0].endswith(": no vector column among the columns id")


def test_no_such_column(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"^--by: no column 'lable'$"):
        choose("random", digits_dump(tmp_path), 3, {"by": "lable"})

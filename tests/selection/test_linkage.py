"""Linkages beside the plainest code that does the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coresift.io.store import Scratch
from coresift.selection.duplicates.linkage import Components, Greedy, Linkage, SemDeDup

Graph = list[tuple[int, int]]


def _plain(linkage: str, count: int, pairs: Graph) -> list[int]:
    """For each row the kept row that it stands behind."""
    better = [sorted({early for late, early in pairs if late == row}) for row in range(count)]
    found = list(range(count))
    if linkage == "semdedup":
        for row in range(count):
            found[row] = found[better[row][0]] if better[row] else row
    elif linkage == "greedy":
        for row in range(count):
            found[row] = next((one for one in better[row] if found[one] == one), row)
    else:
        for _ in range(count):
            for late, early in pairs:
                found[late] = found[early] = min(found[late], found[early])
    return found


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, Graph]:
    count = draw(st.integers(2, 30))
    row = st.integers(1, count - 1)
    late = draw(st.lists(row, max_size=80))
    return count, [(one, draw(st.integers(0, one - 1))) for one in late]


@pytest.mark.parametrize("linkage", ["greedy", "semdedup", "components"])
@pytest.mark.parametrize("limit", [16, 1 << 20])
@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(1, 40))
def test_as_the_plainest_code(linkage: str, limit: int, case: tuple[int, Graph], step: int) -> None:
    count, pairs = case
    with Scratch() as scratch:
        made: dict[str, Linkage] = {
            "greedy": Greedy(count, limit, scratch),
            "semdedup": SemDeDup(count),
            "components": Components(count),
        }
        for start in range(0, len(pairs), step):
            late, early = np.array(pairs[start : start + step], np.int64).T
            made[linkage].add(late, early)
        assert made[linkage].kept().tolist() == _plain(linkage, count, pairs)


@pytest.mark.parametrize("limit", [1 << 10, 1 << 24])
def test_greedy_along_a_chain(limit: int) -> None:
    rows = np.arange(1, 3000)
    with Scratch() as scratch:
        greedy = Greedy(3000, limit, scratch)
        greedy.add(rows, rows - 1)
        kept = greedy.kept()
    assert kept.tolist() == [row - row % 2 for row in range(3000)]


def test_components_are_merged_before_the_pairs_fill_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("coresift.selection.duplicates.linkage._LEAST_MERGED", 3)
    components = Components(6)
    for late in (5, 4, 3, 2, 1):
        components.add(np.array([late] * 2), np.array([late - 1] * 2))
    assert components.kept().tolist() == [0] * 6

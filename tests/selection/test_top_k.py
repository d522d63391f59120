"""The best rows by score, and scores joined from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coresift.core.errors import CoresiftError, InputError, ParameterError
from coresift.core.smallest import Smallest, SmallestPerGroup
from coresift.io.dump import InputOptions
from tests.data import vector_table, write_dump
from tests.selection.choosing import choose

SCORES = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0, 3.0]


def _dump(folder: Path, files: int = 1, **columns: Any) -> Path:
    columns.setdefault("value", SCORES)
    rows = len(columns["value"])
    columns.setdefault("id", [f"r{i}" for i in range(rows)])
    return write_dump(
        folder / "dump", vector_table(np.ones((rows, 2), np.float32), **columns), files=files
    )


def _scores(folder: Path, **columns: Any) -> str:
    pq.write_table(pa.table(columns), folder / "scores.parquet")
    return str(folder / "scores.parquet")


def test_highest_first_and_ties_by_row(tmp_path: Path) -> None:
    chosen = choose("top-k", _dump(tmp_path, files=3), 4, {"score": "value"})
    assert chosen.rows.tolist() == [4, 5, 7, 8]
    assert chosen.rank is not None
    assert chosen.score is not None
    assert chosen.rank.tolist() == [2, 0, 1, 3]
    assert chosen.score.tolist() == [5.0, 9.0, 6.0, 5.0]
    assert (chosen.weight == 1.0).all()


def test_lowest(tmp_path: Path) -> None:
    chosen = choose("top-k", _dump(tmp_path), 3, {"score": "value", "lowest": True})
    assert chosen.rows.tolist() == [1, 3, 6]
    assert chosen.rank is not None
    assert chosen.rank.tolist() == [0, 1, 2]


def test_an_expression(tmp_path: Path) -> None:
    source = _dump(tmp_path, length=list(range(10)))
    chosen = choose("top-k", source, 1, {"score": "value - 10 * length"})
    assert chosen.rows.tolist() == [0]


def test_threshold_alone_takes_all_that_reach_it(tmp_path: Path) -> None:
    source = _dump(tmp_path)
    assert choose("top-k", source, None, {"score": "value", "threshold": 5}).rows.tolist() == [
        4,
        5,
        7,
        8,
    ]
    assert choose(
        "top-k", source, None, {"score": "value", "threshold": 1, "lowest": True}
    ).rows.tolist() == [1, 3]
    assert choose("top-k", source, "50%", {"score": "value", "threshold": 5}).rows.tolist() == [
        5,
        7,
    ]


def test_threshold_that_too_few_reach(tmp_path: Path) -> None:
    source = _dump(tmp_path)
    with pytest.raises(ParameterError) as caught:
        choose("top-k", source, 5, {"score": "value", "threshold": 5})
    assert caught.value.message == "size 5 is more than the 4 rows with a score of at least 5"
    assert caught.value.hint == "leave out -n to take all of them"
    with pytest.raises(InputError, match=r"^no row has a score of at most 0\.5$"):
        choose("top-k", source, None, {"score": "value", "threshold": 0.5, "lowest": True})


def test_per_group(tmp_path: Path) -> None:
    kind = ["a", "b", "a", None, "a", None, "b", "a", "c", "a"]
    source = _dump(tmp_path, files=2, kind=kind)
    chosen = choose("top-k", source, 2, {"score": "value", "per": "kind"})
    assert chosen.rows.tolist() == [1, 3, 4, 5, 6, 7, 8]
    assert chosen.rank is not None
    assert chosen.rank.tolist() == [1, 1, 1, 0, 0, 0, 0]
    assert chosen.resolved == {"groups": 4}
    assert chosen.notes == ("1 group of 4 with fewer than 2 rows gave all of them",)
    half = choose("top-k", source, "40%", {"score": "value", "per": "kind"})
    assert half.rows.tolist() == [4, 5, 6, 7, 8]
    reached = choose("top-k", source, None, {"score": "value", "per": "kind", "threshold": 5})
    assert reached.rows.tolist() == [4, 5, 7, 8]


def test_missing_scores(tmp_path: Path) -> None:
    source = _dump(tmp_path, files=2, value=[1.0, 2.0, 3.0, None, float("nan"), 6.0])
    with pytest.raises(InputError) as caught:
        choose("top-k", source, 2, {"score": "value"})
    assert caught.value.message == (
        f"{source}/emb-001.parquet: row 0 of the file (row 3): --score 'value' is null or not a "
        "number"
    )
    dropping = InputOptions(invalid="drop")
    chosen = choose("top-k", source, "50%", {"score": "value"}, options=dropping)
    assert chosen.rows.tolist() == [2, 5]
    assert chosen.rows_in == 4
    assert chosen.notes == ("2 rows without a score were dropped",)
    with pytest.raises(ParameterError, match=r"^size 5 is more than the 4 rows"):
        choose("top-k", source, 5, {"score": "value"}, options=dropping)


def test_text_is_no_score(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"^--score 'id' gives string, not a number$"):
        choose("top-k", _dump(tmp_path), 2, {"score": "id"})
    with pytest.raises(
        ParameterError, match=r"^--score 'id \* 2' does not go with the columns' types: "
    ):
        choose("top-k", _dump(tmp_path / "b"), 2, {"score": "id * 2"})


@pytest.mark.parametrize("encoded", [False, True])
def test_scores_from_a_file(tmp_path: Path, encoded: bool) -> None:
    ids = pa.array([f"r{i}" for i in range(10)])
    source = _dump(tmp_path, files=3, id=ids.dictionary_encode() if encoded else ids)
    order = [7, 3, 0, 9, 1, 2, 8, 4, 6, 5]
    path = _scores(
        tmp_path, id=[f"r{i}" for i in [*order, 77]], quality=[SCORES[i] for i in order] + [99.0]
    )
    chosen = choose("top-k", source, 4, {"scores": path, "on": "id"})
    assert chosen.rows.tolist() == [4, 5, 7, 8]
    assert chosen.notes == (f"1 id of {path} on no row there is to choose from, for example 'r77'",)
    named = choose("top-k", source, 4, {"scores": path, "on": "id", "score": "-quality"})
    assert named.rows.tolist() == [0, 1, 3, 6]


def test_scores_are_needed_only_for_rows_to_choose_from(tmp_path: Path) -> None:
    source = _dump(tmp_path)
    path = _scores(tmp_path, id=["r0", "r1"], score=[1.0, 2.0])
    chosen = choose(
        "top-k",
        source,
        1,
        {"scores": path, "on": "id"},
        options=InputOptions(where="id in ['r0', 'r1']"),
    )
    assert chosen.rows.tolist() == [1]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"id": ["r0", "r1", "r0", "r1", "r2"], "score": [1.0] * 5},
            "{path}: 2 ids in 'id' more than once, for example 'r0'",
        ),
        ({"id": ["r0", None], "score": [1.0, 2.0]}, "{path}: 1 line without 'id'"),
        (
            {"id": ["r0", "r1", "r2"], "score": [1.0] * 3},
            "{path}: no score for 7 rows of the dump, for example row 3 with id 'r3'",
        ),
        ({"key": ["r0"], "score": [1.0]}, "{path}: no column 'id', which --on names"),
        (
            {"id": ["r0"], "a": [1.0], "b": [1.0]},
            "{path}: no column 'score' and 2 columns of numbers: a, b",
        ),
        ({"id": ["r0"], "a": ["x"]}, "{path}: no column 'score' and no column of numbers"),
        (
            {"id": [[1.5]], "score": [1.0]},
            "{path}: column 'id' is list<element: double>, and string in the dump",
        ),
    ],
)
def test_joins_that_fail(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    source, path = _dump(tmp_path), _scores(tmp_path, **columns)
    with pytest.raises(CoresiftError) as caught:
        choose("top-k", source, 2, {"scores": path, "on": "id"})
    assert caught.value.message == message.format(path=path)


def test_ids_that_repeat_in_the_dump(tmp_path: Path) -> None:
    source = _dump(tmp_path, files=2, id=["a", "b", "c", "d", "e", "a", "b", "x", "y", "z"])
    path = _scores(tmp_path, id=list("abcdexyz"), score=np.arange(8.0))
    with pytest.raises(InputError) as caught:
        choose("top-k", source, 2, {"scores": path, "on": "id"})
    assert caught.value.message == (
        "2 ids in 'id' of the dump on more than one row, for example 'a'"
    )
    with pytest.raises(ParameterError, match=r"^--on: no column 'key' in the dump$"):
        choose("top-k", source, 2, {"scores": path, "on": "key"})


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 2.5]), max_size=60), st.integers(1, 20), st.data())
def test_smallest_is_the_head_of_a_sort(keys: list[float], size: int, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(keys))))
    cut = data.draw(st.integers(0, len(keys)))
    smallest = Smallest(size)
    for part in (order[:cut], order[cut:]):
        smallest.add(np.array([keys[i] for i in part]), np.array(part, np.int64))
        smallest.result()
    expected = sorted(range(len(keys)), key=lambda i: (keys[i], i))[:size]
    assert smallest.result()[1].tolist() == expected


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 1.0, 2.0])), max_size=60))
def test_smallest_per_group_is_the_head_of_each_sort(keys: list[tuple[int, float]]) -> None:
    limits = np.array([0, 1, 3, 100])
    smallest = SmallestPerGroup(limits)
    for row in reversed(range(len(keys))):
        group, key = keys[row]
        smallest.add(np.array([group]), np.array([key]), np.array([row]))
        smallest.result()
    expected = []
    for group in range(4):
        rows = [row for row in range(len(keys)) if keys[row][0] == group]
        expected += sorted(rows, key=lambda row: (keys[row][1], row))[: limits[group]]
    assert smallest.result()[2].tolist() == expected


@pytest.mark.parametrize(
    ("score", "row"), [("2 - value", 1), ("10 / value", 1), ("2 * value + 1", 5), ("-value", 1)]
)
def test_numbers_may_stand_first(tmp_path: Path, score: str, row: int) -> None:
    assert choose("top-k", _dump(tmp_path), 1, {"score": score}).rows.tolist() == [row]

"""Prototypes: rows by distance to their centroid, and the floor under each group."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from coresift.core.errors import ParameterError
from coresift.selection.registry import METHODS
from tests.data import vector_table, write_dump
from tests.selection.choosing import choose
from tests.selection.saved import write_clustering


@pytest.fixture
def dump(tmp_path: Path) -> tuple[Path, Path]:
    """Two clusters on a line, of 80 near and 20 far rows."""
    near = np.stack([np.zeros(80), np.arange(80) * 0.01], axis=1)
    far = np.stack([np.full(20, 100.0), 10.0 + np.arange(20)], axis=1)
    vectors = np.concatenate([near, far]).astype(np.float32)
    label = [None if i < 10 else "known" for i in range(100)]
    source = write_dump(tmp_path / "emb", vector_table(vectors, label=label), files=3)
    centroids = np.array([[0.0, 0.0], [100.0, 0.0]])
    return source, write_clustering(tmp_path / "clusters", source, centroids, group_rows=13)


def test_hard_and_easy(dump: tuple[Path, Path]) -> None:
    hard = choose("prototypes", dump[0], 3, clustering=dump[1])
    assert hard.rows.tolist() == [97, 98, 99]
    assert hard.score is not None
    assert hard.score.tolist() == [27.0, 28.0, 29.0]
    assert hard.rank is not None
    assert hard.rank.tolist() == [2, 1, 0]
    assert hard.cluster is not None
    assert hard.cluster.tolist() == [1, 1, 1]
    easy = choose("prototypes", dump[0], 3, {"order": "easy"}, clustering=dump[1])
    assert easy.rows.tolist() == [0, 1, 2]
    assert easy.rank is not None
    assert easy.rank.tolist() == [0, 1, 2]


def test_the_floor_is_a_share_of_an_even_cut(dump: tuple[Path, Path]) -> None:
    """Of 10 rows an even cut takes 8 and 2; half of that is 4 and 1, best first."""
    for floor, near in ((0.0, 0), (0.5, 4), (1.0, 8), (0.99, 7)):
        chosen = choose("prototypes", dump[0], 10, {"floor": floor}, clustering=dump[1])
        expected = [*range(80 - near, 80), *range(90 + near, 100)]
        assert chosen.rows.tolist() == expected
    with_none = choose("prototypes", dump[0], 1, {"floor": 1}, clustering=dump[1])
    assert with_none.rows.tolist() == [99]
    assert with_none.notes == ("2 clusters of 2 too small for a row by --floor",)


def test_the_floor_by_a_column(dump: tuple[Path, Path]) -> None:
    """The ten easiest rows have no label; of 20 rows an even cut takes two of them."""
    params: dict[str, object] = {"floor": 1, "by": "label"}
    chosen = choose("prototypes", dump[0], 20, params, clustering=dump[1])
    assert chosen.rows.tolist() == [8, 9, *range(82, 100)]
    assert chosen.resolved == {"groups": 2, "kept_by_floor": 20}
    half = choose("prototypes", dump[0], 20, {**params, "floor": 0.5}, clustering=dump[1])
    assert half.rows.tolist() == [9, *range(81, 100)]


def test_a_column_without_a_floor() -> None:
    with pytest.raises(ParameterError, match=r"^--by says what --floor is for, and there is none$"):
        METHODS["prototypes"].params.build({"by": "label"}, "prototypes")

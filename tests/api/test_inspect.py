"""inspect counts, locates and estimates in one pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coresift.api.inspect import inspect
from coresift.io import duplicates
from tests.data import digits, digits_dump, vector_table, write_dump


def test_digits(tmp_path: Path) -> None:
    digits_dump(tmp_path, files=3, row_group_size=100)
    found = inspect(tmp_path)
    norms = np.linalg.norm(digits()[0].astype(np.float64), axis=1)
    assert (found.files, found.rows, found.row_groups) == (3, 1797, 18)
    assert (found.embedding, found.layout, found.dtype) == (
        "embedding",
        "fixed_size_list",
        "float32",
    )
    assert found.dim == 64
    assert found.invalid_rows == found.duplicate_rows == 0
    assert found.norm["min"] == pytest.approx(norms.min(), rel=1e-12)
    assert found.norm["mean"] == pytest.approx(norms.mean(), rel=1e-12)
    assert found.norm["max"] == pytest.approx(norms.max(), rel=1e-12)
    assert [column["name"] for column in found.columns] == ["id", "label", "embedding"]
    assert found.bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert found.problems == []
    json.dumps(found.to_json())


@pytest.mark.parametrize("parts", [1, 3])
def test_duplicates_are_exact(parts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    vectors = random.integers(0, 2, (400, 6)).astype(np.float32)
    vectors[vectors == 0] *= random.choice([1.0, -1.0], np.count_nonzero(vectors == 0))
    write_dump(tmp_path, vector_table(vectors), files=4)
    if parts > 1:
        monkeypatch.setattr(duplicates, "_SORTING_BYTES", (1 << 24) * parts // 400)
    options: dict[str, Any] = {"memory": "1MB"} if parts > 1 else {}
    found = inspect(tmp_path, **options)
    positive = vectors + 0.0
    assert found.duplicate_rows == 400 - len(np.unique(positive, axis=0))
    for item in found.duplicates:
        assert np.array_equal(positive[item["row"]], positive[item["same_as"]])
        same = (positive[: item["row"]] == positive[item["row"]]).all(axis=1)
        assert item["same_as"] == np.flatnonzero(same)[0]
    assert len(found.duplicates) == 5


def test_invalid_rows_are_counted_and_located(tmp_path: Path) -> None:
    rows: list[Any] = [[float(index), 1.0, 2.0] for index in range(40)]
    rows[11] = None
    rows[25] = [1.0, float("nan"), 0.0]
    rows[31] = [1.0]
    rows[33] = [0.0, 0.0, 0.0]
    table = pa.table({"v": pa.array(rows, pa.list_(pa.float32()))})
    for index in range(4):
        pq.write_table(table.slice(10 * index, 10), tmp_path / f"{index}.parquet")
    found = inspect(tmp_path)
    assert found.invalid_rows == 3
    places = {reason["reason"]: reason["examples"] for reason in found.invalid}
    assert places == {
        "is null": [{"row": 11, "place": f"{tmp_path / '1.parquet'}: row 1 of the file"}],
        "has another length than 3": [
            {"row": 31, "place": f"{tmp_path / '3.parquet'}: row 1 of the file"}
        ],
        "holds a value that is not finite": [
            {"row": 25, "place": f"{tmp_path / '2.parquet'}: row 5 of the file"}
        ],
    }
    assert found.zero_rows == 1
    assert len(found.problems) == 4
    cosine = inspect(tmp_path, metric="cosine")
    assert cosine.invalid_rows == 4
    assert inspect(tmp_path, where="v is not null").matching_rows == 39


def test_the_result_does_not_depend_on_how_it_is_read(tmp_path: Path) -> None:
    digits_dump(tmp_path / "a")
    digits_dump(tmp_path / "b", files=7, row_group_size=50)
    first = inspect(tmp_path / "a")
    second = inspect(tmp_path / "b", threads=1, batch_rows=13)
    assert (first.norm, first.duplicate_rows) == (second.norm, second.duplicate_rows)

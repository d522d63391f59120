"""What a model is given of a dump."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from coresift.core.errors import InputError
from coresift.influence.models.rows import as_arrays, tiles
from coresift.io.dump import open_dump
from tests.data import vector_table, write_dump


@pytest.mark.parametrize(("files", "groups"), [(1, None), (3, 7), (4, 50)])
def test_tiles_are_cut_at_fixed_rows(files: int, groups: int | None, tmp_path: Path) -> None:
    vectors = np.arange(200, dtype=np.float32).reshape(100, 2)
    path = write_dump(
        tmp_path, vector_table(vectors, id=range(100)), files=files, row_group_size=groups
    )
    dump = open_dump([str(path)])
    dump.rows_at_a_time = 11
    found = list(tiles(dump, ["id", "embedding"], 32))
    assert [start for start, _ in found] == [0, 32, 64, 96]
    assert [batch.column("id").to_pylist() for _, batch in found] == [
        list(range(start, min(start + 32, 100))) for start in (0, 32, 64, 96)
    ]


def test_columns_are_arrays_where_they_can_be() -> None:
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(
        np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    )
    batch = pa.record_batch(
        {
            "number": pa.array([1, 2, 3], pa.int16()),
            "truth": pa.array([True, False, True]),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(np.arange(6.0)), 2),
            "tensor": tensor,
            "even": pa.array([[1, 2], [3, 4], [5, 6]]),
            "uneven": pa.array([[1, 2], [3], []]),
            "text": pa.array(["a", None, "c"]),
        }
    )
    found = as_arrays(batch.slice(1), 1)
    assert found["number"].tolist() == [2, 3]
    assert found["truth"].tolist() == [False, True]
    assert found["vector"].tolist() == [[2.0, 3.0], [4.0, 5.0]]
    assert found["tensor"].shape == (2, 2, 2)
    assert found["tensor"][1, 1, 1] == 11.0
    assert found["even"].tolist() == [[3, 4], [5, 6]]
    assert [part.tolist() for part in found["uneven"]] == [[3], []]
    assert found["text"] == [None, "c"]


def test_a_null_is_refused() -> None:
    batch = pa.record_batch({"label": pa.array([1, None, 3])})
    with pytest.raises(InputError, match="row 41: column 'label' is null"):
        as_arrays(batch, 40)

"""Gradients in a vector column: every layout, only what is needed, and rows without one."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coresift.core.errors import InputError
from coresift.io.dump import Dump
from tests.data import gaussians, vector_table, write_dump
from tests.influence.given import columns, lent

ROWS, DIM = 90, 5


def _array(kind: str) -> pa.Array:
    values = np.round(gaussians(ROWS, DIM, 3) / 2)
    dtype = {"tensor": "float32"}.get(kind.partition(":")[0], kind.partition(":")[2] or "float32")
    flat = pa.array(values.astype(dtype).reshape(-1))
    if kind.startswith("list"):
        return pa.ListArray.from_arrays(pa.array(np.arange(ROWS + 1) * DIM, pa.int32()), flat)
    fixed = pa.FixedSizeListArray.from_arrays(flat, DIM)
    if kind == "tensor":
        return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float32(), [DIM]), fixed)
    return fixed


@pytest.mark.parametrize(
    "kind",
    ["fixed:float16", "fixed:float32", "fixed:float64", "fixed:int8", "list:float32", "tensor"],
)
def test_layouts(kind: str, tmp_path: Path) -> None:
    source = write_dump(tmp_path, pa.table({"grad": _array(kind)}), files=2, row_group_size=20)
    expected = np.round(gaussians(ROWS, DIM, 3) / 2)
    with lent() as context:
        found = columns(source, context, embedding="grad")
        assert (found.rows, found.dim) == (ROWS, DIM)
        rows = np.array([0, 21, 44, 45, 46, 89])
        assert np.array_equal(found.take(rows), expected[rows])
        assert np.array_equal(found.read(3, 70), expected[3:70])
        assert found.read(0, 1).dtype == np.float32


def test_only_row_groups_that_are_needed_are_read_and_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_dump(tmp_path, vector_table(gaussians(100, 4, 3)), row_group_size=10)
    read: list[int] = []
    plain = Dump.read

    def counted(self: Dump, shard: object, *rest: object) -> object:
        read.extend(shard.groups)  # type: ignore[attr-defined]
        return plain(self, shard, *rest)  # type: ignore[arg-type]

    with lent() as context:
        found = columns(source, context)
        _ = found.dim
        monkeypatch.setattr(Dump, "read", counted)
        found.take(np.array([13, 14, 77]))
        assert sorted(read) == [1, 7]
        found.take(np.array([13, 70, 95]))
        assert sorted(read) == [1, 7, 9]
        found.fetch()
        assert sorted(read) == list(range(10))
        found.read(0, 100)
        assert len(read) == 10


def test_memory_and_scratch_give_the_same(tmp_path: Path) -> None:
    source = write_dump(tmp_path, vector_table(gaussians(100, 4, 3)), row_group_size=10)
    rows = np.array([3, 50, 99])
    with lent() as context, lent(memory=1) as little:
        assert np.array_equal(
            columns(source, context).take(rows), columns(source, little).take(rows)
        )


def test_another_process_has_what_was_read(tmp_path: Path) -> None:
    source = write_dump(tmp_path, vector_table(gaussians(50, 4, 3)), row_group_size=10)
    with lent() as context:
        found = columns(source, context)
        found.fetch(np.array([12]))
        state = found.__getstate__()
        assert state.pop("_resources") is None
        state.pop("_store")  # an engine sends it by its name
        assert pickle.loads(pickle.dumps(state))["kept"].sum() == 10


def test_a_row_without_a_gradient(tmp_path: Path) -> None:
    values = gaussians(60, 4, 3)
    values[31, 2] = np.nan
    whole = vector_table(values)["embedding"].combine_chunks().tolist()
    whole[44] = None
    whole[50] = [1.0]
    table = pa.table({"grad": pa.array(whole, pa.list_(pa.float32()))})
    pq.write_table(table, tmp_path / "g.parquet", row_group_size=10)
    with lent() as context:
        found = columns(tmp_path, context, embedding="grad")
        assert np.array_equal(found.take(np.array([1, 29])), values[[1, 29]])
        with pytest.raises(InputError, match=r"g\.parquet: row 31 of the file \(row 31\).*finite"):
            found.fetch()
        with pytest.raises(InputError, match=r"row 44.*is null"):
            columns(tmp_path, context, embedding="grad").take(np.array([40]))
        left = columns(tmp_path, context, embedding="grad", invalid="drop")
        left.fetch()
        assert np.flatnonzero(~left.kept).tolist() == [31, 44, 50]
        assert left.dropped == 3
        assert np.isnan(left.take(np.array([30, 31, 44]))).any(axis=1).tolist() == [
            False,
            True,
            True,
        ]
        assert np.isnan(left.read(50, 51)).all()

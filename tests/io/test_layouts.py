"""Every layout of a vector column is found and decoded to the same vectors."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from pyarrow import feather

from coresift.core.errors import CoresiftError, InputError
from coresift.core.memory import Budget
from coresift.core.progress import Silent
from coresift.engine.local import LocalEngine
from coresift.io.dump import InputOptions, open_dump
from coresift.io.store import Scratch
from coresift.io.vectors import Vectors, ingest

VECTORS = (np.random.default_rng(0).normal(size=(90, 6)) * 20).round()


def read(
    paths: list[Path] | Path,
    *,
    memory: int = 1 << 40,
    threads: int = 2,
    batch_rows: int | None = None,
    **options: Any,
) -> tuple[Vectors, NDArray[np.int64], NDArray[np.float32]]:
    """Ingest a dump: the vectors, the kept rows and their values."""
    given = paths if isinstance(paths, list) else [paths]
    dump = open_dump(given, InputOptions(**options))
    dump.rows_at_a_time = batch_rows
    with Scratch() as scratch:
        vectors = ingest(dump, LocalEngine(threads), Budget(memory), scratch, Silent())
        parts = [tuple(np.copy(part) for part in vectors.read(*run)) for run in vectors.runs()]
    rows = np.concatenate([part[0] for part in parts])
    values = np.concatenate([part[1] for part in parts])
    return vectors, rows, values


def lists(kind: pa.DataType, dtype: str) -> pa.Array:
    return pa.array([row.astype(dtype) for row in VECTORS], kind)


def fixed(dtype: str) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.astype(dtype).reshape(-1)), 6)


def tensor(dtype: str) -> pa.Array:
    kind = pa.fixed_shape_tensor(pa.from_numpy_dtype(np.dtype(dtype)), (2, 3))
    return pa.ExtensionArray.from_storage(kind, fixed(dtype))


LAYOUTS: dict[str, Callable[[str], pa.Array]] = {
    "fixed_size_list": fixed,
    "list": lambda dtype: lists(pa.list_(pa.from_numpy_dtype(np.dtype(dtype))), dtype),
    "large_list": lambda dtype: lists(pa.large_list(pa.from_numpy_dtype(np.dtype(dtype))), dtype),
    "tensor": tensor,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8"])
def test_layouts(layout: str, dtype: str, tmp_path: Path) -> None:
    table = pa.table({"id": np.arange(90), "v": LAYOUTS[layout](dtype)})
    for index in range(3):
        part = table.slice(index * 30, 30)
        pq.write_table(part, tmp_path / f"{index}.parquet", row_group_size=7)
    vectors, rows, values = read(tmp_path)
    assert (vectors.column.layout, vectors.column.dtype, vectors.dim) == (layout, dtype, 6)
    assert rows.tolist() == list(range(90))
    assert np.array_equal(values, VECTORS.astype(dtype).astype(np.float32))


def test_binary(tmp_path: Path) -> None:
    raw = pa.array([row.astype(np.float16).tobytes() for row in VECTORS], pa.binary(12))
    pq.write_table(pa.table({"v": raw}), tmp_path / "a.parquet")
    _, _, values = read(tmp_path, embedding="v", embedding_dtype="float16")
    assert np.array_equal(values, VECTORS.astype(np.float16).astype(np.float32))
    with pytest.raises(CoresiftError, match="binary of 12 bytes; its number type is not known"):
        read(tmp_path, embedding="v")


def test_columns_in_natural_order(tmp_path: Path) -> None:
    wide = np.arange(24.0).reshape(2, 12)
    names = [f"x_{index}" for index in (1, 10, 11, 12, 2, 3, 4, 5, 6, 7, 8, 9)]
    order = [int(name[2:]) - 1 for name in names]
    table = pa.table({name: wide[:, place] for name, place in zip(names, order, strict=True)})
    pq.write_table(table, tmp_path / "a.parquet")
    vectors, _, values = read(tmp_path, embedding="x_*")
    assert vectors.column.layout == "columns"
    assert np.array_equal(values, wide.astype(np.float32))


def test_npy_and_feather_and_sidecars(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", VECTORS.astype(np.float32))
    assert np.array_equal(read(tmp_path / "v.npy")[2], VECTORS.astype(np.float32))
    feather.write_feather(pa.table({"v": fixed("float32")}), str(tmp_path / "v.feather"))
    assert np.array_equal(read(tmp_path / "v.feather")[2], VECTORS.astype(np.float32))
    pq.write_table(pa.table({"id": np.arange(90)}), tmp_path / "ids.parquet", row_group_size=11)
    np.save(tmp_path / "part-0.npy", VECTORS[:50].astype(np.float16))
    np.save(tmp_path / "part-1.npy", VECTORS[50:].astype(np.float16))
    pattern = str(tmp_path / "part-*.npy")
    _, _, values = read(tmp_path / "ids.parquet", vectors=(pattern,), where="id >= 45 and id < 55")
    assert np.array_equal(values, VECTORS[45:55].astype(np.float32))
    VECTORS.astype(np.float32).tofile(tmp_path / "raw.bin")
    raw = (str(tmp_path / "raw.bin"),)
    _, _, values = read(tmp_path / "ids.parquet", vectors=raw, dtype="float32", dim=6)
    assert np.array_equal(values, VECTORS.astype(np.float32))
    with pytest.raises(InputError) as caught:
        read(tmp_path / "ids.parquet", vectors=(str(tmp_path / "part-0.npy"),))
    assert caught.value.message == "--vectors holds 50 rows and the dump 90"


def test_invalid_rows_are_dropped_or_refused(tmp_path: Path) -> None:
    rows: list[Any] = [list(map(float, row)) for row in VECTORS[:10]]
    rows[2] = None
    rows[4] = [1.0, 2.0]
    rows[5] = [1.0, float("inf"), 0.0, 0.0, 0.0, 0.0]
    rows[7] = [None, 1.0, 0.0, 0.0, 0.0, 0.0]
    rows[8] = [1e300, 0.0, 0.0, 0.0, 0.0, 0.0]
    pq.write_table(pa.table({"v": pa.array(rows, pa.list_(pa.float64()))}), tmp_path / "a.parquet")
    vectors, kept, values = read(tmp_path, invalid="drop")
    assert kept.tolist() == [0, 1, 3, 6, 9]
    assert vectors.dropped == 5
    assert np.array_equal(values, VECTORS[[0, 1, 3, 6, 9]].astype(np.float32))
    with pytest.raises(InputError, match=r"row 2 of the file \(row 2\): the vector in 'v' is null"):
        read(tmp_path)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch_rows", [None, 1, 7, 1000])
def test_reading_does_not_depend_on_batches_threads_or_memory(
    threads: int, batch_rows: int | None, tmp_path: Path
) -> None:
    table = pa.table({"id": np.arange(90), "v": fixed("float32")})
    for index, (start, stop) in enumerate([(0, 1), (1, 60), (60, 90)]):
        part = table.slice(start, stop - start)
        pq.write_table(part, tmp_path / f"{index}.parquet", row_group_size=13)
    for memory in (1 << 40, 1):
        vectors, rows, values = read(
            tmp_path,
            memory=memory,
            threads=threads,
            batch_rows=batch_rows,
            where="id != 5 and id < 80",
        )
        assert vectors.resident == (memory > 1)
        assert rows.tolist() == [row for row in range(80) if row != 5]
        assert np.array_equal(values, VECTORS.astype(np.float32)[rows])
        assert vectors.count == 79


def test_cosine_scales_rows(tmp_path: Path) -> None:
    pq.write_table(pa.table({"v": fixed("float32")}), tmp_path / "a.parquet")
    _, _, values = read(tmp_path, metric="cosine")
    assert np.allclose(np.linalg.norm(values, axis=1), 1.0, atol=1e-6)


def test_one_huge_row_group_is_read_in_batches(tmp_path: Path) -> None:
    table = pa.table({"v": pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(600_000)), 6)})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=100_000)
    dump = open_dump([tmp_path])
    dump.rows_at_a_time = 1000
    (shard,) = dump.shards(["v"])
    batches = [batch.num_rows for _, batch in dump.read(shard, ["v"])]
    assert max(batches) <= 1000
    assert sum(batches) == 100_000


def test_vectors_are_taken_by_row_from_memory_and_scratch(tmp_path: Path) -> None:
    pq.write_table(pa.table({"v": fixed("float16")}), tmp_path / "a.parquet")
    dump = open_dump([tmp_path])
    for memory in (1 << 40, 1):
        with Scratch() as scratch:
            vectors = ingest(dump, LocalEngine(1), Budget(memory), scratch, Silent())
            for rows in (np.array([0, 3, 89]), np.arange(90), np.arange(0), np.array([3, 3, 5])):
                expected = VECTORS.astype(np.float16).astype(np.float32)[rows]
                assert np.array_equal(vectors.take(rows), expected)


def test_what_was_taken_cannot_change_what_is_held(tmp_path: Path) -> None:
    pq.write_table(pa.table({"v": fixed("float32")}), tmp_path / "a.parquet")
    dump = open_dump([tmp_path])
    for memory in (1 << 40, 1):
        with Scratch() as scratch:
            vectors = ingest(dump, LocalEngine(1), Budget(memory), scratch, Silent())
            for rows in (np.arange(90), np.arange(3, 7), np.array([5]), np.array([2, 4])):
                taken = vectors.take(rows)
                with suppress(ValueError):
                    taken[:] = -1000.0
                assert np.array_equal(vectors.take(np.arange(90)), VECTORS.astype(np.float32))

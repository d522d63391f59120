"""Damaged and mismatched files are named, wherever in a run they are met."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from coresift.api.inspect import inspect
from coresift.core.errors import InputError, ParameterError, ResourceError
from coresift.io.dump import InputOptions, open_dump
from coresift.io.store import RowStore, Scratch
from tests.data import gaussians, vector_table, write_dump

VECTORS = gaussians(200, 4, 3)
TABLE = vector_table(VECTORS, id=np.arange(200))


def message(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        inspect(path)
    return caught.value.message.replace(str(path), "FILE")


@pytest.mark.parametrize(
    ("name", "kind"), [("a.parquet", "a Parquet file"), ("a.feather", "an Arrow IPC file")]
)
def test_a_cut_end(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if path.suffix == ".parquet":
        pq.write_table(TABLE, path)
    else:
        feather.write_feather(TABLE, str(path))
    path.write_bytes(path.read_bytes()[:-50])
    assert (
        message(path) == f"FILE: does not end as {kind[:-5]} file does; it is truncated or damaged"
    )
    path.write_bytes(b"PAR1")
    assert message(path) == f"FILE: 4 bytes, too short for {kind}"


def test_a_damaged_row_group_under_a_whole_footer(tmp_path: Path) -> None:
    write_dump(tmp_path, TABLE, files=2, row_group_size=50)
    path = tmp_path / "emb-001.parquet"
    whole = path.read_bytes()
    column = pq.read_metadata(path).row_group(1).column(1)
    start = column.dictionary_page_offset or column.data_page_offset
    damaged = whole[:start] + b"\xff" * 16 + whole[start + 16 :]
    path.write_bytes(damaged)
    with pytest.raises(InputError) as caught:
        inspect(tmp_path)
    assert caught.value.message.startswith(f"{path}: not a readable parquet file (")
    assert "\n" not in caught.value.message
    assert caught.value.hint == "the file may be truncated or damaged; write it again"


def test_other_dimensions_in_the_middle(tmp_path: Path) -> None:
    write_dump(tmp_path, TABLE, files=3)
    first, middle = tmp_path / "emb-000.parquet", tmp_path / "emb-001.parquet"
    pq.write_table(vector_table(VECTORS[:, :3], id=np.arange(200)), middle)
    with pytest.raises(InputError) as caught:
        inspect(tmp_path)
    assert caught.value.message == (
        f"{middle}: column 'embedding' has 3 dimensions, expected 4 as in {first}"
    )


def test_columns_that_no_one_can_mean(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table([pa.array([1]), pa.array([[1.0]])], names=["a", "a"]), path)
    assert message(path) == "FILE: several columns named 'a'"
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), path)
    assert message(path) == "FILE: no vector column among the columns a, b"
    uneven = pa.array([[1.0]] * 5 + [[1.0, 2.0]] * 5, pa.list_(pa.float32()))
    pq.write_table(pa.table({"v": uneven}), path)
    assert message(path) == "FILE: column 'v' holds lists of no common length"
    both = dict.fromkeys(("v", "w"), TABLE["embedding"])
    pq.write_table(pa.table(both), path)
    assert message(path) == (
        "FILE: 2 vector columns: v (fixed_size_list of 4 float32), w (fixed_size_list of 4 float32)"
    )


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.ones((4, 3), np.int64), "a 2-D array of int64"),
        (np.ones(4, np.float32), "a 1-D array of float32"),
        (np.asfortranarray(np.ones((4, 3))), "the array is not in C order with native byte order"),
        (np.ones((0, 3)), "no rows"),
    ],
)
def test_arrays_that_are_no_vectors(array: np.ndarray, text: str, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", array)
    assert message(tmp_path / "v.npy") == f"FILE: {text}"


@pytest.mark.parametrize(
    "name",
    ["a b.parquet", "é\n.parquet", "-x.parquet", "#%41.parquet", "[x].parquet", "*.parquet"],
)
def test_names_are_taken_as_they_are(name: str, tmp_path: Path) -> None:
    write_dump(tmp_path / "from", TABLE)
    write_dump(tmp_path / "to", TABLE)
    shutil.copy(tmp_path / "from" / "emb-000.parquet", tmp_path / "to" / name)
    assert open_dump([tmp_path / "to" / name]).rows == 200
    assert open_dump([tmp_path / "to"]).rows == 400


def test_an_empty_path_is_not_the_current_directory() -> None:
    with pytest.raises(InputError, match="an empty path was given"):
        open_dump([""])


def test_a_filter_that_fails_on_the_values(tmp_path: Path) -> None:
    write_dump(tmp_path, TABLE)
    with pytest.raises(ParameterError) as caught:
        inspect(tmp_path, where="id * 9223372036854775807 > 4")
    assert caught.value.message == (
        "--where 'id * 9223372036854775807 > 4' cannot be computed: overflow"
    )
    with pytest.raises(InputError) as refused:
        inspect(tmp_path, where="id + 1")
    assert refused.value.message == "--where 'id + 1' gives int64, not true or false"


def test_a_filter_keeps_whole_row_groups_unread(tmp_path: Path) -> None:
    write_dump(tmp_path, TABLE, files=2, row_group_size=50)
    dump = open_dump([tmp_path], InputOptions(where="id < 20"))
    assert [dump.groups_to_read(shard) for shard in dump.shards()] == [True, False]


def test_scratch_without_room(tmp_path: Path) -> None:
    with Scratch(tmp_path) as scratch, pytest.raises(ResourceError, match="of scratch space and"):
        RowStore(1 << 40, 1 << 10, np.dtype(np.float32), scratch)
    (tmp_path / "file").write_text("")
    with (
        Scratch(tmp_path / "file") as scratch,
        pytest.raises(ResourceError, match="cannot be used"),
    ):
        RowStore(10, 10, np.dtype(np.float32), scratch)


def test_scratch_leaves_nothing_and_reads_what_was_written(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(1000, 7)).astype(np.float32)
    with Scratch(tmp_path) as scratch:
        store = RowStore(1000, 7, values.dtype, scratch)
        for start in range(0, 1000, 130):
            store.write(start, values[start : start + 130])
        assert list(tmp_path.iterdir()) == []
        assert np.array_equal(store.read(17, 903), values[17:903])
        for rows in (np.array([0, 5, 999]), np.arange(0, 1000, 3), np.arange(0)):
            assert np.array_equal(store.gather(rows), values[rows])
            assert np.array_equal(store.gather(rows, step=64), values[rows])

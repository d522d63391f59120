"""Which files PATHs mean."""

from __future__ import annotations

from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coresift.core.errors import InputError
from coresift.io.dump import open_dump
from coresift.io.filesystem import resolve
from tests.data import gaussians, vector_table, write_dump


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": [1]}), path)


def names(*paths: object) -> list[str]:
    return [Path(ref.name).name for ref in resolve([str(path) for path in paths])]


def test_a_directory_is_all_parquet_below_it_in_byte_order(tmp_path: Path) -> None:
    for name in ("b.parquet", "a/z.parquet", "a.parquet", "B.parquet", "é.parquet", "x.txt"):
        touch(tmp_path / name)
    for name in (".hidden.parquet", "_temporary/c.parquet", ".git/d.parquet", "_x.parquet"):
        touch(tmp_path / name)
    found = [ref.name for ref in resolve([tmp_path])]
    assert found == sorted(found, key=lambda name: name.encode())
    assert sorted(names(tmp_path)) == [
        "B.parquet",
        "a.parquet",
        "b.parquet",
        "z.parquet",
        "é.parquet",
    ]


def test_globs_files_and_uris(tmp_path: Path) -> None:
    for name in ("a-1.parquet", "a-2.parquet", "b.parquet"):
        touch(tmp_path / name)
    assert names(tmp_path / "a-*.parquet") == ["a-1.parquet", "a-2.parquet"]
    assert names(tmp_path / "b.parquet", tmp_path / "a-1.parquet") == ["a-1.parquet", "b.parquet"]
    assert names(f"file://{tmp_path}") == ["a-1.parquet", "a-2.parquet", "b.parquet"]
    assert names(f"file://{tmp_path}/a-*.parquet") == ["a-1.parquet", "a-2.parquet"]


def test_fsspec_uris_are_read(tmp_path: Path) -> None:
    vectors = gaussians(20, 3, 2)
    write_dump(tmp_path, vector_table(vectors), files=2)
    memory = fsspec.filesystem("memory")
    for path in sorted(tmp_path.iterdir()):
        memory.pipe(f"/bucket/{path.name}", path.read_bytes())
    dump = open_dump(["memory://bucket"])
    assert dump.rows == 20
    batches = [batch for shard in dump.shards() for _, batch in dump.read(shard, ["embedding"])]
    values = np.concatenate([batch.column(0).flatten().to_numpy() for batch in batches])
    assert np.array_equal(values.reshape(-1, 3), vectors)
    assert dump.fingerprint.digest == open_dump([tmp_path]).fingerprint.digest


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing", "FOLDER/nothing: no such file or directory"),
        ("x*.parquet", "FOLDER/x*.parquet: no file matches this pattern"),
        ("notes.txt", "FOLDER/notes.txt: unknown format '.txt'"),
        ("empty.parquet", "FOLDER/empty.parquet: 0 bytes, too short for a Parquet file"),
    ],
)  # fmt: skip
def test_messages(path: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "empty.parquet").write_bytes(b"")
    with pytest.raises(InputError) as caught:
        open_dump([tmp_path / path])
    assert caught.value.message == message.replace("FOLDER", str(tmp_path))


def test_a_file_given_twice_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="given twice"):
        resolve([tmp_path, tmp_path / "a.parquet"])


def test_files_of_one_dump_have_the_same_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1], "b": [2]}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "1.parquet")
    with pytest.raises(InputError) as caught:
        open_dump([tmp_path])
    first, second = tmp_path / "0.parquet", tmp_path / "1.parquet"
    assert caught.value.message == f"{second}: no column 'b', which {first} has"
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), tmp_path / "1.parquet")
    with pytest.raises(InputError) as caught:
        open_dump([tmp_path])
    assert caught.value.message == f"{second}: column 'b' is string, expected int64 as in {first}"


def test_an_empty_file_in_the_middle_keeps_the_ids(tmp_path: Path) -> None:
    table = pa.table({"a": [1, 2, 3]})
    pq.write_table(table, tmp_path / "0.parquet")
    pq.write_table(table.slice(0, 0), tmp_path / "1.parquet")
    pq.write_table(table, tmp_path / "2.parquet")
    dump = open_dump([tmp_path])
    assert [shard.start for shard in dump.shards()] == [0, 3]
    assert dump.locate(4) == f"{tmp_path / '2.parquet'}: row 1 of the file"


def test_the_fingerprint_names_the_first_difference(tmp_path: Path) -> None:
    table = pa.table({"a": np.arange(10)})
    write_dump(tmp_path / "one", table, files=2)
    write_dump(tmp_path / "moved", table, files=2)
    write_dump(tmp_path / "changed", pa.table({"a": np.arange(10)[::-1]}), files=2)
    write_dump(tmp_path / "named", pa.table({"b": np.arange(10)}), files=2)
    write_dump(tmp_path / "split", table, files=5)
    one = open_dump([tmp_path / "one"]).fingerprint
    assert open_dump([tmp_path / "moved"]).fingerprint.difference(one) is None
    for name, expected in (
        ("changed", "emb-000.parquet"),
        ("named", "the columns differ"),
        ("split", "5 files here, 2 there"),
    ):
        difference = open_dump([tmp_path / name]).fingerprint.difference(one)
        assert difference is not None
        assert expected in difference

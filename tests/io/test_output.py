"""Results: bytes that do not depend on batches, targets, subsets of huge row groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coresift.core.errors import OutputError
from coresift.core.progress import Silent
from coresift.engine.local import LocalEngine
from coresift.io import writer as writer_module
from coresift.io.dump import open_dump
from coresift.io.provenance import KEY, Provenance, find_provenance
from coresift.io.subset import write_subset
from coresift.io.target import Target
from coresift.io.writer import PartWriter
from tests.data import gaussians, vector_table, write_dump

PROVENANCE = Provenance("select", "random", {}, 0, ["emb"], {}, {"files": []})


@given(cuts=st.lists(st.integers(0, 5000), max_size=8))
@settings(max_examples=20, deadline=None)
def test_bytes_do_not_depend_on_the_batches(
    cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("writer")
    batch = pa.record_batch({"a": np.arange(5000), "b": np.arange(5000) / 3.0})
    for name, bounds in (("whole", []), ("cut", sorted(cuts))):
        with PartWriter(folder / f"{name}.parquet", batch.schema, PROVENANCE) as writer:
            for start, stop in zip([0, *bounds], [*bounds, 5000], strict=True):
                writer.write(batch.slice(start, stop - start))
    whole, cut = ((folder / f"{name}.parquet").read_bytes() for name in ("whole", "cut"))
    assert whole == cut


def test_parts_are_cut_at_fixed_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "_PART_BYTES", 16 * 4096)
    monkeypatch.setattr(writer_module, "_GROUP_BYTES", 16 * 1024)
    batch = pa.record_batch({"a": np.arange(10_000), "b": np.arange(10_000) / 3.0})
    with PartWriter(tmp_path, batch.schema, PROVENANCE) as writer:
        writer.write(batch)
    parts = sorted(tmp_path.iterdir())
    assert [path.name for path in parts] == [f"part-0000{index}.parquet" for index in range(3)]
    assert [pq.read_metadata(path).num_rows for path in parts] == [4096, 4096, 1808]
    assert pq.read_table(tmp_path)["a"].to_pylist() == list(range(10_000))
    assert all(KEY in (pq.read_schema(path).metadata or {}) for path in parts)
    assert find_provenance(parts[0]) == PROVENANCE


def test_ascending_ids_take_little_room(tmp_path: Path) -> None:
    batch = pa.record_batch({"row": np.sort(np.random.default_rng(0).choice(10**9, 50_000, False))})
    sizes = []
    for name in (None, "row"):
        path = tmp_path / f"{name}.parquet"
        with PartWriter(path, batch.schema, PROVENANCE, ascending=name) as writer:
            writer.write(batch)
        assert pq.read_table(path)["row"].equals(pa.chunked_array([batch["row"]]))
        sizes.append(path.stat().st_size)
    assert sizes[1] < 0.4 * sizes[0]


@given(cuts=st.lists(st.integers(0, 3000), max_size=8))
@settings(max_examples=20, deadline=None)
def test_long_texts_and_lists_end_a_row_group_early(
    cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("texts")
    texts = [None if row % 7 == 0 else "x" * (row % 50) for row in range(3000)]
    lists = [[0.5] * (row % 3) for row in range(3000)]
    batch = pa.record_batch({"text": pa.array(texts), "list": pa.array(lists)})
    sizes = [len(text or "") + 8 * len(items) for text, items in zip(texts, lists, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer_module, "_GROUP_BYTES", 10_000)
        bounds = sorted(cuts)
        with PartWriter(folder / "x.parquet", batch.schema, PROVENANCE) as writer:
            for start, stop in zip([0, *bounds], [*bounds, 3000], strict=True):
                writer.write(batch.slice(start, stop - start))
    metadata = pq.read_metadata(folder / "x.parquet")
    start = 0
    for index in range(metadata.num_row_groups):
        stop = start + metadata.row_group(index).num_rows
        # full with its last row, and not before
        assert sum(sizes[start : stop - 1]) < 10_000
        assert sum(sizes[start:stop]) >= 10_000 or stop == 3000
        start = stop
    assert pq.read_table(folder / "x.parquet")["text"].to_pylist() == texts


@pytest.mark.parametrize("held", [1, 1 << 30])
def test_a_subset_is_the_rows_themselves(held: int, tmp_path: Path) -> None:
    table = vector_table(gaussians(500, 3, 2), id=[f"i{row}" for row in range(500)])
    write_dump(tmp_path / "emb", table, files=3, row_group_size=40)
    dump = open_dump([tmp_path / "emb"])
    dump.rows_at_a_time = 7
    dump.run_bytes = held
    rows = np.flatnonzero(np.random.default_rng(0).random(500) < 0.3)
    write_subset(
        tmp_path / "s.parquet",
        dump,
        rows,
        {"row": rows, "weight": rows / 2.0},
        ["id", "embedding"],
        PROVENANCE,
        engine=LocalEngine(2),
        progress=Silent(),
    )
    found = pq.read_table(tmp_path / "s.parquet")
    assert found.select(["id", "embedding"]).equals(table.select(["id", "embedding"]).take(rows))
    assert found["row"].to_pylist() == rows.tolist()
    assert found["weight"].to_pylist() == (rows / 2.0).tolist()


def test_an_error_inside_leaves_the_old_result(tmp_path: Path) -> None:
    target = tmp_path / "x.parquet"
    target.write_bytes(b"old")

    def fail() -> None:
        with Target(target, overwrite=True) as opened:
            opened.staging.write_bytes(b"new")
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="cannot be written: No space left on device"):
        fail()
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]


def test_what_is_read_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.json").write_text('{"coresift": "0"}')
    source = out / "representatives.parquet"
    source.write_bytes(b"")
    for inputs in ([str(source)], [source.as_uri()], [str(out / "*.parquet")]):
        with pytest.raises(OutputError, match=r"the output holds the input .*overwrite would rem"):
            Target(out, overwrite=True, inputs=inputs)
    with pytest.raises(OutputError, match="the output is the input"):
        Target(source, overwrite=True, inputs=[str(source)])
    with pytest.raises(OutputError, match="the output lies in the input"):
        Target(out / "new", inputs=[str(out)])


def test_a_swap_that_fails_puts_the_old_result_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Target(tmp_path / "out") as opened:
        (opened.staging / "manifest.json").write_text('{"coresift": "0"}')
    rename = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if path.name == "result":
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr("coresift.io.target._exchange", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", failing)
    with (
        pytest.raises(OutputError, match="Input/output error"),
        Target(tmp_path / "out", overwrite=True),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "manifest.json").exists()


def test_overwriting_swaps_directories(tmp_path: Path) -> None:
    for content in ("one", "two"):
        with Target(tmp_path / "out", overwrite=True) as opened:
            (opened.staging / "manifest.json").write_text('{"coresift": "0"}')
            (opened.staging / content).write_text(content)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["manifest.json", "two"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_overwriting_works_where_swapping_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coresift.io.target._exchange", lambda one, other: False)
    test_overwriting_swaps_directories(tmp_path)

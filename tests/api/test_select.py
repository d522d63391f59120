"""The verb select: what it checks before it reads, and what it leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coresift.api.cluster import cluster
from coresift.api.select import select
from coresift.core.errors import CoresiftError, MismatchError, ParameterError, ResourceError
from coresift.io.dump import InputOptions, open_dump
from coresift.io.provenance import find_provenance
from coresift.selection.params.random import RandomParams
from coresift.selection.params.top_k import TopKParams
from tests.data import digits, digits_dump, write_dump
from tests.selection.saved import write_clustering


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    return digits_dump(tmp_path / "dump", files=3)


@pytest.fixture
def clustering(tmp_path: Path, dump: Path) -> Path:
    return write_clustering(tmp_path / "clustering", dump, digits()[0][:20])


def test_result_and_output(tmp_path: Path, dump: Path, clustering: Path) -> None:
    output = tmp_path / "chosen.parquet"
    result = select("sensitivity", dump, size="10%", output=output, clusters=clustering, seed=4)
    assert (result.rows_in, result.rows_out) == (1797, 180)
    assert result.output == str(output)
    assert result.params["exponent"] == 2.0
    assert result.resolved["mix"] == 0.5
    assert result.seconds.keys() == {"select", "write", "total"}
    told = json.loads(json.dumps(result.to_json()))
    assert told.keys() >= {
        "method", "rows_in", "rows_out", "weight_sum", "params", "seconds", "peak_rss_bytes",
        "output", "notes",
    }  # fmt: skip
    table = pq.read_table(output)
    assert table.num_rows == 180
    assert table.column_names[:3] == ["id", "label", "embedding"]
    assert table.column_names[-4:] == ["row", "weight", "score", "cluster"]
    assert table.column("weight").to_numpy().sum() == pytest.approx(result.weight_sum)
    rows = table.column("row").to_numpy()
    assert (np.diff(rows) > 0).all()
    assert table.column("id").to_pylist() == [f"digit-{row:04d}" for row in rows]
    vectors = table.column("embedding").combine_chunks().flatten().to_numpy()
    np.testing.assert_array_equal(vectors.reshape(-1, 64), digits()[0][rows])


def test_a_directory_has_a_manifest(tmp_path: Path, dump: Path) -> None:
    result = select("random", dump, size=30, output=tmp_path / "out", columns=["id"])
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["summary"]["rows_out"] == result.rows_out == 30
    assert manifest["provenance"]["method"] == "random"
    assert [file["rows"] for file in manifest["files"]] == [30]
    table = pq.read_table(tmp_path / "out" / "part-00000.parquet")
    assert table.column_names == ["id", "row", "weight"]


def test_provenance_is_enough_to_run_again(tmp_path: Path, dump: Path, clustering: Path) -> None:
    output = tmp_path / "chosen.parquet"
    select(
        "sensitivity", dump, size=50, output=output, clusters=clustering, ids_only=True,
        prefix="cs_", params={"exponent": 1}, seed=4,
    )  # fmt: skip
    found = find_provenance(output)
    assert found is not None
    assert (found.command, found.method, found.seed) == ("select", "sensitivity", 4)
    assert found.params.pop("size") == "50"
    assert found.params["exponent"] == 1.0
    assert found.output == {
        "columns": None, "drop_embedding": False, "ids_only": True, "prefix": "cs_",
    }  # fmt: skip
    assert found.parents["clustering"]["path"] == str(clustering)
    assert found.notes[0].startswith("no losses were given")
    found.require_input(open_dump([dump]), "it", "")
    again = tmp_path / "again.parquet"
    select(
        "sensitivity", found.paths, size=50, output=again, params=found.params,
        clusters=found.parents["clustering"]["path"], seed=found.seed, **found.output,
    )  # fmt: skip
    assert pq.read_table(again).equals(pq.read_table(output))
    assert find_provenance(again) == find_provenance(output)


def test_side_files_are_parents_with_absolute_paths(
    tmp_path: Path, dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pq.read_table(dump, columns=["id", "label"])
    pq.write_table(table, tmp_path / "scores.parquet")
    monkeypatch.chdir(tmp_path)
    params = TopKParams(scores="scores.parquet", on="id", score="label")
    select("top-k", "dump", size=50, output="chosen.parquet", params=params)
    found = find_provenance(Path("chosen.parquet"))
    assert found is not None
    assert found.params["scores"] == str(tmp_path / "scores.parquet")
    digest = open_dump(["scores.parquet"]).fingerprint.digest
    assert found.parents["scores"] == {"path": found.params["scores"], "digest": digest}


def test_the_clusterings_reading_is_followed(tmp_path: Path, dump: Path) -> None:
    _, labels = digits()
    options = InputOptions(where="label == 3", invalid="drop")
    clustering = write_clustering(
        tmp_path / "threes", dump, digits()[0][:5], options=options, kept=labels == 3
    )
    result = select(
        "sensitivity", dump, size=10, output=tmp_path / "out", clusters=clustering,
        where="label == 3",
    )  # fmt: skip
    assert result.rows_in == (labels == 3).sum()
    with pytest.raises(ParameterError) as caught:
        select(
            "sensitivity", dump, size=10, output=tmp_path / "other", clusters=clustering,
            where="label == 4",
        )  # fmt: skip
    assert caught.value.message == "--where 'label == 4' is not the clustering's 'label == 3'"
    assert caught.value.hint == "leave --where out, or cluster with it"


def test_a_clustering_from_another_dump(tmp_path: Path, clustering: Path) -> None:
    other = digits_dump(tmp_path / "other")
    with pytest.raises(MismatchError) as caught:
        select("sensitivity", other, size=10, output=tmp_path / "out", clusters=clustering)
    assert caught.value.message == (
        f"{clustering} was made from another input: 1 files here, 3 there"
    )
    assert not (tmp_path / "out").exists()


def test_what_is_refused_before_anything_is_read(
    tmp_path: Path, dump: Path, clustering: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("the dump was read")

    monkeypatch.setattr("coresift.selection.base.vector_batches", read)
    out = tmp_path / "out"
    out.mkdir()
    cases: list[tuple[str, dict[str, object]]] = [
        ("no selection method 'rand'", {"method": "rand"}),
        ("size '0' is neither", {"size": 0}),
        ("random needs a size", {"size": None}),
        ("size 1,798 is more than the 1,797 rows to choose from", {"size": 1798}),
        ("random has no option 'score'", {"params": {"score": "x"}}),
        ("TopKParams are not the options of random", {"params": TopKParams(score="label")}),
        ("random does not use a clustering", {"clusters": clustering}),
        ("sensitivity needs a clustering", {"method": "sensitivity"}),
        ("--by: no column 'lable'", {"params": {"by": "lable"}}),
        (f"{out}: exists already", {"output": out}),
        ("--columns: no column 'lable'", {"columns": ["lable"]}),
    ]
    for message, changed in cases:
        given: dict[str, object] = {"method": "random", "size": 5, "output": tmp_path / "new"}
        with pytest.raises(CoresiftError) as caught:
            select(paths=dump, **{**given, **changed})  # type: ignore[arg-type]
        assert caught.value.message.startswith(message)
        assert not (tmp_path / "new").exists()


def test_a_budget_too_small(tmp_path: Path, dump: Path) -> None:
    with pytest.raises(ResourceError, match=r"^a selection of 5 rows needs 600 B of memory"):
        select("random", dump, size=5, output=tmp_path / "out", memory=1000)
    assert not (tmp_path / "out").exists()


def test_output_is_a_function_of_rows_seed_and_options(tmp_path: Path, dump: Path) -> None:
    other = digits_dump(tmp_path / "other", files=12, row_group_size=50)
    params = RandomParams(by="label", shares="sqrt")
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    select("random", dump, size=100, output=first, params=params, threads=1)
    select("random", other, size=100, output=second, params=params, threads=2, memory="2GB")
    assert pq.read_table(first).equals(pq.read_table(second))


def test_threshold_needs_no_size(tmp_path: Path, dump: Path) -> None:
    _, labels = digits()
    params = {"score": "label", "threshold": 9}
    result = select("top-k", dump, output=tmp_path / "out.parquet", params=params)
    assert result.rows_out == (labels == 9).sum()


@pytest.mark.parametrize("prefix", ["", "cs_"])
def test_the_two_steps(tmp_path: Path, prefix: str) -> None:
    """Cluster, score the representatives, select with the losses."""
    table = pq.read_table(digits_dump(tmp_path / "plain"))
    if prefix:
        own = pa.array(np.arange(1797)[::-1])
        table = table.append_column("row", own).append_column("cluster", own)
    dump = write_dump(tmp_path / "dump", table, files=2)
    clustering = tmp_path / "clustering"
    cluster(dump, k=30, output=clustering, iterations=3, prefix=prefix)
    representatives = pq.read_table(clustering / "representatives.parquet")
    labels = representatives.column("label").to_numpy()
    scored = representatives.append_column("loss", pa.array(np.where(labels == 8, 50.0, 0.1)))
    pq.write_table(scored, tmp_path / "losses.parquet")
    output = tmp_path / "chosen.parquet"
    result = select(
        "sensitivity",
        dump,
        size=100,
        output=output,
        clusters=clustering,
        params={"losses": str(tmp_path / "losses.parquet"), "lambda": 0.01},
        prefix=prefix,
    )
    assert result.rows_out == 100
    chosen = pq.read_table(output)
    assert (chosen.column("label").to_numpy() == 8).mean() > 0.5
    assert chosen.column(f"{prefix}weight").to_numpy().min() >= 1.0
    without = representatives.drop_columns([f"{prefix}row", f"{prefix}cluster"])
    by_id = without.append_column("nll", scored.column("loss"))
    pq.write_table(by_id, tmp_path / "by_id.parquet")
    params = {"losses": str(tmp_path / "by_id.parquet"), "on": "id", "lambda": 0.01}
    select(
        "sensitivity",
        dump,
        size=100,
        output=tmp_path / "again.parquet",
        clusters=clustering,
        params={**params, "losses_column": "nll"},
        prefix=prefix,
    )
    assert pq.read_table(tmp_path / "again.parquet").equals(chosen)

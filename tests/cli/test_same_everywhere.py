"""Labels and chosen rows do not depend on batches, threads, files or memory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from tests.cli.command import coresift
from tests.data import digits_dump, gaussians, vector_table, write_dump

VARIANTS: list[tuple[str, list[object]]] = [
    ("one", ["--batch-rows", 1000]),
    ("one", ["--batch-rows", 100_000]),
    ("one", ["--batch-rows", 37, "--threads", 2]),
    ("one", ["--threads", 1]),
    ("twelve", ["--threads", 2]),
    ("twelve", ["--memory", "8GB", "--batch-rows", 1000]),
]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits as one file and as twelve, and the reference results."""
    folder = tmp_path_factory.mktemp("same")
    digits_dump(folder / "one")
    digits_dump(folder / "twelve", files=12, row_group_size=61)
    run(folder, "one", "reference", [])
    return folder


def run(folder: Path, dump: str, name: str, options: list[object]) -> None:
    """Cluster, and select with each method."""
    commands: list[list[object]] = [
        ["cluster", dump, "-k", 80, "--iterations", 6, "-o", f"{name}-clusters"],
        [
            *("select", "sensitivity", dump, "--clusters", f"{name}-clusters"),
            *("-n", "15%", "-o", f"{name}-sensitivity"),
        ],
        [
            *("select", "sensitivity", dump, "--clusters", f"{name}-clusters"),
            *("-n", "15%", "--with-replacement", "--loss", "label"),
            *("-o", f"{name}-replacement"),
        ],
        ["select", "random", dump, "-n", 100, "-o", f"{name}-random"],
        ["select", "random", dump, "-n", 100, "--by", "label", "-o", f"{name}-strata"],
        ["select", "top-k", dump, "-n", 100, "--score", "label", "-o", f"{name}-top"],
    ]
    for command in commands:
        done = coresift(*command, *options, cwd=folder)
        assert done.code == 0, done.err


def content(folder: Path, name: str) -> dict[str, pa.Table]:
    """Tables of a result, by the files' names."""
    root = folder / name
    return {
        str(path.relative_to(root)): pq.read_table(path).replace_schema_metadata()
        for path in sorted(root.rglob("*.parquet"))
    }


@pytest.mark.parametrize("index", range(len(VARIANTS)))
def test_results_are_the_same(index: int, work: Path) -> None:
    dump, options = VARIANTS[index]
    run(work, dump, f"v{index}", options)
    for kind in ("clusters", "sensitivity", "replacement", "random", "strata", "top"):
        expected = content(work, f"reference-{kind}")
        found = content(work, f"v{index}-{kind}")
        assert expected.keys() == found.keys()
        assert all(expected[name].equals(found[name]) for name in expected), kind


def test_equal_runs_give_equal_bytes(work: Path) -> None:
    run(work, "one", "again", ["--threads", 2, "--batch-rows", 500])
    for kind in ("clusters", "sensitivity", "random"):
        for path in (work / f"reference-{kind}").rglob("*.parquet"):
            other = work / f"again-{kind}" / path.relative_to(work / f"reference-{kind}")
            if kind == "sensitivity":
                # it names the clustering it was made from, which lies elsewhere
                assert pq.read_table(path).equals(pq.read_table(other))
            else:
                assert path.read_bytes() == other.read_bytes()


def test_a_small_budget_spills_and_changes_nothing(tmp_path: Path) -> None:
    vectors = gaussians(120_000, 256, 300, seed=5)
    write_dump(tmp_path / "emb", vector_table(vectors), files=2, row_group_size=20_000)
    results = {}
    for name, memory in (("large", "4GB"), ("small", "250MB")):
        done = coresift(
            *("cluster", "emb", "-k", 20, "--iterations", 3, "--memory", memory),
            *("-o", name, "--json"),
            cwd=tmp_path,
        )
        assert done.code == 0, done.err
        results[name] = json.loads(done.out)
        spilled = "vectors were kept in a scratch file, being larger than the memory budget"
        assert (spilled in results[name]["notes"]) == (name == "small")
    for part in ("assignments", "centroids.parquet", "representatives.parquet"):
        large, small = (ds.dataset(tmp_path / name / part).to_table() for name in results)
        assert large.equals(small)
    assert results["small"]["peak_rss_bytes"] < 1.1 * 250e6


def test_replay_knows_nan_and_other_row_groups(tmp_path: Path) -> None:
    loss = np.where(np.arange(60) % 3 == 0, np.nan, 1.5)
    lists = pa.array([[value, 2.0] for value in loss])
    write_dump(tmp_path / "emb", vector_table(gaussians(60, 3, 2), loss=loss, lists=lists))
    options = ["--embedding", "embedding", "--json"]
    done = coresift("select", "random", "emb", "-n", 40, "-o", "one", *options, cwd=tmp_path)
    assert done.code == 0, done.err
    part = tmp_path / "one" / "part-00000.parquet"
    pq.write_table(pq.read_table(part), part, row_group_size=7)
    done = coresift("replay", "one", "-o", "two", "--json", cwd=tmp_path)
    assert json.loads(done.out)["differences"] == []
    table = pq.read_table(part)
    changed = table.set_column(0, "loss", pa.array([0.5] * 40))
    pq.write_table(changed, part, row_group_size=7)
    done = coresift("replay", "one", "-o", "three", "--json", cwd=tmp_path)
    assert done.code == 1
    assert json.loads(done.out)["differences"] == [
        "part-00000.parquet: differs in column 'loss' after row 0"
    ]


def test_replay_takes_no_seed(tmp_path: Path) -> None:
    done = coresift("replay", "one", "-o", "two", "--seed", 3, cwd=tmp_path)
    assert done.code == 2
    assert "No such option" in done.err


def test_replay_finds_the_same_and_tells_a_difference(work: Path) -> None:
    done = coresift("replay", "reference-sensitivity", "-o", "replayed", "--json", cwd=work)
    assert done.code == 0, done.err
    assert json.loads(done.out)["identical"] is True
    part = work / "replayed" / "part-00000.parquet"
    table = pq.read_table(part)
    changed = table.set_column(table.column_names.index("row"), "row", pa.array(range(len(table))))
    pq.write_table(changed.cast(table.schema), part)
    done = coresift("replay", "replayed", "-o", "replayed-again", cwd=work)
    assert done.code == 1
    assert "differs in column 'row' after row 0" in done.out

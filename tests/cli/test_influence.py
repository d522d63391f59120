"""``select influence`` as a command: what goes wrong, what is recorded, and runs again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.command import coresift, leftovers
from tests.data import gaussians, write_dump
from tests.influence.given import decaying

WIDTH = 6


def _table(rows: int, width: int, seed: int, *, rank: int = WIDTH, hole: int = -1) -> pa.Table:
    values = decaying(rows, width, seed)
    values[:, rank:] = 0.0
    lists = values.tolist()
    if hole >= 0:
        lists[hole] = None
    return pa.table(
        {
            "id": np.arange(rows),
            "grad": pa.array(lists, pa.list_(pa.float32(), width)),
            "emb": pa.array(gaussians(rows, 3, 2).tolist(), pa.list_(pa.float32(), 3)),
        }
    )


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool with gradients and embeddings, a target, and what does not fit them."""
    folder = tmp_path_factory.mktemp("influence")
    write_dump(folder / "pool", _table(300, WIDTH, 0), files=2, row_group_size=60)
    write_dump(folder / "holes", _table(300, WIDTH, 0, hole=211), files=2)
    write_dump(folder / "flat", _table(300, WIDTH, 0, rank=4))
    pq.write_table(_table(20, WIDTH, 1), folder / "val.parquet")
    pq.write_table(_table(20, WIDTH + 1, 1), folder / "wide.parquet")
    pq.write_table(_table(20, WIDTH, 1).drop_columns(["grad"]), folder / "none.parquet")
    done = coresift(
        *("cluster", "pool", "--embedding", "emb", "-k", 3, "-o", "clusters"), cwd=folder
    )
    assert done.code == 0, done.err
    return folder


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["pool", "--target", "wide.parquet"],
            "--target wide.parquet: gradients of 7 elements in 'grad', expected 6",
        ),
        (
            ["holes", "--target", "val.parquet"],
            "emb-001.parquet: row 61 of the file (row 211): the vector in 'grad' is null",
        ),
        (
            ["flat", "--target", "val.parquet", "--hessian", "fisher", "--damping", 0],
            "the Fisher is singular: ",
        ),
        (["pool", "--target", "none.parquet"], "no column 'grad' among the columns id, emb"),
        (["pool", "--target", "gone.parquet"], "gone.parquet"),
        (["pool"], "influence needs a target"),
        (["pool", "--target", "val.parquet", "--per-cluster"], "--per-cluster needs a clustering"),
    ],
    ids=str,
)
def test_one_line_and_nothing_left(arguments: list[object], error: str, work: Path) -> None:
    before = sorted(path.name for path in work.iterdir())
    done = coresift(
        *("select", "influence", *arguments, "--gradient", "grad", "-n", 10, "-o", "out.parquet"),
        cwd=work,
    )
    assert done.code == 1
    lines = done.err.strip().splitlines()
    assert lines[0].startswith("error: ")
    assert error in lines[0]
    assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("hint: "))
    assert sorted(path.name for path in work.iterdir()) == before
    assert leftovers(work) == []


def test_holes_are_dropped_when_asked(work: Path) -> None:
    done = coresift(
        *("select", "influence", "holes", "--target", "val.parquet", "--gradient", "grad"),
        *("-n", "100%", "--invalid", "drop", "--ids-only", "-o", "dropped.parquet", "--json"),
        cwd=work,
    )
    facts = json.loads(done.out)
    assert (facts["rows_in"], facts["rows_out"]) == (299, 299)
    assert "1 row without a gradient left out" in facts["notes"]


def test_the_target_is_on_record_and_runs_again(work: Path, tmp_path: Path) -> None:
    target = tmp_path / "val.parquet"
    pq.write_table(_table(20, WIDTH, 1), target)
    options = ["--hessian", "fisher", "--aggregate", "max", "--clusters", "clusters"]
    out, again = tmp_path / "out.parquet", tmp_path / "again.parquet"
    done = coresift(
        *("select", "influence", "pool", "--target", target, "--gradient", "grad", *options),
        *("-n", 40, "--per-cluster", "--columns", "id", "-o", out),
        cwd=work,
    )
    assert done.code == 0, done.err
    assert pq.read_schema(out).names == ["id", "row", "weight", "score", "cluster", "rank"]
    kept = json.loads(pq.read_schema(out).metadata[b"coresift"])
    assert kept["parents"]["target"]["path"] == str(target)
    assert kept["resolved"]["damping"] > 0.0
    done = coresift("replay", out, "-o", again, "--json", cwd=work)
    assert json.loads(done.out)["identical"] is True
    pq.write_table(_table(20, WIDTH, 2), target)
    done = coresift("replay", out, "-o", again, "--overwrite", cwd=work)
    assert done.code == 1
    assert f"the target {target} has changed since" in done.err


def test_a_column_named_cluster_clashes(work: Path, tmp_path: Path) -> None:
    table = _table(300, WIDTH, 0).rename_columns(["cluster", "grad", "emb"])
    write_dump(tmp_path / "pool", table)
    done = coresift(
        *("cluster", "pool", "--embedding", "emb", "-k", 3, "--columns", "emb", "-o", "clusters"),
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    command = ["select", "influence", "pool", "--target", "pool", "--gradient", "grad", "-n", 5]
    done = coresift(*command, "--clusters", "clusters", "-o", "x.parquet", cwd=tmp_path)
    assert "error: the input has a column 'cluster', which the result adds" in done.err
    assert coresift(*command, "-o", "x.parquet", cwd=tmp_path).code == 0


def test_resume_and_plan(work: Path, tmp_path: Path) -> None:
    command = ["select", "influence", "pool", "--target", "val.parquet", "--gradient", "grad"]
    command += ["-n", "5", "--hessian", "fisher"]
    done = coresift(*command, "--resume", "-o", tmp_path / "r.parquet", cwd=work)
    assert done.code == 0, done.err
    done = coresift(*command, "--plan", "--json", cwd=work)
    assert done.code == 0, done.err
    plan = json.loads(done.out)
    assert plan["rows"] == 300
    names = [stage["name"] for stage in plan["stages"]]
    assert names[:3] == ["gradients", "second moment", "influence"]

"""How a plan grows, and what the commands say of it. No test here depends on how fast it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coresift.planning.plan import NETWORK_BYTES_S, Held, Plan, Stage
from tests.cli.command import coresift, leftovers
from tests.data import digits_dump

GB = 1 << 30


def plan(
    *stages: Stage, rows: int = 1_000_000, held: Held | None = None, machines: int = 1
) -> Plan:
    return Plan(
        command="cluster",
        method="kmeans",
        rows=rows,
        dim=8,
        stages=stages,
        held=held or Held(0, 0, 0, GB),
        scratch_bytes=0,
        output_bytes=100,
        pass_seconds=2.0,
        machines=machines,
        notes=(),
        seconds_spent=0.0,
    )


def test_stages_grow_by_their_own_law() -> None:
    assert Stage("read", 1.0, 0, 3.0).at(1000.0, 1) == 3000.0
    assert Stage("read", 1.0, 0, 3.0).at(1000.0, 4) == 750.0
    assert Stage("compare", 1.0, 0, 3.0, "pairs").at(10.0, 4) == 75.0
    assert Stage("seed", 0.0, 0, 3.0, "fixed").at(1000.0, 4) == 3.0
    sent = Stage("train", 1.0, 0, 3.0, "rows", reduced_bytes=int(NETWORK_BYTES_S))
    assert sent.at(1.0, 1) == 3.0
    assert sent.at(1.0, 2) == 3.5


def test_ten_to_the_ninth_rows_spill_where_one_million_fit() -> None:
    held = Held(bytes=GB // 2, row_bytes=10, fixed_bytes=1000, budget=GB)
    found = plan(Stage("train", 5.0, 0, 7.0), held=held)
    assert held.resident(1_000_000)
    assert held.peak(1_000_000) == GB // 2 + 10_001_000
    scale = found.at_scale()
    # a thousand times the seconds, and five passes of two seconds for each million rows
    assert scale["seconds"] == 1000 * (7.0 + 5 * 2.0)
    assert scale["scratch_bytes"] == 1000 * (GB // 2)
    assert scale["memory_bytes"] == GB
    assert scale["output_bytes"] == 100_000
    # a machine for each million rows holds its own
    many = plan(Stage("train", 5.0, 0, 7.0), held=held, machines=1000).at_scale()
    assert (many["seconds"], many["scratch_bytes"]) == (7.0, 0)


def test_what_is_spared_is_held_only_where_there_is_room() -> None:
    held = Held(bytes=100, row_bytes=1, fixed_bytes=0, budget=1000, spare_row_bytes=40)
    assert held.peak(10) == 110 + 400
    assert held.peak(20) == 120


COMMANDS = {
    "kmeans": (["cluster", "emb", "-k", "20"], ["read", "seed", "train", "assign", "write"]),
    "sampled": (
        ["cluster", "emb", "-k", "20", "--train-rows", "600", "--seeding", "k-means||"],
        ["read", "seeding", "seed", "train", "assign", "write"],
    ),
    "hierarchical": (
        ["cluster", "emb", "--method", "hierarchical", "-k", "20,5", "--resamples", "2"],
        ["read", "seed", "train", "levels above", "resample", "assign", "write"],
    ),
    "bisecting": (
        ["cluster", "emb", "--method", "bisecting", "-k", "9"],
        ["read", "train", "assign", "write"],
    ),
    "minibatch": (
        ["cluster", "emb", "--method", "minibatch", "-k", "9"],
        ["read", "train", "assign", "write"],
    ),
    "random": (["select", "random", "emb", "-n", "10%"], ["check", "write"]),
    "top-k": (
        ["select", "top-k", "emb", "-n", "10", "--score", "label"],
        ["check", "score", "write"],
    ),
    "sensitivity": (
        ["select", "sensitivity", "emb", "-n", "9", "--clusters", "clusters"],
        ["assignments"] * 6 + ["write"],
    ),
    "bandit": (
        ["select", "bandit", "emb", "-n", "9", "--clusters", "clusters", "--score", "label"],
        ["assignments"] * 3 + ["score", "write"],
    ),
    "dedup": (
        ["select", "dedup", "emb", "--threshold", "0.9", "--clusters", "clusters"],
        ["lay out", "compare", "write"],
    ),
    "against": (
        ["select", "dedup", "emb", "--threshold", "0.9", "--against", "emb"],
        ["lay out", "compare", "write"],
    ),
    "target": (["select", "dedup", "emb", "--target", "50%"], ["lay out", "compare", "write"]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plans")
    digits_dump(folder / "emb", files=2)
    done = coresift("cluster", "emb", "-k", "12", "-o", "clusters", cwd=folder)
    assert done.code == 0, done.err
    return folder


@pytest.mark.parametrize("name", COMMANDS)
def test_each_method_has_a_plan(name: str, folder: Path) -> None:
    command, stages = COMMANDS[name]
    done = coresift(*command, "--plan", "--json", "--machines", "8", cwd=folder)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert [stage["name"] for stage in found["stages"]] == stages
    assert found["rows"] == 1797
    assert found["seconds"] == pytest.approx(
        sum(stage["seconds"] for stage in found["stages"]), abs=1e-3
    )
    assert all(stage["seconds"] > 0.0 for stage in found["stages"])
    assert found["stages"][0]["bytes_read"] > 0
    assert found["in_memory"]
    assert 0 < found["peak_memory_bytes"] <= found["memory_budget_bytes"]
    assert found["at_scale"]["machines"] == 8
    assert found["at_scale"]["rows"] == 10**9
    assert leftovers(folder) == []


def test_passes_are_those_that_the_options_ask_for(folder: Path) -> None:
    command = ["cluster", "emb", "-k", "20", "--iterations", "7", "--train-rows", "599"]
    done = coresift(*command, "--plan", "--json", cwd=folder)
    passes = {stage["name"]: stage["passes"] for stage in json.loads(done.out)["stages"]}
    assert passes["read"] == passes["assign"] == 1.0
    assert passes["train"] == pytest.approx(8 * 599 / 1797)


def test_a_person_reads_a_table(folder: Path) -> None:
    done = coresift("cluster", "emb", "-k", "20", "--plan", "--machines", "64", cwd=folder)
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].split() == ["plan", "cluster", "kmeans"]
    assert any(line.startswith("train") for line in lines)
    assert any(line.startswith("at 10^9 rows  64 machines: ") for line in lines)
    assert (folder / "out").exists() is False


def test_a_run_that_could_not_go_on_has_no_plan(folder: Path) -> None:
    done = coresift("cluster", "emb", "-k", "5000", "--plan", cwd=folder)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: -k 5,000 is more than the 1,797 rows")
    done = coresift("cluster", "emb", "-k", "5", cwd=folder)
    assert done.code == 2
    assert "Missing option '-o'" in done.err

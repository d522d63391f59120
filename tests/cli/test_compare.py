"""coresift compare: its options, its table and its JSON."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.command import PROGRAM, coresift
from tests.data import digits, digits_dump
from tests.selection.saved import write_clustering

COMPARE = ["compare", "emb", "-n", 20, "--seeds", 2, "--metrics", "mmd,coverage_max"]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    digits_dump(folder / "emb")
    return folder


def test_table_and_json(work: Path) -> None:
    options = ["--methods", "random,k-center", "--set", "random.by=label", "-o", "out"]
    done = coresift(*COMPARE, *options, cwd=work)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "rows  20 of 1,797"
    assert lines[1].split() == ["metric", "better", "uniform", "random", "k-center"]
    assert [line.split()[0] for line in lines[2:6]] == [
        "coverage_max", "mmd", "seconds", "peak_rss_bytes",
    ]  # fmt: skip
    assert lines[2].endswith(" *")
    assert "more than 2 times the pooled standard deviation" in done.out
    (work / "one.toml").write_text("[compare]\nmethods = ['random']\nset = ['random.by=label']\n")
    alone = ["--config", "one.toml", "--seeds", "1", "-o", "x.parquet", "--json"]
    told = coresift(*COMPARE, *alone, cwd=work)
    assert told.code == 0, told.err
    facts = json.loads(told.out)
    assert (facts["output"], facts["methods"], len(facts["runs"])) == ("x.parquet", ["random"], 1)
    table = pq.read_table(work / "out" / "compare.parquet")
    assert table.slice(0, 2).drop(["seconds", "peak_rss_bytes"]) == pq.read_table(
        work / "x.parquet"
    ).drop(["seconds", "peak_rss_bytes"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("random", "'random' is not METHOD.option=value"),
        ("random=3", "'random=3' is not METHOD.option=value"),
        ("rand.by=3", "'rand.by=3': no selection method 'rand'"),
        ("sensitivity.with-replacement=1", "neither true nor false"),
    ],
)
def test_wrong_settings(setting: str, message: str, work: Path) -> None:
    done = coresift(*COMPARE, "--methods", "random", "--set", setting, cwd=work)
    assert done.code == 2
    assert message in done.err


def test_settings_of_all_kinds() -> None:
    from coresift.cli.commands.compare import _settings, command

    found = _settings(
        command.make_context("compare", ["emb", "-n", "1", "--methods", "random"]),
        command.params[0],
        ["sensitivity.with-replacement=true", "random.by=a=b", "top-k.score=x"],
    )
    assert found == {
        "sensitivity": {"with_replacement": True}, "random": {"by": "a=b"}, "top-k": {"score": "x"},
    }  # fmt: skip


def test_a_replay_finds_the_same_values(work: Path) -> None:
    options = ["--methods", "random,k-center", "--set", "random.by=label", "--label", "label"]
    done = coresift(*COMPARE, *options, "-n", "2%", "--seed", 4, "-o", "first", cwd=work)
    assert done.code == 0, done.err
    again = coresift("replay", "first", "-o", "second", "--threads", 1, "--json", cwd=work)
    facts = json.loads(again.out)
    assert (again.code, facts["identical"], facts["files"]) == (0, True, 1), facts
    tables = [pq.read_table(work / name / "compare.parquet") for name in ("first", "second")]
    assert tables[0].num_rows == 2 * 2 * 2 * 2
    assert not tables[0]["seconds"].equals(tables[1]["seconds"])
    # and it would tell
    values = tables[1].to_pydict()
    values["value"][3] += 1e-12
    changed = pa.table(values, schema=tables[1].schema)
    pq.write_table(changed, work / "first" / "compare.parquet")
    again = coresift("replay", "first", "-o", "third", "--json", cwd=work)
    assert again.code == 1
    (difference,) = json.loads(again.out)["differences"]
    assert difference == "compare.parquet: differs in column 'value' after row 0"


def test_a_replay_wants_the_clustering_as_it_was(work: Path) -> None:
    write_clustering(work / "clusters", work / "emb", digits()[0][::90].astype(float))
    options = ["--methods", "sensitivity,random", "--clusters", "clusters", "-o", "with.parquet"]
    assert coresift(*COMPARE, *options, cwd=work).code == 0
    again = coresift("replay", "with.parquet", "-o", "same.parquet", cwd=work)
    assert (again.code, again.err) == (0, "")
    (work / "clusters").rename(work / "elsewhere")
    gone = coresift("replay", "with.parquet", "-o", "other.parquet", cwd=work)
    assert gone.code == 1
    assert gone.err.startswith(f"error: the clustering {work / 'clusters'} is gone")
    assert not (work / "other.parquet").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_comparison_leaves_nothing(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    digits_dump(tmp_path / "emb")
    command = [*map(str, COMPARE), "--methods", "random", "--seeds", "90", "--scratch", "."]
    with subprocess.Popen(
        [*PROGRAM, *command, "-o", "out"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        # until the first selection of many is done
        while not list(tmp_path.glob("coresift-compare-*/*.parquet")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (code, "")
    assert [path.name for path in tmp_path.iterdir()] == ["emb"]

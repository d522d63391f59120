"""A report on a comparison: what is refused, written and printed, and what makes it again."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import coresift
from coresift.core.errors import CoresiftError
from coresift.evaluation.panel import asked_for
from coresift.io.stamp import stamped
from coresift.reporting.command import comparison_line
from tests.cli.command import coresift as run
from tests.cli.command import leftovers
from tests.reporting.results import Comparisons, Results


@pytest.mark.parametrize("sizes", ["two", "one"])
def test_the_command_compares_again(sizes: str, comparisons: Comparisons, tmp_path: Path) -> None:
    source: Path = getattr(comparisons, sizes)
    content = coresift.report_comparison(source).content
    words = shlex.split(content.command.replace("\\\n", ""))
    assert words[1:3] == ["compare", str(comparisons.dump)]
    assert words[words.index("--set") + 1] == "random.by=label"
    assert words.count("--set") == 1
    words[-1] = str(tmp_path / "again.parquet")
    done = run(*words[1:], cwd=tmp_path)
    assert done.code == 0, done.err
    costs = ["seconds", "peak_rss_bytes"]
    tables = [
        pq.read_table(path).drop(costs)
        for path in (
            source / "compare.parquet" if source.is_dir() else source,
            tmp_path / "again.parquet",
        )
    ]
    assert tables[0].equals(tables[1])
    assert shlex.split(content.replay)[:3] == ["coresift", "replay", str(source)]


def test_the_usual_metrics_are_not_spelled_out(comparisons: Comparisons) -> None:
    made = coresift.report_comparison(comparisons.one).content.provenance
    assert "--metrics" in comparison_line(made, "x")
    made.params["metrics"] = sorted(asked_for(None, label=True, agree=False, near=None))
    made.params["methods"]["sensitivity"] = {"with_replacement": True, "exponent": 3.0}
    words = comparison_line(made, "x")
    assert "--metrics" not in words
    assert "sensitivity.with_replacement=true" in words
    assert "sensitivity.exponent=3" in words


def test_a_page_by_the_command(comparisons: Comparisons, tmp_path: Path) -> None:
    done = run("report", comparisons.two, "-o", "r.html", "--json", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    facts = json.loads(done.out)
    assert facts["methods"] == ["random", "k-center", "herding"]
    assert (facts["sizes"], facts["figures"]) == ([20, 120], 5)
    assert facts["bytes"] == (tmp_path / "r.html").stat().st_size
    origin = stamped(tmp_path / "r.html")
    assert origin is not None
    assert origin.parents["comparison"]["path"] == str(comparisons.two)
    again = run("report", comparisons.two, "-o", "r.html", cwd=tmp_path)
    assert again.code == 1
    assert "r.html" in again.err


def test_a_picture(comparisons: Comparisons, tmp_path: Path) -> None:
    for path in (comparisons.two, comparisons.one):
        found = coresift.report_comparison(path, output=tmp_path / "r.png", overwrite=True)
        assert (tmp_path / "r.png").read_bytes()[:4] == b"\x89PNG"
        assert found.bytes > 10_000
        assert stamped(tmp_path / "r.png") is not None


def test_a_table_in_the_terminal(comparisons: Comparisons, tmp_path: Path) -> None:
    done = run("report", comparisons.two, "--terminal", cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "rows  20 of 600"
    assert lines[1].split() == ["metric", "better", "uniform", "random", "k-center", "herding"]
    assert lines[2].split()[0] == "coverage_max"
    assert " *" in lines[2]
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (["--label", "label"], "--label is for a clustering or a selection", "leave it out"),
        (["--no-metrics"], "--metrics is for a clustering or a selection", "leave it out"),
        (["--colour", "cluster"], "--colour is for a clustering or a selection", "leave it out"),
        (["--metric", "cosine"], "--metric is for a clustering or a selection", "leave it out"),
        (["--sample", "10000"], "--sample is for a clustering or a selection", "leave it out"),
        (["--engine", "ray", "--ray-address", "127.0.0.3:1"], "", "leave out --engine ray"),
    ],
)
def test_refused(
    options: list[str], message: str, hint: str, comparisons: Comparisons, tmp_path: Path
) -> None:
    done = run("report", comparisons.one, "-o", "r.html", *options, cwd=tmp_path)
    assert done.code == 1
    first, second = done.err.splitlines()
    assert message in first
    assert hint in second or "ray" in first
    assert leftovers(tmp_path) == []


def test_how_rows_were_read_may_be_said_again(comparisons: Comparisons, tmp_path: Path) -> None:
    metric = ["--metric", "l2", "--seed", "7"]
    done = run("report", comparisons.one, "-o", "r.html", *metric, cwd=tmp_path)
    assert done.code == 0, done.err


def test_what_is_no_comparison(results: Results, comparisons: Comparisons, tmp_path: Path) -> None:
    with pytest.raises(CoresiftError, match="result of `coresift select`, not a comparison"):
        coresift.report_comparison(results.subset)
    with pytest.raises(CoresiftError, match="neither a clustering nor a selection") as caught:
        coresift.report(comparisons.two)
    assert "report_comparison" in str(caught.value.hint)
    table = pq.read_table(comparisons.one)
    broken = {
        "fewer.parquet": table.drop(["better"]),
        "none.parquet": table.slice(0, 0),
        "uneven.parquet": table.slice(1),
        "text.parquet": table.set_column(4, "value", pa.array(["x"] * table.num_rows)),
    }
    for name, other in broken.items():
        pq.write_table(other.replace_schema_metadata(table.schema.metadata), tmp_path / name)
        with pytest.raises(CoresiftError, match=f"{name}: not the table of a comparison"):
            coresift.report_comparison(tmp_path / name)

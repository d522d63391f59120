"""The verb compare: the rows that select chooses, by the metrics that evaluate finds."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from coresift.api import apart, entries
from coresift.api.compare import compare
from coresift.api.evaluate import evaluate
from coresift.api.select import select
from coresift.core.errors import CoresiftError, ResourceError
from coresift.core.memory import current_rss
from coresift.io import vectors as vectors_module
from coresift.io.provenance import find_provenance
from tests.data import digits, digits_dump
from tests.selection.saved import write_clustering


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    return digits_dump(tmp_path / "dump", files=3)


@pytest.fixture
def clusters(tmp_path: Path, dump: Path) -> Path:
    return write_clustering(tmp_path / "clusters", dump, digits()[0][::90].astype(float))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Selections in this process; their calls."""
    calls: list[dict[str, Any]] = []

    def call(method: str, **options: Any) -> dict[str, Any]:
        calls.append({"method": method, **options})
        paths = options.pop("paths")
        # this process holds more than one of its own would
        options["memory"] = None
        return select(method, paths, **json.loads(json.dumps(options))).to_json()

    monkeypatch.setattr(entries, "select_apart", call)
    return calls


def test_runs_are_those_of_select_and_evaluate(
    tmp_path: Path, dump: Path, clusters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()

    def watched(method: str, **options: Any) -> dict[str, Any]:
        told = apart.select_apart(method, **options)
        shutil.copy(options["output"], kept / f"{method}-{options['seed']}.parquet")
        return told

    monkeypatch.setattr(entries, "select_apart", watched)
    scratch = tmp_path / "scratch"
    found = compare(
        dump,
        size="5%",
        methods=["random", "sensitivity", "facility-location"],
        seeds=2,
        seed=3,
        clusters=clusters,
        label="label",
        metrics=["all"],
        params={"sensitivity": {"exponent": 1.0}},
        output=tmp_path / "out",
        scratch=scratch,
        memory=2 << 30,
    )
    assert list(scratch.iterdir()) == []
    assert [(run.method, run.seed, run.size) for run in found.runs] == [
        ("random", 3, 90), ("random", 4, 90), ("sensitivity", 3, 90), ("sensitivity", 4, 90),
        ("facility-location", 3, 90),
    ]  # fmt: skip
    for run in found.runs:
        mine = tmp_path / f"{run.method}-{run.seed}.parquet"
        options: dict[str, Any] = {"size": "5%", "seed": run.seed, "output": mine}
        if run.method == "sensitivity":
            options |= {"clusters": clusters, "params": {"exponent": 1.0}}
        select(run.method, dump, **options)
        theirs = pq.read_table(kept / mine.name)
        assert theirs == pq.read_table(mine, columns=theirs.column_names)
        alone = evaluate(mine, full=dump, clusters=clusters, label="label", metrics=["all"], seed=3)
        assert run.metrics == alone.metrics
        assert run.seconds > 0
        assert run.peak_rss_bytes > 30 << 20
    table = pq.read_table(tmp_path / "out" / "compare.parquet")
    assert table.column_names == [
        "method", "size", "seed", "metric", "value", "random", "random_std", "better", "seconds",
        "peak_rss_bytes",
    ]  # fmt: skip
    assert table.num_rows == 5 * len(found.runs[0].metrics)
    row = table.to_pylist()[0]
    metric = found.runs[0].metrics[row["metric"]]
    assert (row["value"], row["random"], row["better"]) == (
        metric.value, metric.random, metric.better,
    )  # fmt: skip
    origin = find_provenance(tmp_path / "out" / "compare.parquet")
    assert origin is not None
    assert origin == find_provenance(tmp_path / "out")
    assert (origin.command, origin.method, origin.seed) == (
        "compare", "random,sensitivity,facility-location", 3,
    )  # fmt: skip
    assert origin.params["methods"]["sensitivity"]["exponent"] == 1.0
    assert origin.parents["clustering"]["path"] == str(clusters)
    summary = json.loads((tmp_path / "out" / "manifest.json").read_text())["summary"]
    assert (summary["sizes"], summary["seeds"], summary["margin"]) == ([90], [3, 4], 2.0)


def test_standings(dump: Path, here: list[dict[str, Any]]) -> None:
    found = compare(
        dump,
        size=[40, "10%"],
        methods=["random", "k-center", "facility-location"],
        seeds=3,
        metrics=["coverage_max", "coverage_mean", "mmd"],
    )
    assert len(here) == 2 * (3 + 3 + 1)
    assert found.sizes == (40, 180)
    by_name = {(one.size, one.metric): one for one in found.standings}
    assert [metric for size, metric in by_name if size == 40] == [
        "coverage_mean", "coverage_max", "mmd", "seconds", "peak_rss_bytes",
    ]  # fmt: skip
    for size in found.sizes:
        assert by_name[size, "coverage_max"].best == "k-center"
        assert by_name[size, "coverage_mean"].best == "facility-location"
        one = by_name[size, "mmd"]
        values = [
            run.metrics["mmd"].value
            for run in found.runs
            if (run.size, run.method) == (size, "random")
        ]
        assert one.mean["random"] == pytest.approx(sum(values) / 3)
        assert one.std["facility-location"] == 0.0
        assert one.random == found.runs[0 if size == 40 else -1].metrics["mmd"].random
        assert by_name[size, "seconds"].best is None
        assert by_name[size, "seconds"].std["facility-location"] is None


def test_vectors_are_read_once(
    dump: Path, here: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    plain = vectors_module.vector_batches

    def counted(given: Any, shard: Any) -> Any:
        read.append(shard.rows)
        return plain(given, shard)

    monkeypatch.setattr(vectors_module, "vector_batches", counted)
    options: dict[str, Any] = {"size": 30, "methods": ["random", "k-center"], "seeds": 2}
    compare(dump, metrics=["coverage_mean"], **options)
    assert len(here) == 4
    assert sum(read) == 1797


def test_all_within_the_budget(dump: Path, here: list[dict[str, Any]]) -> None:
    total = current_rss() + (300 << 20)
    compare(dump, size=30, methods=["random"], seeds=1, metrics=["mmd"], memory=total)
    # what this process does not hold itself
    assert 0 < here[0]["memory"] < total - (60 << 20)


def test_the_clusterings_reading_is_followed(
    tmp_path: Path, dump: Path, here: list[dict[str, Any]]
) -> None:
    from coresift.api.cluster import cluster

    folder = tmp_path / "c"
    cluster(dump, k=5, output=folder, iterations=2, where="label < 5", metric="cosine")
    found = compare(dump, size=20, methods=["random"], seeds=1, clusters=folder)
    assert found.rows_full == (digits()[1] < 5).sum()
    assert (here[0]["where"], here[0]["metric"], here[0]["clusters"]) == (
        "label < 5", "cosine", None,
    )  # fmt: skip
    assert found.runs[0].metrics["coverage_max"].value < 2**0.5


def test_refused_before_anything_runs(
    tmp_path: Path, dump: Path, clusters: Path, here: list[dict[str, Any]]
) -> None:
    (tmp_path / "there").write_text("")
    cases: list[tuple[str, dict[str, Any]]] = [
        ("no selection method 'k-centre'", {"methods": ["random", "k-centre"]}),
        ("sensitivity needs a clustering", {"methods": ["random", "sensitivity"]}),
        ("top-k needs a score", {"methods": ["random", "top-k"]}),
        ("influence needs gradients", {"methods": ["random", "influence"]}),
        (
            "dedup takes no size, so that it cannot be compared at one",
            {"methods": ["random", "dedup"]},
        ),
        ("no method to compare", {"methods": []}),
        ("--set names k-center, which is not compared", {"params": {"k-center": {"given": "x"}}}),
        ("random has no option 'bye'", {"params": {"random": {"bye": "label"}}}),
        ("--seeds 0 is not at least 1", {"seeds": 0}),
        ("size 1,798 is more than the 1,797 rows to choose from", {"size": [10, 1798]}),
        ("--metrics: no metric 'x'", {"metrics": ["x"]}),
        ("--metrics: knn_accuracy needs --label", {"metrics": ["knn_accuracy"]}),
        ("there: exists already", {"output": "there"}),
    ]
    for message, changed in cases:
        if "output" in changed:
            changed["output"] = tmp_path / changed["output"]
        with pytest.raises(CoresiftError) as caught:
            compare(dump, **{"size": 10, "methods": ["random"], **changed})
        assert message in caught.value.message
    assert here == []


def test_what_a_selection_raises(tmp_path: Path, dump: Path) -> None:
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    params = {"random": {"by": "klass"}}
    with pytest.raises(CoresiftError) as caught:
        compare(dump, size=9, methods=["random"], params=params, output=out, scratch=scratch)
    assert caught.value.message.startswith("random: ")
    assert "no column 'klass'" in caught.value.message
    assert caught.value.hint
    assert not out.exists()
    assert list(scratch.iterdir()) == []


def test_a_process_that_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dies(subprocess.Popen[str]):
        def communicate(self, *given: Any, **named: Any) -> Any:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
            return super().communicate("", *given[1:], **named)

    monkeypatch.setattr(subprocess, "Popen", Dies)
    with pytest.raises(ResourceError) as caught:
        apart.select_apart("random", paths=["x"])
    assert caught.value.message == "random: its process ended with code -9"


def test_the_same_comparison_twice_at_once(
    tmp_path: Path, dump: Path, here: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {"size": 40, "methods": ["random"], "seeds": 1, "repeats": 1}
    asked |= {"metrics": ["mmd"], "scratch": str(tmp_path / "scratch")}
    meanwhile: list[Any] = []
    call = vars(entries)["select_apart"]

    def while_another_runs(method: str, **options: Any) -> Any:
        if not meanwhile:
            meanwhile.append(None)
            meanwhile[0] = compare(dump, **asked)
        return call(method, **options)

    monkeypatch.setattr(entries, "select_apart", while_another_runs)
    mine = compare(dump, **asked)
    assert meanwhile[0] is not None
    assert mine.runs[0].metrics == meanwhile[0].runs[0].metrics
    assert list((tmp_path / "scratch").iterdir()) == []

"""The verb evaluate: what it inherits, what it refuses, and what it finds on digits."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coresift.api.cluster import cluster
from coresift.api.evaluate import Evaluation, evaluate
from coresift.api.select import select
from coresift.clustering.points import sample_rows
from coresift.core.errors import CoresiftError, InputError, MismatchError
from coresift.core.memory import current_rss
from coresift.evaluation.agreement import cka, jaccard
from coresift.evaluation.vendi import effective_number
from coresift.io.vectors import Vectors, ingest
from tests.clustering.rows import Rows, brute_force
from tests.data import digits, digits_dump, gaussians, vector_table, write_dump

NAMES = [
    "kmeans_cost_error_mean", "kmeans_cost_error_max", "coverage_mean", "coverage_max", "mmd",
    "clusters_hit", "sliced_wasserstein", "vendi_score",
]  # fmt: skip
LABEL_NAMES = ["label_entropy", "label_min_share", "probe_accuracy", "probe_accuracy_full"]


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    return digits_dump(tmp_path / "dump", files=3)


def rows_file(path: Path, rows: list[int], **columns: object) -> Path:
    """Rows by id, as another program would write them."""
    pq.write_table(pa.table({"row": pa.array(rows, pa.int64()), **columns}), path)
    return path


def chosen(dump: Path, path: Path, size: int | str = 180, **options: object) -> Path:
    """Select at random, under another seed than evaluations take by default."""
    select("random", dump, size=size, output=path, **{"seed": 1, **options})  # type: ignore[arg-type]
    return path


def test_fields(tmp_path: Path, dump: Path) -> None:
    found = evaluate(chosen(dump, tmp_path / "s.parquet"), full=dump, label="label", repeats=3)
    told = json.loads(json.dumps(found.to_json()))
    assert told["rows_full"] == 1797
    assert told["rows_subset"] == 180
    assert told["weight_sum"] == pytest.approx(1797)
    assert told["metrics"].keys() == {*NAMES, *LABEL_NAMES}
    for metric in told["metrics"].values():
        assert metric.keys() == {"value", "random", "random_std", "better"}
        assert all(isinstance(metric[name], float) for name in ("value", "random", "random_std"))
    assert {name for name, metric in told["metrics"].items() if metric["better"] == "higher"} == {
        "clusters_hit", "vendi_score", *LABEL_NAMES,
    }  # fmt: skip
    assert told["seconds"].keys() == {
        "read", "clusters", "cost", "coverage", "mmd", "label", "probe", "sliced", "vendi", "total",
    }  # fmt: skip
    assert told["peak_rss_bytes"] > 0
    assert (told["mmd_method"], told["k"], told["clusters"]) == ("exact", 100, None)
    assert told["notes"][0] == (
        "no clustering was at hand: a k-means with k=100 was trained as reference"
    )
    assert told["notes"][-1] == "mmd: exact, over all pairs of 1,797 rows"


def test_the_whole_is_perfect(tmp_path: Path, dump: Path) -> None:
    path = chosen(dump, tmp_path / "s.parquet", "100%")
    found = evaluate(path, full=dump, label="label", repeats=1)
    perfect = {name: 1.0 if name == "clusters_hit" else 0.0 for name in NAMES}
    perfect["vendi_score"] = effective_number(digits()[0])
    assert {name: found.metrics[name].value for name in NAMES} == perfect
    assert {name: found.metrics[name].random for name in NAMES} == perfect
    accuracy = found.metrics["probe_accuracy"]
    assert accuracy.value == found.metrics["probe_accuracy_full"].value > 0.93
    counts = np.bincount(digits()[1])
    shares = counts / counts.sum()
    entropy = -(shares * np.log(shares)).sum()
    assert found.metrics["label_entropy"].value == pytest.approx(entropy)
    assert found.metrics["label_min_share"].value == pytest.approx(shares.min())
    assert accuracy.random_std is None


def test_random_rows_are_like_the_baseline(tmp_path: Path, dump: Path) -> None:
    found = evaluate(
        chosen(dump, tmp_path / "s.parquet"), full=dump, label="label", repeats=12, seed=7
    )
    for name in [*NAMES, *LABEL_NAMES[:3]]:
        metric = found.metrics[name]
        assert metric.random_std is not None
        assert abs(metric.value - metric.random) <= 4.0 * metric.random_std, name


def test_the_baseline_is_the_mean_over_uniform_subsets(tmp_path: Path, dump: Path) -> None:
    path = rows_file(tmp_path / "s.parquet", list(range(40)))
    found = evaluate(path, full=dump, label="label", repeats=4, seed=2)
    vectors, labels = digits()
    coverage, entropy = [], []
    for index in range(4):
        rows = sample_rows(Rows(vectors), 40, 2, f"evaluate/random/{index}")
        coverage.append(np.sqrt(brute_force(vectors, vectors[rows])[1]).mean())
        shares = np.bincount(labels[rows]) / 40
        entropy.append(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())
    for name, values in (("coverage_mean", coverage), ("label_entropy", entropy)):
        assert found.metrics[name].random == pytest.approx(np.mean(values))
        assert found.metrics[name].random_std == pytest.approx(np.std(values, ddof=1))


def results(found: Evaluation) -> dict[str, object]:
    told = found.to_json()
    return {name: told[name] for name in told if name not in ("seconds", "peak_rss_bytes")}


def test_files_batches_threads_and_memory_leave_no_trace(
    tmp_path: Path, dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident = []

    def spy(*given: Any, **named: Any) -> Vectors:
        vectors = ingest(*given, **named)
        resident.append(vectors.resident)
        return vectors

    monkeypatch.setattr("coresift.api.run.ingest", spy)
    other = digits_dump(tmp_path / "other", files=12, row_group_size=50)
    path = rows_file(tmp_path / "s.parquet", list(range(5, 905, 9)), weight=np.linspace(1, 35, 100))
    options: dict[str, Any] = {"label": "label", "metrics": ["all"]}
    expected = results(evaluate(path, full=dump, threads=1, **options))
    assert results(evaluate(path, full=other, threads=2, **options)) == expected
    assert results(evaluate(path, full=dump, batch_rows=300, **options)) == expected
    tight = current_rss() + (80 << 20)
    found = evaluate(path, full=other, threads=2, memory=tight, scratch=tmp_path, **options)
    assert results(found) == expected
    assert resident == [True, True, True, False]


def test_more_rows_than_the_exact_mmd_takes(tmp_path: Path) -> None:
    table = vector_table(gaussians(12_000, 8, 20), label=np.arange(12_000) % 20)
    one = write_dump(tmp_path / "one", table)
    many = write_dump(tmp_path / "many", table, files=7, row_group_size=300)
    path = rows_file(tmp_path / "s.parquet", list(range(0, 12_000, 60)))
    found = evaluate(path, full=one, label="label", repeats=2, sample=500, threads=1)
    again = evaluate(path, full=many, label="label", repeats=2, sample=500, batch_rows=1000)
    assert results(found) == results(again)
    assert found.mmd_method == "random_fourier_features"
    assert found.notes[-1] == "mmd: by 2,048 random features, as there are 12,000 rows"
    assert "coverage was measured from 500 of 12,000 rows, drawn uniformly" in found.notes
    assert found.coverage_rows == 500
    # every 60th row is of one of the 20 classes
    assert found.metrics["label_entropy"].value == 0.0
    assert found.metrics["probe_accuracy"].value == pytest.approx(0.05, abs=0.02)
    assert found.metrics["mmd"].value > 3 * found.metrics["mmd"].random


def test_metrics_by_name(tmp_path: Path, dump: Path) -> None:
    path = chosen(dump, tmp_path / "s.parquet", "100%")
    usual = evaluate(path, full=dump, repeats=1)
    every = evaluate(path, full=dump, label="label", metrics=["all"], repeats=1)
    assert every.metrics.keys() == {
        *NAMES, *LABEL_NAMES, "knn_accuracy", "p_precision", "p_recall", "knn_coverage",
        "duplicates_equal", "duplicates_near",
    }  # fmt: skip
    assert {name: every.metrics[name] for name in NAMES} == usual.metrics
    whole = {"p_recall": 1.0, "knn_coverage": 1.0, "duplicates_equal": 0.0}
    assert {name: every.metrics[name].value for name in whole} == whole
    assert every.metrics["knn_accuracy"].value > 0.97
    near = "duplicates_near: within 0.3068, 0.1 times the median distance between rows"
    assert near in every.notes
    few = evaluate(path, full=dump, metrics=["vendi_score", "p_recall"], repeats=1)
    assert list(few.metrics) == ["p_recall", "vendi_score"]
    assert few.metrics["p_recall"] == every.metrics["p_recall"]
    assert (few.k, few.mmd_method, few.mmd_bandwidth, few.notes) == (None, None, None, ())
    assert few.seconds.keys() == {"read", "balls", "vendi", "total"}
    wide = evaluate(path, full=dump, metrics=["duplicates_near"], near=100.0, repeats=1)
    assert wide.metrics["duplicates_near"].value == 1.0


def test_another_models_vectors(tmp_path: Path) -> None:
    vectors, labels = digits()
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0]
    table = vector_table(vectors, label=labels)
    halves = vectors[:, ::2]
    for name, column in (("turned", 3 * vectors @ turn), ("half", halves)):
        other = vector_table(column.astype(np.float32))["embedding"]
        table = table.append_column(name, other)
    dump = write_dump(tmp_path / "dump", table, files=3, row_group_size=100)
    path = rows_file(tmp_path / "s.parquet", list(range(0, 1797, 3)))
    options = {"full": dump, "embedding": "embedding", "repeats": 2, "metrics": ["all"]}
    turned = evaluate(path, agree="turned", **options).metrics  # type: ignore[arg-type]
    assert turned["agree_cka"].value == pytest.approx(1.0, abs=1e-6)
    assert turned["agree_jaccard"].value > 0.99
    options["metrics"] = ["agree_cka", "agree_jaccard"]
    half = evaluate(path, agree="half", threads=1, **options).metrics  # type: ignore[arg-type]
    again = evaluate(path, agree="half", batch_rows=40, **options).metrics  # type: ignore[arg-type]
    assert half == again
    assert half["agree_cka"].value == pytest.approx(cka(vectors[::3], halves[::3]))
    assert half["agree_jaccard"].value == jaccard(vectors[::3], halves[::3])
    assert 0.1 < half["agree_jaccard"].random < half["agree_cka"].random < 1.0
    usual = evaluate(path, agree="half", **{**options, "metrics": None})  # type: ignore[arg-type]
    assert usual.metrics.keys() == {*NAMES, "agree_cka", "agree_jaccard"}
    for column, message in (
        ("embedding", "--agree 'embedding' is the column that rows are compared by"),
        ("none", "no column 'none' among the columns "),
        ("label", "column 'label' is int64, not a vector column"),
    ):
        with pytest.raises(CoresiftError) as caught:
            evaluate(path, agree=column, **options)  # type: ignore[arg-type]
        assert message in caught.value.message


def test_rows_of_another_program(tmp_path: Path, dump: Path) -> None:
    rows = [9, 3, 1700, 44]
    path = rows_file(tmp_path / "s.parquet", rows)
    found = evaluate(path, full=dump)
    assert found.weight_sum == 1797.0
    assert found.notes[:2] == (
        f"{path} has no provenance: its rows are taken to be those of --full",
        f"{path} has no weights: each row stands for an equal share",
    )
    weights = pa.array([4.0, 3.0, 2.0, 1.0])
    heavy = evaluate(rows_file(tmp_path / "w.parquet", rows, weight=weights), full=dump)
    ordered = rows_file(
        tmp_path / "o.parquet", [3, 9, 44, 1700], weight=pa.array([3.0, 4.0, 1.0, 2.0])
    )
    assert heavy.metrics == evaluate(ordered, full=dump).metrics
    assert heavy.weight_sum == 10.0
    assert heavy.metrics["mmd"].value != found.metrics["mmd"].value


def test_the_selections_reading_is_followed(tmp_path: Path, dump: Path) -> None:
    path = chosen(dump, tmp_path / "s", 50, where="label < 5", metric="cosine", prefix="cs_")
    found = evaluate(path, full=dump, label="label")
    assert found.rows_full == (digits()[1] < 5).sum()
    assert found.weight_sum == pytest.approx(found.rows_full)
    assert found.metrics["label_entropy"].value == pytest.approx(np.log(5), abs=0.1)
    assert found.metrics["coverage_max"].value < np.sqrt(2)
    straight = evaluate(path, full=dump, label="label", metric="l2")
    assert straight.notes[0] == "the subset was selected with --metric 'cosine'"
    assert straight.metrics["coverage_max"].value > np.sqrt(2)
    with pytest.raises(InputError) as caught:
        evaluate(path, full=dump, where="label < 4")
    assert caught.value.message.startswith(f"{path}: row ")
    kept, first = int((digits()[1] < 4).sum()), dump / "emb-000.parquet"
    rest = f"not among the {kept:,} rows that --where and --invalid keep of {first} (and 2 more)"
    assert caught.value.message.endswith(f" more are {rest}")
    alone = rows_file(tmp_path / "alone.parquet", [0, 4])
    with pytest.raises(InputError) as caught:
        evaluate(alone, full=dump, where="label < 4")
    assert caught.value.message == f"{alone}: row 4 is {rest}"


def test_which_clustering_is_used(tmp_path: Path, dump: Path) -> None:
    folder, other = tmp_path / "clustering", tmp_path / "other"
    cluster(dump, k=20, output=folder, iterations=2)
    cluster(dump, k=30, output=other, iterations=2)
    path = tmp_path / "s.parquet"
    select("sensitivity", dump, size=100, output=path, clusters=folder)
    found = evaluate(path, full=dump)
    assert (found.k, found.clusters) == (20, str(folder))
    hit = set(pq.read_table(path).column("cluster").to_pylist())
    assert found.metrics["clusters_hit"].value == len(hit) / 20
    assert (evaluate(path, full=dump, clusters=other).k, found.notes[:-1]) == (30, ())

    told = evaluate(path, full=dump, metric="cosine")
    assert (told.k, told.clusters) == (100, None)
    assert told.notes[1] == (
        "the clustering that the subset was selected with is not used: "
        f"{folder} was made with --metric 'l2', and this evaluation reads otherwise"
    )
    with pytest.raises(MismatchError) as caught:
        evaluate(path, full=dump, metric="cosine", clusters=folder)
    assert caught.value.message == (
        f"{folder} was made with --metric 'l2', and this evaluation reads otherwise"
    )
    shutil.rmtree(folder)
    shutil.copytree(other, folder)
    changed = evaluate(path, full=dump)
    assert (changed.k, changed.notes[0]) == (
        100, f"{folder}, which the subset was selected with, has changed since",
    )  # fmt: skip
    shutil.rmtree(folder)
    gone = evaluate(path, full=dump)
    assert gone.k == 100
    assert gone.notes[0] == (
        "the clustering that the subset was selected with is not used: "
        f"{folder}: no such file or directory"
    )


def test_a_gpu_is_not_used_and_that_is_told(
    tmp_path: Path, dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rows_file(tmp_path / "s.parquet", [1, 2])
    expected = evaluate(path, full=dump, repeats=1)
    # as on a machine with a GPU
    monkeypatch.setattr("coresift.clustering.kernels.choose_kernel", lambda *_: "faiss")
    found = evaluate(path, full=dump, repeats=1, device="cuda")
    assert found.metrics == expected.metrics
    assert "evaluate ran on the CPU: it has no work for --device cuda" in found.notes


def test_results_of_another_dump(tmp_path: Path, dump: Path) -> None:
    other = digits_dump(tmp_path / "other", files=2)
    path = chosen(dump, tmp_path / "s.parquet")
    with pytest.raises(MismatchError) as caught:
        evaluate(path, full=other)
    assert caught.value.message == f"{path} was made from another input: 2 files here, 3 there"
    assert caught.value.hint == "give --full the dump that the rows were selected from"
    clustering = tmp_path / "clustering"
    cluster(other, k=5, output=clustering, iterations=1)
    with pytest.raises(MismatchError) as caught:
        evaluate(path, full=dump, clusters=clustering)
    assert caught.value.message == (
        f"{clustering} was made from another input: 3 files here, 2 there"
    )
    cluster(dump, k=5, output=tmp_path / "mine", iterations=1)
    with pytest.raises(InputError) as refused:
        evaluate(tmp_path / "mine" / "representatives.parquet", full=dump)
    assert refused.value.message.endswith(
        "representatives.parquet: a result of `coresift cluster`, not a selection"
    )


def test_what_is_refused(tmp_path: Path, dump: Path) -> None:
    path = rows_file(tmp_path / "s.parquet", [1, 2])
    first = f"{dump / 'emb-000.parquet'} (and 2 more)"
    whole = f"{tmp_path / 'x.parquet'}: "
    cases: list[tuple[str, dict[str, object]]] = [
        ("--repeats 0 is not at least 1", {"repeats": 0}),
        ("--sample 0 is not at least 1", {"sample": 0}),
        (f"--label: no column 'klass' in {first}", {"label": "klass"}),
        ("--metrics: no metric 'vendi'", {"metrics": ["usual", "vendi"]}),
        ("--metrics: knn_accuracy needs --label", {"metrics": ["knn_accuracy"]}),
        ("--metrics: agree_cka needs --agree", {"metrics": ["agree_cka"]}),
        ("--metrics names no metric", {"metrics": []}),
        ("--near -1 is not a distance of at least 0", {"near": -1.0}),
        ("--near is about duplicates_near, which is not measured", {"near": 1.0}),
        (f"{tmp_path / 'none'}: no such file or directory", {"subset": tmp_path / "none"}),
        (f"{tmp_path / 'none'}: no such file or directory", {"clusters": tmp_path / "none"}),
    ]
    for message, changed in cases:
        with pytest.raises(CoresiftError) as caught:
            evaluate(**{"subset": path, "full": dump, **changed})  # type: ignore[arg-type]
        assert caught.value.message == message
    tables: list[tuple[str, dict[str, object]]] = [
        ("no column 'row' with row ids", {"rows": [1, 2]}),
        ("column 'row' is double, not integer", {"row": [1.0, 2.0]}),
        ("1 nulls in column 'row'", {"row": [1, None]}),
        (f"row 1797 is not one of the 1,797 rows of {first}", {"row": [1, 1797]}),
        (f"row -1 is not one of the 1,797 rows of {first}", {"row": [1, -1]}),
        ("row 7 stands more than once", {"row": [7, 1, 7]}),
        ("column 'weight' is string, not a number", {"row": [1], "weight": ["1"]}),
        ("1 nulls in column 'weight'", {"row": [1, 2], "weight": [1.0, None]}),
        (
            "weight -1 of row 2 is not a finite number of at least 0",
            {"row": [3, 2], "weight": [1.0, -1.0]},
        ),
        (
            "weight nan of row 2 is not a finite number of at least 0",
            {"row": [3, 2], "weight": [1.0, float("nan")]},
        ),
        ("all weights are 0", {"row": [3, 2], "weight": [0, 0]}),
    ]
    for message, columns in tables:
        pq.write_table(
            pa.table({name: pa.array(values) for name, values in columns.items()}),
            tmp_path / "x.parquet",
        )
        with pytest.raises(InputError) as caught:
            evaluate(tmp_path / "x.parquet", full=dump)
        assert caught.value.message == whole + message


def test_a_provenance_that_cannot_be_read(tmp_path: Path, dump: Path) -> None:
    table = pa.table({"row": [1]}).replace_schema_metadata({b"coresift": b"{}"})
    pq.write_table(table, tmp_path / "s.parquet")
    with pytest.raises(InputError) as caught:
        evaluate(tmp_path / "s.parquet", full=dump)
    assert caught.value.message.startswith(
        f"{tmp_path / 's.parquet'}: provenance that cannot be read"
    )

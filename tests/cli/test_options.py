"""Options from the command line, the environment and a file; streams and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cli.command import coresift
from tests.data import digits_dump


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("options")
    digits_dump(folder / "emb")
    (folder / "all.toml").write_text(
        "seed = 5\n"
        "[cluster]\nk = 7\niterations = 2\n"
        "[select]\nsize = 12\n"
        "[select.random]\nby = 'label'\n"
    )
    return folder


def facts(work: Path, *arguments: object, **environment: str) -> dict[str, object]:
    """The one JSON object that a command prints."""
    done = coresift(*arguments, "--json", cwd=work, **environment)
    assert done.code == 0, done.err
    assert done.err == ""
    (line,) = done.out.splitlines()
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def test_the_command_line_comes_before_the_environment_before_the_file(work: Path) -> None:
    command = ["cluster", "emb", "--config", "all.toml", "--overwrite", "-o", "c"]
    assert facts(work, *command)["k"] == 7
    assert facts(work, *command, CORESIFT_CLUSTER_K="8")["k"] == 8
    assert facts(work, *command, "-k", 9, CORESIFT_CLUSTER_K="8")["k"] == 9
    assert facts(work, *command)["iterations"] == 2


def test_a_method_reads_its_own_table_and_variables(work: Path) -> None:
    command = ["select", "random", "emb", "--overwrite", "-o", "s"]
    found = facts(work, *command, "--config", "all.toml")
    assert found["rows_out"] == 12
    assert found["params"] == {"by": "label", "shares": "proportional"}
    assert facts(work, *command, CORESIFT_SELECT_SIZE="13")["rows_out"] == 13
    both = {"CORESIFT_SELECT_SIZE": "13", "CORESIFT_SELECT_RANDOM_SIZE": "14"}
    assert facts(work, *command, **both)["rows_out"] == 14


def test_the_seed_at_the_top_of_a_file_counts(work: Path) -> None:
    outputs = []
    for name, options in (
        ("seed-file", ["--config", "all.toml"]),
        ("seed-five", ["--seed", 5]),
        ("seed-six", ["--seed", 6]),
    ):
        facts(work, "select", "random", "emb", "-n", 12, "--by", "label", *options, "-o", name)
        outputs.append((work / name / "part-00000.parquet").read_bytes())
    assert outputs[0] == outputs[1]
    assert outputs[0] != outputs[2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[cluster]\niteration = 3\n", "unknown key 'iteration' in [cluster]; did you mean"),
        ("sede = 3\n", "unknown key 'sede'; did you mean 'seed'?"),
        ("[cluster\n", "not TOML"),
        ("cluster = 3\n", "unknown key 'cluster'"),
        ("[clutser]\nk = 3\n", "unknown table 'clutser'; did you mean 'cluster'?"),
        ("[cluster.kmeans]\nk = 3\n", "unknown table 'cluster.kmeans'"),
        ("[cluster]\nk = [3, 4]\n", "key 'k' takes one value, not a list"),
        ("[cluster]\niterations = 'few'\n", "'few' is not a valid integer"),
    ],
)
def test_a_wrong_file_is_wrong_usage(content: str, message: str, work: Path) -> None:
    (work / "wrong.toml").write_text(content)
    done = coresift("cluster", "emb", "-k", 2, "-o", "x", "--config", "wrong.toml", cwd=work)
    assert done.code == 2
    assert message in done.err
    assert not (work / "x").exists()


def test_options_go_by_the_names_of_their_flags(work: Path) -> None:
    command = ["select", "random", "emb", "-n", 3, "--overwrite", "-o", "named"]
    done = coresift(*command, cwd=work, CORESIFT_SELECT_RANDOM_JSON="1")
    assert json.loads(done.out)["rows_out"] == 3
    (work / "named.toml").write_text("json = true\ncolumns = ['label', 'id']\n")
    done = coresift(*command, "--config", "named.toml", cwd=work)
    assert json.loads(done.out)["rows_out"] == 3
    written = pq.read_schema(work / "named" / "part-00000.parquet").names
    assert written == ["id", "label", "row", "weight"]


def test_a_key_with_an_underscore_for_python_goes_by_its_flag(work: Path) -> None:
    facts(work, "cluster", "emb", "-k", 5, "-o", "named-c")
    (work / "lambda.toml").write_text("[select.sensitivity]\nlambda = 2.0\n")
    command = ["select", "sensitivity", "emb", "--clusters", "named-c", "-n", 3, "-o", "named-s"]
    for done in (
        coresift(*command, "--config", "lambda.toml", cwd=work),
        coresift(*command, cwd=work, CORESIFT_SELECT_SENSITIVITY_LAMBDA="2.0"),
    ):
        assert done.err.startswith("error: --lambda weighs distances against losses")


def test_a_file_may_name_one_of_what_repeats(work: Path) -> None:
    (work / "one.toml").write_text("vectors = 'nothing.npy'\n")
    done = coresift("inspect", "emb", "--config", "one.toml", cwd=work)
    assert done.err.startswith("error: nothing.npy: no such file")


def test_json_has_the_fields_of_the_contract(work: Path) -> None:
    assert {
        *("files", "rows", "row_groups", "embedding", "dim", "dtype", "layout", "invalid_rows"),
        *("duplicate_rows", "norm", "columns", "bytes"),
    } <= facts(work, "inspect", "emb").keys()
    clustered = facts(work, "cluster", "emb", "-k", 9, "-o", "fields-c")
    assert {
        *("rows", "dim", "k", "method", "iterations", "cost", "empty_clusters", "seconds"),
        *("peak_rss_bytes", "output"),
    } <= clustered.keys()
    seconds = clustered["seconds"]
    assert isinstance(seconds, dict)
    assert {"read", "train", "assign", "write", "total"} <= seconds.keys()
    chosen = facts(
        work,
        *("select", "sensitivity", "emb", "--clusters", "fields-c", "-n", "10%"),
        *("-o", "fields-s"),
    )
    assert {
        *("method", "rows_in", "rows_out", "weight_sum", "params", "seconds"),
        *("peak_rss_bytes", "output"),
    } <= chosen.keys()
    judged = facts(
        work, "evaluate", "fields-s", "--full", "emb", "--label", "label", "--repeats", 2
    )
    assert {"rows_full", "rows_subset", "metrics"} <= judged.keys()
    metrics = judged["metrics"]
    assert isinstance(metrics, dict)
    assert {
        *("kmeans_cost_error_mean", "kmeans_cost_error_max", "coverage_mean", "coverage_max"),
        *("mmd", "clusters_hit", "label_entropy", "label_min_share", "probe_accuracy"),
        "probe_accuracy_full",
    } <= metrics.keys()
    for metric in metrics.values():
        assert {"value", "random", "random_std", "better"} <= metric.keys()


def test_methods_are_a_list(work: Path) -> None:
    done = coresift("methods", "--json", cwd=work)
    methods = json.loads(done.out)
    assert [method["name"] for method in methods] == [
        *("balanced", "bandit", "coreset", "dedup", "facility-location", "herding", "influence"),
        *("k-center", "kernel-thinning", "max-min", "probability-coverage", "prototypes", "random"),
        *("semantic-compression", "sensitivity", "stochastic", "top-k"),
    ]
    for method in methods:
        assert method.keys() == {"name", "summary", "paper", "needs", "needs_one_of", "streaming"}


def test_a_method_shows_its_own_options_only(work: Path) -> None:
    random = coresift("select", "random", "--help", cwd=work).out
    assert "--by" in random
    assert "--losses" not in random
    assert "--clusters" not in random
    assert "--by " not in coresift("select", "sensitivity", "--help", cwd=work).out


def test_debug_shows_where(work: Path) -> None:
    quiet = coresift("cluster", "nothing", "-k", 2, "-o", "x", cwd=work)
    loud = coresift("cluster", "nothing", "-k", 2, "-o", "x", "--debug", cwd=work)
    assert "Traceback" not in quiet.err
    assert "Traceback" in loud.err
    assert loud.code == 1


def test_doctor_says_what_will_be_used(work: Path) -> None:
    found = facts(work, "doctor")
    assert found["kernel"] in {"blas", "faiss"}
    assert {"version", "blas", "memory", "extras", "gpus", "threads"} <= found.keys()

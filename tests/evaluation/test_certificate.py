"""Looking for the centers at which a coreset fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coresift.api.cluster import cluster
from coresift.api.evaluate import evaluate
from coresift.api.select import select
from coresift.core.errors import ParameterError, ResourceError
from coresift.evaluation import certificate as module
from coresift.evaluation.base import RowSet, Values
from coresift.evaluation.certificate import KINDS, Certificate, certify
from coresift.evaluation.cost import costs
from tests.cli.command import coresift
from tests.clustering.rows import Rows, brute_force
from tests.data import digits, digits_dump, gaussians
from tests.evaluation.cases import everything, resources, weighted

ARRAY = digits()[0]


def judged(
    array: NDArray[np.float32],
    sets: list[RowSet],
    k: int = 8,
    count: int = 16,
    *,
    objective: str = "kmeans",
    step: int = 500,
    known: NDArray[np.float32] | None = None,
    **lent: Any,
) -> tuple[Values, Certificate]:
    with resources(**lent) as given:
        return certify(
            Rows(array, step), sets, given, k=k, objective=objective, count=count, known=known
        )


def uniform(size: int, seed: int = 0) -> RowSet:
    rows = np.sort(np.random.default_rng(seed).choice(len(ARRAY), size, replace=False))
    return RowSet(rows.astype(np.int64), np.full(size, len(ARRAY) / size))


@pytest.mark.parametrize("objective", ["kmeans", "kmedian"])
def test_all_rows_are_never_wrong_and_double_ones_always(objective: str) -> None:
    double = RowSet(np.arange(len(ARRAY)), np.full(len(ARRAY), 2.0))
    values, certificate = judged(ARRAY, [everything(len(ARRAY)), double], objective=objective)
    assert values["coreset_error_max"] == pytest.approx([0.0, 1.0])
    assert values["coreset_error_mean"] == pytest.approx([0.0, 1.0])
    # 4 random, 4 seeded on all rows; for each of the sets 4 seeded on it and 4 searched for
    assert certificate.center_sets == 4 + 4 + 2 * (4 + 4)
    assert certificate.worst == dict.fromkeys(KINDS, 0.0)
    assert (certificate.objective, certificate.k) == (objective, 8)


@pytest.mark.parametrize(("objective", "power"), [("kmeans", 1.0), ("kmedian", 0.5)])
def test_errors_are_those_of_all_distances(
    objective: str, power: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[NDArray[np.float32]] = []

    def watched(points: Any, sets: Any, sought: Any, *rest: Any) -> Any:
        seen.extend(sought)
        return costs(points, sets, sought, *rest)

    monkeypatch.setattr(module, "costs", watched)
    sets = [weighted(len(ARRAY), 150), uniform(90)]
    values, certificate = judged(ARRAY, sets, objective=objective)
    assert len(seen) == certificate.center_sets
    for index, rows_of in enumerate(sets):
        errors = []
        for centers in seen:
            assert centers.shape == (8, 64)
            cost = brute_force(ARRAY, centers)[1] ** power
            errors.append((rows_of.weight @ cost[rows_of.rows]) / cost.sum() - 1.0)
        assert values["coreset_error_max"][index] == pytest.approx(np.abs(errors).max(), rel=1e-9)
        assert values["coreset_error_mean"][index] == pytest.approx(np.abs(errors).mean(), rel=1e-9)
        if index == 0:
            for worst in certificate.worst.values():
                assert worst in [pytest.approx(error, rel=1e-9) for error in errors]


def test_the_search_finds_what_seeding_does_not() -> None:
    _, certificate = judged(ARRAY, [uniform(100)], count=32)
    found = [abs(certificate.worst[kind]) for kind in KINDS]
    # centers fitted to the rows cost them far too little
    assert certificate.worst["local search"] < -0.1
    assert found[3] > 1.2 * max(found[:3])


def test_a_cluster_that_is_left_out_is_found() -> None:
    """Rows of one of five clusters are missing, and the others stand for them."""
    array = gaussians(1000, 6, 5)
    rows = np.flatnonzero(np.arange(1000) % 5 != 3).astype(np.int64)
    values, _ = judged(array, [RowSet(rows, np.full(len(rows), 1.25))], k=4)
    assert values["coreset_error_max"][0] > 0.9


def test_rows_that_cost_too_much_are_shown_up_by_centers_of_all_rows() -> None:
    far = np.argsort(brute_force(ARRAY, ARRAY.mean(axis=0, keepdims=True))[1])[-400:]
    chosen = RowSet(np.sort(far).astype(np.int64), np.full(400, len(ARRAY) / 400))
    values, certificate = judged(ARRAY, [chosen], k=3)
    assert certificate.worst["local search"] > 0.2
    assert values["coreset_error_max"][0] >= certificate.worst["local search"]


def test_known_centers_are_among_those_tried() -> None:
    known = np.full((8, 64), 7.0, np.float32)
    values, certificate = judged(ARRAY, [weighted(len(ARRAY), 100, 3)], known=known)
    cost = brute_force(ARRAY, known)[1]
    chosen = weighted(len(ARRAY), 100, 3)
    error = chosen.weight @ cost[chosen.rows] / cost.sum() - 1.0
    assert values["coreset_error_max"][0] >= abs(error) - 1e-9
    _, other = judged(ARRAY, [weighted(len(ARRAY), 100, 3)], known=known[:5])
    assert other.center_sets == certificate.center_sets


@pytest.mark.parametrize("size", [1, 5])
def test_more_centers_than_rows(size: int) -> None:
    values, _ = judged(ARRAY, [uniform(size)], k=12)
    assert values["coreset_error_max"][0] == pytest.approx(1.0, abs=0.2)


def test_rows_without_weight_do_not_count() -> None:
    chosen = uniform(100)
    weight = np.concatenate([chosen.weight[:60], np.zeros(40)])
    values, _ = judged(ARRAY, [RowSet(chosen.rows, weight)])
    few, _ = judged(ARRAY, [RowSet(chosen.rows[:60], weight[:60])])
    assert values["coreset_error_max"] == pytest.approx(few["coreset_error_max"])


def test_runs_and_threads_leave_no_trace_and_seeds_do(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [uniform(80), uniform(80, 1)]
    first, _ = judged(ARRAY, sets)
    other, _ = judged(ARRAY, sets, step=131, threads=2)
    seed, _ = judged(ARRAY, sets, seed=1)
    for name, values in first.items():
        assert values.tolist() == other[name].tolist()
        assert values.tolist() != seed[name].tolist()
    monkeypatch.setattr(module, "FITTED_ROWS", 40)
    fewer, _ = judged(ARRAY, sets)
    assert fewer["coreset_error_max"].tolist() != first["coreset_error_max"].tolist()
    with pytest.raises(ResourceError, match="centers fitted to 2 sets of rows"):
        judged(ARRAY, sets, memory=1)


def test_coresets_fail_less_than_uniform_rows_on_digits(tmp_path: Path) -> None:
    dump = digits_dump(tmp_path / "dump")
    cluster(dump, k=10, output=tmp_path / "clusters")
    for construction in ("sensitivity", "group"):
        errors = []
        for seed in range(4):
            path = tmp_path / f"{construction}-{seed}.parquet"
            params = {"construction": construction}
            clusters = tmp_path / "clusters"
            select(
                "coreset", dump, size=150, output=path, clusters=clusters, params=params, seed=seed
            )
            found = evaluate(path, full=dump, coreset=True, centers=16, repeats=3, seed=seed)
            metric = found.metrics["coreset_error_max"]
            assert found.metrics["coreset_error_mean"].value < metric.value
            errors.append((metric.value, metric.random))
        mine, theirs = np.mean(errors, axis=0)
        assert mine < theirs


def test_the_command_says_what_was_tried(tmp_path: Path) -> None:
    dump = digits_dump(tmp_path / "dump")
    params = {"objective": "kmedian", "construction": "lightweight"}
    select("coreset", dump, size=100, output=tmp_path / "s.parquet", params=params)
    command = ["evaluate", "s.parquet", "--full", "dump", "--coreset", "--centers", 8, "-k", 5]
    done = coresift(*command, "--repeats", 2, "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert {"coreset_error_max", "coreset_error_mean"} <= told["metrics"].keys()
    metric = told["metrics"]["coreset_error_max"]
    assert metric.keys() == {"value", "random", "random_std", "better"}
    assert metric["better"] == "lower"
    assert told["coreset"].keys() == {"objective", "k", "center_sets", "worst"}
    assert (told["coreset"]["objective"], told["coreset"]["k"]) == ("kmedian", 5)
    assert told["coreset"]["center_sets"] == 2 + 2 + 3 * (2 + 2)
    shown = coresift(*command, "--repeats", 2, cwd=tmp_path)
    assert "center sets" in shown.out
    assert "worst at local search" in shown.out
    without = evaluate(tmp_path / "s.parquet", full=dump, repeats=1)
    assert without.coreset is None
    assert "coreset_error_max" not in without.metrics


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"centers": 8}, "--centers is about --coreset, which is missing"),
        ({"k": 8}, "-k is about --coreset, which is missing"),
        ({"objective": "kmedian"}, "--objective is about --coreset, which is missing"),
        ({"coreset": True, "centers": 0}, "--centers 0 is not at least 1"),
        ({"coreset": True, "objective": "x"}, "--objective 'x' is not one of kmeans, kmedian"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterError) as caught:
        evaluate(tmp_path / "none.parquet", full=tmp_path, **options)
    assert caught.value.message == message

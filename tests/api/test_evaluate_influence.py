"""evaluate --influence: from a selection's scores to what training again says of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coresift.api.evaluate import evaluate
from coresift.api.plan import plan_select
from coresift.api.replay import replay
from coresift.api.select import select
from coresift.core.errors import CoresiftError
from coresift.influence.probe_curvature import KINDS
from coresift.io.provenance import read_provenance
from tests.data import digits, vector_table, write_dump

POOL = 500


@pytest.fixture
def dumps(tmp_path: Path) -> tuple[Path, Path]:
    """A pool, and a target."""
    vectors, labels = digits()
    order = np.random.default_rng(0).permutation(len(labels))[:900]
    parts = (("pool", order[:POOL]), ("target", order[POOL:]))
    found = [
        write_dump(tmp_path / name, vector_table(vectors[rows], label=labels[rows]), files=2)
        for name, rows in parts
    ]
    return found[0], found[1]


def test_scores_of_all_rows(tmp_path: Path, dumps: tuple[Path, Path]) -> None:
    pool, target = dumps
    chosen = tmp_path / "all.parquet"
    params: dict[str, object] = {"label": "label", "target": str(target), "l2": 0.03}
    params["hessian"] = "kfac"
    select("influence", pool, size="100%", output=chosen, params=params, ids_only=True)
    found = evaluate(
        chosen, full=pool, label="label", influence=True, target=target, subsets=20, repeats=2
    )
    told = json.loads(json.dumps(found.to_json()))
    metrics = told["metrics"]
    assert {"influence_effect", "lds", *(f"lds_{kind}" for kind in KINDS)} <= metrics.keys()
    assert metrics["lds"]["better"] == metrics["influence_effect"]["better"] == "higher"
    # the penalty of the selection was taken: the same scores are found anew
    assert metrics["lds"] == metrics["lds_kfac"]
    assert metrics["lds"]["value"] > 0.4
    assert told["influence"]["scored"] == told["influence"]["trained"] == POOL
    assert told["influence"]["removed"] == POOL // 10
    assert told["influence"]["target_rows"] == 400
    assert metrics["influence_effect"]["value"] == told["influence"]["actual_change"] > 0
    assert "influence" in told["seconds"]


def test_a_subset_without_scores(tmp_path: Path, dumps: tuple[Path, Path]) -> None:
    pool, target = dumps
    chosen = tmp_path / "some.parquet"
    pq.write_table(pa.table({"row": np.arange(0, POOL, 10)}), chosen)
    found = evaluate(
        chosen, full=pool, label="label", influence=True, target=target, subsets=5, repeats=1
    )
    assert "lds" not in found.metrics
    assert "lds_exact" in found.metrics
    assert found.influence is not None
    assert found.influence.predicted_change is None
    assert (found.influence.removed, found.influence.scored) == (50, POOL)
    assert f"{chosen} has no scores: influence was computed anew only" in found.notes


def test_scores_that_are_none(tmp_path: Path, dumps: tuple[Path, Path]) -> None:
    pool, target = dumps
    chosen = tmp_path / "some.parquet"
    for scores, message in (
        (["a", "b"], f"{chosen}: column 'score' is string, not a number"),
        ([1.0, None], f"{chosen}: the score of row 3 is null or not finite"),
        ([1.0, np.inf], f"{chosen}: the score of row 3 is null or not finite"),
    ):
        pq.write_table(pa.table({"row": [7, 3], "score": scores}), chosen)
        with pytest.raises(CoresiftError) as caught:
            evaluate(chosen, full=pool, label="label", influence=True, target=target, repeats=1)
        assert caught.value.message == message


def test_self_is_a_word_and_no_path(tmp_path: Path, dumps: tuple[Path, Path]) -> None:
    chosen, again = tmp_path / "some.parquet", tmp_path / "again.parquet"
    params: dict[str, object] = {"label": "label", "target": "self", "sign": "harm"}
    plan = plan_select("influence", dumps[0], size=20, params=params)
    assert [stage.name for stage in plan.stages] == ["read", "probe", "influence", "write"]
    select("influence", dumps[0], size=20, output=chosen, params=params)
    assert read_provenance(chosen, "a result").params["target"] == ["self"]
    assert replay(chosen, output=again).identical


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "t"}, "--target is about --influence, which is missing"),
        ({"subsets": 9}, "--subsets is about --influence, which is missing"),
        ({"influence": True, "target": "t"}, "--influence trains a probe, and --label COLUMN is"),
        ({"influence": True, "label": "y"}, "--influence trains a probe, and --target PATH is mi"),
        ({"influence": True, "label": "y", "target": "t", "l2": 0}, "--l2 0 is not more than 0"),
        (
            {"influence": True, "label": "y", "target": "t", "subsets": 2},
            "--subsets 2 is not at least 3",
        ),
        (
            {"influence": True, "label": "y", "target": "t", "remove": 0},
            "--remove 0 is not at least 1",
        ),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, object], message: str) -> None:
    with pytest.raises(CoresiftError) as caught:
        evaluate("s.parquet", full="dump", **options)  # type: ignore[arg-type]
    assert caught.value.message.startswith(message)


def test_a_class_that_the_probe_has_not_seen(tmp_path: Path, dumps: tuple[Path, Path]) -> None:
    pool, target = dumps
    table = pq.read_table(target)
    labels = table["label"].to_numpy().copy()
    labels[5] = 11
    strange = write_dump(tmp_path / "strange", table.set_column(0, "label", pa.array(labels)))
    chosen = tmp_path / "some.parquet"
    pq.write_table(pa.table({"row": np.arange(0, POOL, 10)}), chosen)
    with pytest.raises(CoresiftError) as caught:
        evaluate(chosen, full=pool, label="label", influence=True, target=strange, repeats=1)
    assert caught.value.message.endswith(
        "(row 5): 'label' is 11, of which the probe has seen no row"
    )

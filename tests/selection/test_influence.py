"""Selection by influence, against plain float64 formulas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from coresift.core.errors import InputError, ParameterError
from coresift.io.dump import InputOptions
from coresift.selection.registry import METHODS
from tests.data import gaussians, vector_table, write_dump
from tests.influence.given import decaying
from tests.selection.choosing import choose
from tests.selection.saved import write_clustering

Wide = NDArray[np.float64]
ROWS, TARGETS = 600, 15


def _lists(values: NDArray[np.float32]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def _write(folder: Path, files: int = 1, **columns: NDArray[np.float32]) -> Path:
    table = pa.table({name: _lists(values) for name, values in columns.items()})
    return write_dump(folder, table, files=files, row_group_size=70)


def _unit(values: NDArray[Any]) -> Wide:
    wide = values.astype(np.float64)
    unit: Wide = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    return unit


def _best(score: Wide, n: int, *, lowest: bool = False) -> list[int]:
    order = np.lexsort((np.arange(len(score)), score if lowest else -score))
    return sorted(order[:n].tolist())


def _inverse(values: NDArray[np.float32], hessian: str, shape: tuple[int, int]) -> Wide:
    """The dense inverse, damped by a tenth of the mean eigenvalue."""
    wide = values.astype(np.float64)
    fisher = wide.T @ wide / len(wide)
    if hessian == "diagonal":
        fisher = np.diag(np.diag(fisher))
    if hessian == "kfac":
        cubes = wide.reshape(-1, *shape)
        first = np.einsum("noi,noj->ij", cubes, cubes) / len(wide)
        second = np.einsum("noi,npi->op", cubes, cubes) / len(wide)
        fisher = np.kron(second, first) / np.trace(first)
    if hessian == "identity":
        return np.eye(len(fisher))
    return np.linalg.inv(fisher + 0.1 * np.trace(fisher) / len(fisher) * np.eye(len(fisher)))


@pytest.mark.parametrize("hessian", ["identity", "diagonal", "fisher", "kfac"])
@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("aggregate", ["mean", "max"])
def test_scores_are_those_of_float64(
    hessian: str, similarity: str, aggregate: str, tmp_path: Path
) -> None:
    rows, target = decaying(ROWS, 30), decaying(TARGETS, 30, 1)
    pool = _write(tmp_path / "pool", files=3, grad=rows, emb=gaussians(ROWS, 4, 3))
    val = _write(tmp_path / "val", grad=target)
    left = rows.astype(np.float64)
    right = target.astype(np.float64) @ _inverse(rows, hessian, (5, 6))
    if similarity == "cosine":
        left, right = _unit(left), _unit(right)
    values = left @ right.T
    score = values.mean(axis=1) if aggregate == "mean" else values.max(axis=1)
    for sign, lowest in (("help", False), ("harm", True)):
        if lowest and aggregate == "max":
            score = values.min(axis=1)
        found = choose(
            "influence",
            pool,
            60,
            {
                "target": val,
                "gradient": "grad",
                "hessian": hessian,
                "sign": sign,
                "similarity": similarity,
                "aggregate": aggregate,
                **({"layer": "5x6"} if hessian == "kfac" else {}),
            },
        )
        assert found.rows.tolist() == _best(score, 60, lowest=lowest)
        assert found.score is not None
        assert np.allclose(found.score, score[found.rows], rtol=1e-5, atol=0.0)
        assert found.rank is not None
        best = found.rows[found.rank == 0][0]
        assert score[best] == (score.min() if lowest else score.max())
        assert ("damping" in found.resolved) is (hessian != "identity")


def test_less_over_checkpoints_and_tasks(tmp_path: Path) -> None:
    """As in ``less/data_selection/matching.py``, but for weights that are not made to add to 1."""
    first, second = decaying(ROWS, 12), decaying(ROWS, 12, 1)
    pool = _write(tmp_path / "pool", a=first, b=second)
    tasks = [(decaying(n, 12, n), decaying(n, 12, n + 1)) for n in (4, 9, 6)]
    paths = [_write(tmp_path / f"t{i}", a=a, b=b) for i, (a, b) in enumerate(tasks)]
    rates = (0.5, 2.0)
    over = [
        sum(
            rate * (_unit(mine) @ _unit(theirs).T)
            for rate, mine, theirs in zip(rates, (first, second), task, strict=True)
        ).mean(axis=1)  # type: ignore[union-attr]
        for task in tasks
    ]
    given = {
        "target": paths,
        "gradient": ["a", "b"],
        "learning_rate": ["0.5", "2"],
        "similarity": "cosine",
    }
    for more, score in (
        ({}, np.max(over, axis=0)),
        ({"aggregate": "mean"}, np.mean(over, axis=0)),
    ):
        found = choose("influence", pool, 50, {**given, **more})
        assert found.rows.tolist() == _best(score, 50)
        assert found.score is not None
        assert np.allclose(found.score, score[found.rows], rtol=1e-6)
    taken = choose("influence", pool, 5, {**given, "aggregate": "round-robin"})
    assert taken.rank is not None
    by_turn = taken.rows[np.argsort(taken.rank)]
    assert by_turn[:1].tolist() == [int(np.argmax(over[0]))]
    assert taken.resolved["targets"] == 3


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("aggregate", ["mean", "max"])
def test_a_layer_in_two_columns(similarity: str, aggregate: str, tmp_path: Path) -> None:
    into, out = decaying(ROWS, 6), decaying(ROWS, 4, 1)
    val_into, val_out = decaying(TARGETS, 6, 2), decaying(TARGETS, 4, 3)
    pool = _write(tmp_path / "pool", a=into, s=out)
    val = _write(tmp_path / "val", a=val_into, s=val_out)
    first, second = (x.astype(np.float64).T @ x.astype(np.float64) / ROWS for x in (into, out))
    dense = np.kron(second, first)
    dense += 0.1 * np.trace(dense) / 24 * np.eye(24)
    whole, theirs = (
        np.einsum("ro,ri->roi", s.astype(np.float64), a.astype(np.float64)).reshape(-1, 24)
        for a, s in ((into, out), (val_into, val_out))
    )
    right = np.linalg.solve(dense, theirs.T).T
    if similarity == "cosine":
        whole, right = _unit(whole), _unit(right)
    values = whole @ right.T
    score = values.mean(axis=1) if aggregate == "mean" else values.max(axis=1)
    given = {
        "target": val,
        "hessian": "kfac",
        "layer_inputs": "a",
        "layer_outputs": "s",
        "similarity": similarity,
        "aggregate": aggregate,
    }
    found = choose("influence", pool, 40, {**given, "layer": "4x6"})
    assert found.rows.tolist() == _best(score, 40)
    assert found.score is not None
    assert np.allclose(found.score, score[found.rows], rtol=1e-5)
    with pytest.raises(
        InputError, match=r"^--layer 6x4: the columns 's' and 'a' make a layer of 4x"
    ):
        choose("influence", pool, 40, {**given, "layer": "6x4"})


def test_per_cluster_shares_evenly(tmp_path: Path) -> None:
    rows = gaussians(ROWS, 4, 1)
    rows[:500] += 90.0
    pool, val = _write(tmp_path / "pool", grad=rows), _write(tmp_path / "val", grad=rows[:5])
    centers = np.array([[90.0] * 4, [0.0] * 4, [500.0] * 4])
    centers += gaussians(1, 4, 1)[0]
    clusters = write_clustering(tmp_path / "c", pool, centers)
    given: dict[str, object] = {"target": val, "gradient": "grad"}
    found = choose("influence", pool, 260, {**given, "per_cluster": True}, clustering=clusters)
    assert found.cluster is not None
    # the second cluster has 100 rows, the third none
    assert np.bincount(found.cluster, minlength=3).tolist() == [160, 100, 0]
    score = rows.astype(np.float64) @ rows[:5].astype(np.float64).mean(axis=0)
    assert found.rows[found.cluster == 0].tolist() == _best(score[:500], 160)
    whole = choose("influence", pool, 260, given, clustering=clusters)
    assert whole.rows.tolist() == _best(score, 260)
    assert whole.cluster is not None
    assert (whole.cluster == (whole.rows >= 500)).all()
    with pytest.raises(ParameterError, match=r"^--per-cluster needs a clustering$"):
        choose("influence", pool, 260, {**given, "per_cluster": True})


def test_rows_of_no_cluster_are_left_out(tmp_path: Path) -> None:
    rows = gaussians(100, 4, 2)
    pool, val = _write(tmp_path / "pool", grad=rows), _write(tmp_path / "val", grad=rows[:5])
    kept = np.arange(100) % 5 > 0
    clusters = write_clustering(tmp_path / "c", pool, rows[:2], kept=kept)
    given: dict[str, object] = {"target": val, "gradient": "grad"}
    found = choose("influence", pool, "100%", given, clustering=clusters)
    assert found.rows.tolist() == np.flatnonzero(kept).tolist()
    assert "20 rows in no cluster left out" in found.notes


def test_draws(tmp_path: Path) -> None:
    rows = np.abs(decaying(ROWS, 6)) + np.float32(0.1)
    pool, val = _write(tmp_path / "pool", grad=rows), _write(tmp_path / "val", grad=rows[:8])
    score = rows.astype(np.float64) @ rows[:8].astype(np.float64).mean(axis=0)
    given: dict[str, object] = {"target": val, "gradient": "grad"}
    bound = float(np.quantile(score, 0.7))
    reached = np.flatnonzero(score >= bound)
    found = choose("influence", pool, None, {**given, "threshold": bound - 1e-9})
    assert 20 < len(reached) < ROWS
    assert found.rows.tolist() == reached.tolist()
    drawn = choose("influence", pool, 60, {**given, "draw": "power", "coldness": 3})
    assert len(drawn.rows) == 60
    assert score[drawn.rows].mean() > score.mean()
    assert drawn.rows.tolist() != _best(score, 60)


def test_rows_without_a_gradient(tmp_path: Path) -> None:
    rows, target = decaying(ROWS, 6), decaying(TARGETS, 6, 1)
    rows[77, 3], target[4, 0] = np.inf, np.nan
    pool, val = _write(tmp_path / "pool", grad=rows), _write(tmp_path / "val", grad=target)
    given: dict[str, object] = {"target": val, "gradient": "grad", "hessian": "fisher"}
    with pytest.raises(InputError, match=r"emb-000\.parquet: row 4 of the file \(row 4\): the vec"):
        choose("influence", pool, 9, given)
    fine = _write(tmp_path / "fine", grad=decaying(TARGETS, 6, 1))
    with pytest.raises(
        InputError, match=r"emb-000\.parquet: row 77 of the file \(row 77\): the ve"
    ):
        choose("influence", pool, 9, {**given, "target": fine})
    found = choose("influence", pool, "100%", given, options=InputOptions(invalid="drop"))
    assert found.rows.tolist() == np.delete(np.arange(ROWS), 77).tolist()
    assert "1 row without a gradient left out" in found.notes
    assert "1 target row without a gradient left out" in found.notes


def test_target_rows_that_lack_one_of_several_columns(tmp_path: Path) -> None:
    """They are left out of all: what belongs to one row is never paired with another's."""
    columns = {"a": decaying(ROWS, 6), "b": decaying(ROWS, 6, 1)}
    theirs = {"a": decaying(TARGETS, 6, 2), "b": decaying(TARGETS, 6, 3)}
    pool = _write(tmp_path / "pool", 1, **columns)
    without = np.array([2, 5, 9])
    fine = _write(tmp_path / "fine", 1, **{k: np.delete(v, without, 0) for k, v in theirs.items()})
    theirs["a"][[2, 9]] = np.nan
    theirs["b"][[5, 9]] = np.nan
    holes = _write(tmp_path / "holes", 1, **theirs)
    layer = {"hessian": "kfac", "layer_inputs": "a", "layer_outputs": "b"}
    for source in ({"gradient": ["a", "b"]}, layer):
        for how in ("mean", "max"):
            found, expected = (
                choose(
                    "influence",
                    pool,
                    40,
                    {**source, "target": target, "aggregate": how},
                    options=InputOptions(invalid="drop"),
                )
                for target in (holes, fine)
            )
            assert found.rows.tolist() == expected.rows.tolist()
            assert np.array_equal(found.score, expected.score)  # type: ignore[arg-type]
            assert "3 target rows without a gradient left out" in found.notes
    theirs["b"][:] = np.where(np.isnan(theirs["a"]), 1.0, np.nan)
    none = _write(tmp_path / "none", 1, **theirs)
    with pytest.raises(InputError, match=r"^--target .*: no row has a gradient in each of a, b$"):
        choose(
            "influence",
            pool,
            9,
            {"gradient": ["a", "b"], "target": none},
            options=InputOptions(invalid="drop"),
        )


def test_other_widths_and_missing_columns(tmp_path: Path) -> None:
    pool = _write(tmp_path / "pool", grad=decaying(50, 6))
    val = _write(tmp_path / "val", grad=decaying(5, 7))
    given: dict[str, object] = {"target": val, "gradient": "grad"}
    with pytest.raises(InputError) as caught:
        choose("influence", pool, 9, given)
    assert caught.value.message == (
        f"--target {val}: gradients of 7 elements in 'grad', expected 6 as in the rows to choose "
        "from"
    )
    with pytest.raises(
        InputError, match=r"gradients in 'other': neither a column of .* nor a path"
    ):
        choose("influence", pool, 9, {**given, "gradient": "other"})
    more = {"target": pool, "hessian": "kfac", "layer": "2x4"}
    with pytest.raises(InputError, match=r"^--layer 2x4: the gradients have 6 elements$"):
        choose("influence", pool, 9, {**given, **more})


def test_a_hessian_from_some_rows(tmp_path: Path) -> None:
    rows = decaying(ROWS, 6)
    pool, val = _write(tmp_path / "pool", grad=rows), _write(tmp_path / "val", grad=rows[:9])
    given: dict[str, object] = {"target": val, "gradient": "grad", "hessian": "fisher"}
    whole = choose("influence", pool, 50, given)
    some = choose("influence", pool, 50, {**given, "hessian_rows": 200})
    assert "the Hessian was estimated from 200 rows" in some.notes
    assert whole.score is not None
    assert some.score is not None
    assert some.resolved["damping"] != whole.resolved["damping"]
    assert some.resolved["damping"] == pytest.approx(whole.resolved["damping"], rel=0.3)
    assert choose("influence", pool, 50, {**given, "hessian_rows": 600}).notes == whole.notes


def test_digits_of_a_class_help_that_class(tmp_path: Path) -> None:
    """Rows around the target's own center are chosen, and harmful ones are not of it."""
    rows = gaussians(300, 8, 3)
    rows -= rows.mean(axis=0)
    table = vector_table(rows, label=np.arange(300) % 3)
    pool = write_dump(tmp_path / "pool", table)
    pq.write_table(table.filter(pa.compute.equal(table["label"], 1)), tmp_path / "val.parquet")
    given: dict[str, object] = {"target": tmp_path / "val.parquet", "gradient": "embedding"}
    assert set(choose("influence", pool, 100, given).rows % 3) == {1}
    assert 1 not in set(choose("influence", pool, 100, {**given, "sign": "harm"}).rows % 3)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "influence needs gradients"),
        ({"gradient": "g"}, "influence needs a target"),
        ({"gradient": "g", "target": "t", "damping": 1}, "--damping is added to a Hessian, and "),
        ({"gradient": "g", "target": "t", "hessian": "kfac"}, "--hessian kfac needs the shape of"),
        ({"gradient": "g", "target": "t", "layer": "2x3"}, "--layer describes a layer for --hess"),
        (
            {"gradient": "g", "target": "t", "hessian": "kfac", "layer": "23"},
            "--layer '23' is not of the form OUTxIN",
        ),
        ({"layer_inputs": "a", "target": "t"}, "--layer-inputs and --layer-outputs go together"),
        (
            {"gradient": "g", "layer_inputs": "a", "layer_outputs": "b", "target": "t"},
            "--gradient and --layer-inputs are two sources",
        ),
        (
            {"gradient": ["g", "h"], "target": "t", "learning_rate": ["1"]},
            "--learning-rate is given 1 times and --gradient 2",
        ),
        ({"gradient": ["g", "h", "g"], "target": "t"}, "--gradient g is given twice"),
        (
            {"gradient": "g", "target": "t", "learning_rate": ["fast"]},
            "--learning-rate 'fast' is not a number",
        ),
        (
            {"gradient": "g", "target": "t", "hessian": "fisher", "damping": -1},
            "--damping -1 is less than 0",
        ),
        (
            {"gradient": "g", "target": "t", "aggregate": "round-robin", "per_cluster": True},
            "--aggregate round-robin takes rows in turn, and --per-cluster by one score",
        ),
        (
            {"gradient": "g", "target": "t", "hessian": "fisher", "hessian_rows": 1.5},
            "--hessian-rows 1.5 is not a whole number",
        ),
    ],
)
def test_options_that_do_not_go_together(params: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        METHODS["influence"].params.build(params, "influence")
    assert caught.value.message.startswith(message)
    assert "\n" not in caught.value.message

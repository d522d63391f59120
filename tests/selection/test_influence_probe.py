"""Selection by the influence of a probe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from coresift.core.errors import CoresiftError, InputError, ParameterError
from coresift.core.selection import Selection
from coresift.influence.probe_curvature import KINDS
from coresift.io.dump import InputOptions
from coresift.selection.registry import METHODS
from tests.data import digits, vector_table, write_dump
from tests.influence.probing import softmax
from tests.selection.choosing import choose
from tests.selection.saved import write_clustering

POOL = 500
NAMES = np.array(["nought", "one", "two", "three", "four"])


def parts() -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Digits up to four, with names for classes."""
    vectors, codes = digits()
    some = np.random.default_rng(3).permutation(np.flatnonzero(codes < 5))
    return vectors[some], NAMES[codes[some]]


@pytest.fixture
def given(tmp_path: Path) -> dict[str, object]:
    """A target, and the label."""
    vectors, names = parts()
    table = vector_table(vectors[POOL:], kind=names[POOL:])
    return {"label": "kind", "target": write_dump(tmp_path / "target", table)}


def pool(folder: Path, files: int = 1, group: int = 100, **columns: object) -> Path:
    vectors, names = parts()
    table = vector_table(vectors[:POOL], **{"kind": names[:POOL], **columns})
    return write_dump(folder / f"pool-{files}-{group}", table, files=files, row_group_size=group)


def same(one: Selection, other: Selection) -> bool:
    mine, theirs = one.columns(), other.columns()
    return all(np.array_equal(values, theirs[name]) for name, values in mine.items())


def test_scores_are_those_of_the_formula(tmp_path: Path, given: dict[str, object]) -> None:
    found = choose("influence", pool(tmp_path), "100%", {**given, "l2": 0.02})
    vectors, names = parts()
    wide = vectors[:POOL].astype(np.float64)
    mean = wide.mean(axis=0)
    scale = np.sqrt(np.square(wide - mean).mean())
    x, x_t = (
        np.hstack([(some - mean) / scale, np.ones((len(some), 1))])
        for some in (wide, vectors[POOL:].astype(np.float64))
    )
    order = list(dict.fromkeys(names[:POOL]))
    y, y_t = (
        np.eye(5)[[order.index(name) for name in some]] for some in (names[:POOL], names[POOL:])
    )
    w = np.zeros((5, 65))
    for _ in range(12):  # Newton's method
        p = softmax(x @ w.T)
        blocks = p[:, :, None] * (np.eye(5) - p[:, None, :])
        moments = np.einsum("nce,ni,nj->ciej", blocks, x, x, optimize=True)
        hessian = moments.reshape(325, 325) / POOL + 0.02 * np.eye(325)
        gradient = (p - y).T @ x / POOL + 0.02 * w
        w -= np.linalg.solve(hessian, gradient.ravel()).reshape(5, 65)
    assert np.abs(gradient).max() < 1e-12
    target = (softmax(x_t @ w.T) - y_t).T @ x_t / len(x_t)
    solved = np.linalg.solve(hessian, target.ravel()).reshape(5, 65)
    expected = ((softmax(x @ w.T) - y) * (x @ solved.T)).sum(axis=1)
    assert found.score is not None
    np.testing.assert_allclose(found.score, expected, rtol=1e-4, atol=1e-5)
    assert found.resolved == {"aggregate": "mean", "classes": 5, "l2": 0.02, "damping": 0.02}


@pytest.mark.parametrize("hessian", [*KINDS])
def test_the_same_from_any_files_and_threads(
    tmp_path: Path, given: dict[str, object], hessian: str
) -> None:
    chosen = {"kernel": True} if hessian == "kernel" else {"hessian": hessian}
    for more in (
        {},
        {"aggregate": "max"},
        {"aggregate": "round-robin"},
        {"target": "self"},
        {"target": "left-out"},
        {"target": ["left-out", given["target"]]},
        {"target": ["loss", given["target"]]},
    ):
        params = {**given, **chosen, **more}
        one = choose("influence", pool(tmp_path), 40, params, threads=1)
        other = choose("influence", pool(tmp_path, files=3, group=37), 40, params, threads=3)
        assert same(one, other)


def test_harm_and_self_find_wrong_labels(tmp_path: Path, given: dict[str, object]) -> None:
    _, names = parts()
    wrong = np.arange(0, POOL, 20)
    names = names[:POOL].copy()
    names[wrong] = NAMES[(np.argmax(names[wrong, None] == NAMES, axis=1) + 1) % 5]
    source = pool(tmp_path, kind=names)
    words = ("self", "loss", "left-out")
    beside = [[word, given["target"]] for word in words[1:]]
    for target in (given["target"], *words, *beside):
        harm = choose("influence", source, 25, {**given, "target": target, "sign": "harm"})
        help_ = choose("influence", source, 25, {**given, "target": target})
        assert len(set(harm.rows) & set(wrong)) >= 20
        assert len(set(help_.rows) & set(wrong)) <= 2
        assert harm.score is not None
        assert harm.score.max() < 0


def test_tasks_and_cosine(tmp_path: Path, given: dict[str, object]) -> None:
    vectors, names = parts()
    ones = names[POOL:] == "one"
    tasks = [
        write_dump(
            tmp_path / f"task-{value}", vector_table(vectors[POOL:][some], kind=names[POOL:][some])
        )
        for value, some in ((1, ones), (2, ~ones))
    ]
    source = pool(tmp_path)
    both = choose("influence", source, "100%", {**given, "target": tasks}).score
    each = [choose("influence", source, "100%", {**given, "target": path}).score for path in tasks]
    assert both == pytest.approx(np.max(np.array(each), axis=0), rel=1e-8, abs=1e-9)
    cosine = choose("influence", source, "100%", {**given, "similarity": "cosine"}).score
    assert cosine is not None
    assert np.abs(cosine).max() <= 1.0


def test_the_bandit_takes_a_probe_too(tmp_path: Path, given: dict[str, object]) -> None:
    source = pool(tmp_path)
    clusters = write_clustering(tmp_path / "clusters", source, parts()[0][:8], group_rows=100)
    whole = choose("influence", source, "100%", given).score
    found = choose("bandit", source, 20, given, clustering=clusters)
    assert whole is not None
    assert found.score is not None
    assert np.array_equal(found.score, whole[found.rows])


def test_rows_without_a_class(tmp_path: Path, given: dict[str, object]) -> None:
    _, names = parts()
    some = [None if row in (7, 300) else name for row, name in enumerate(names[:POOL])]
    source = pool(tmp_path, kind=pa.array(some))
    with pytest.raises(InputError) as caught:
        choose("influence", source, 9, given)
    assert caught.value.message.endswith("(row 7): 'kind' is null, and 2 rows in all have no class")
    dropped = InputOptions(invalid="drop")
    found = choose("influence", source, "100%", given, options=dropped)
    assert len(found.rows) == POOL - 2
    assert not {7, 300} & set(found.rows)
    assert found.notes == ("2 rows without a 'kind' left out",)
    known = choose(
        "influence", source, "100%", given, options=InputOptions(where="kind is not null")
    )
    assert same(found, known)


def test_a_target_label_that_the_probe_has_not_seen(
    tmp_path: Path, given: dict[str, object]
) -> None:
    vectors, names = parts()
    source = pool(tmp_path, files=2)
    strange = names[POOL:].copy()
    strange[4] = "seven"
    path = write_dump(tmp_path / "strange", vector_table(vectors[POOL:], kind=strange))
    with pytest.raises(InputError) as caught:
        choose("influence", source, 9, {**given, "target": path})
    assert caught.value.message.endswith(
        "(row 4): 'kind' is 'seven', of which the probe has seen no row"
    )
    assert str(caught.value.hint).startswith("it was trained on 5 classes: ")
    with pytest.raises(InputError, match="of which the probe has seen no row"):
        # a class of the pool that no row is left of
        choose("influence", source, 9, given, options=InputOptions(where="kind != 'two'"))


def test_targets_that_do_not_fit(tmp_path: Path, given: dict[str, object]) -> None:
    vectors, names = parts()
    source = pool(tmp_path)
    narrow = write_dump(tmp_path / "narrow", vector_table(vectors[:9, :60], kind=names[:9]))
    nameless = write_dump(tmp_path / "nameless", vector_table(vectors[:9]))
    for path, message in (
        (narrow, f"--target {narrow}: vectors of 60 dimensions, expected 64"),
        (nameless, f"--label: no column 'kind' in {nameless}/emb-000.parquet"),
    ):
        with pytest.raises(CoresiftError) as caught:
            choose("influence", source, 9, {**given, "target": path})
        assert caught.value.message == message
    empty = pq.read_table(given["target"]).set_column(
        0, "kind", pa.nulls(len(names) - POOL, pa.string())
    )
    path = write_dump(tmp_path / "empty", empty)
    with pytest.raises(CoresiftError, match="no row has a value"):
        choose(
            "influence", source, 9, {**given, "target": path}, options=InputOptions(invalid="drop")
        )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"gradient": "g", "target": "t", "l2": 1}, "--l2 is about a probe, and there is none"),
        ({"gradient": "g", "target": "t", "kernel": True}, "--kernel is about a probe, and "),
        ({"gradient": "g", "target": "t", "hessian": "exact"}, "--hessian exact is about a probe"),
        ({"gradient": "g", "target": "self"}, "--target self is about a probe, and there is none"),
        ({"label": "y"}, "influence needs a target"),
        ({"label": "y", "target": "t", "l2": 0}, "--l2 0 is not more than 0"),
        ({"label": "y", "target": "t", "gradient": "g"}, "--label fits a probe, which has gradie"),
        ({"label": "y", "target": "t", "hessian_rows": 9}, "--label fits a probe, which has grad"),
        ({"gradient": "g", "target": "left-out"}, "--target left-out is about a probe, and there"),
        ({"label": "y", "target": ["self", "t"]}, "--target self does not go with --target t"),
        ({"label": "y", "target": ["t", "self"]}, "--target self does not go with --target t"),
        (
            {"label": "y", "target": ["loss", "left-out"]},
            "--target loss does not go with --target le",
        ),
        ({"label": "y", "target": "loss", "damping": 1}, "--target loss alone needs no Hessian"),
        ({"label": "y", "target": "loss", "kernel": True}, "--target loss alone needs no Hessian"),
        ({"label": "y", "target": ["t", "u", "t"]}, "--target t is given twice"),
        ({"label": "y", "target": ["left-out", "left-out"]}, "--target left-out is given twice"),
        (
            {"label": "y", "target": ["left-out", "t"], "aggregate": "max"},
            "--target left-out gives each row one score",
        ),
        ({"label": "y", "target": "self", "aggregate": "max"}, "--target self gives each row one"),
        (
            {"label": "y", "target": "t", "kernel": True, "hessian": "kfac"},
            "--kernel stands in place of --hessian kfac",
        ),
    ],
)
def test_options_that_do_not_go_together(params: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        METHODS["influence"].params.build(params, "influence")
    assert caught.value.message.startswith(message)
    assert "\n" not in caught.value.message

"""What every selection method keeps to, by being registered."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from coresift.core import smallest as smallest_module
from coresift.core.errors import InputError, ParameterError
from coresift.core.selection import Selection
from coresift.engine.base import Engine
from coresift.io import dump as dump_module
from coresift.io.dump import InputOptions
from coresift.selection import base as base_module
from coresift.selection.draws import ranking as ranking_module
from coresift.selection.reading import strata as strata_module
from coresift.selection.registry import METHODS, Method, find
from tests.data import gaussians, vector_table, write_dump
from tests.selection.choosing import choose
from tests.selection.saved import write_clustering

ROWS = 700
NOT_FINITE = 123


def _vectors(invalid: bool) -> NDArray[np.float32]:
    vectors = gaussians(ROWS, 4, 9)
    if invalid:
        vectors[NOT_FINITE] = np.nan
    return vectors


def _dump(
    folder: Path,
    *,
    files: int = 1,
    groups: int = 100,
    invalid: bool = False,
    vectors: NDArray[np.float32] | None = None,
    method: Method | None = None,
) -> Path:
    if vectors is None:
        vectors = _vectors(invalid)
    if method is not None and "probabilities" in method.needs:
        odds = np.exp(vectors / max(20.0, float(np.nanmax(np.abs(vectors))) / 10.0))
        vectors = odds / odds.sum(axis=1, keepdims=True)
    values = np.random.default_rng(5).permutation(len(vectors)) / 3.0
    ids = np.arange(len(vectors))
    table = vector_table(vectors, id=ids, value=values, label=ids % 4)
    return write_dump(folder / "dump", table, files=files, row_group_size=groups)


def _choose(
    method: Method,
    folder: Path,
    size: str | int = 50,
    *,
    files: int = 1,
    groups: int = 100,
    options: InputOptions | None = None,
    kept: NDArray[np.bool_] | None = None,
    invalid: bool = False,
    seed: int = 0,
    threads: int = 2,
    engine: Engine | None = None,
    vectors: NDArray[np.float32] | None = None,
    centroids: NDArray[np.float32] | None = None,
    more: dict[str, object] | None = None,
) -> Selection:
    source = _dump(
        folder, files=files, groups=groups, invalid=invalid, vectors=vectors, method=method
    )
    params: dict[str, object] = {**_needed(method, folder), **(more or {})}
    clustering = None
    wanted: str | int | None = size
    if method.size == "none":
        params["target"], wanted = str(size), None
    if "clustering" in method.needs or centroids is not None:
        clustering = write_clustering(
            folder / "clustering",
            source,
            gaussians(9, 4, 9) if centroids is None else centroids,
            kept=kept,
            options=options,
            group_rows=groups,
        )
    return choose(
        method.name,
        source,
        wanted,
        params,
        options=options,
        clustering=clustering,
        seed=seed,
        threads=threads,
        engine=engine,
    )


def _needed(method: Method, folder: Path) -> dict[str, object]:
    """Options that a method cannot do without."""
    params: dict[str, object] = {}
    needs = {*method.needs, *method.either[:1]}
    if "score" in needs:
        params["score"] = "value"
    if "gradients" in needs:
        params["gradient"] = "embedding"
    if "target" in needs:
        table = vector_table(np.abs(gaussians(20, 4, 3, seed=7)))
        params["target"] = write_dump(folder / "target", table)
    return params


def _same(one: Selection, other: Selection) -> bool:
    mine, theirs = one.columns(), other.columns()
    return mine.keys() == theirs.keys() and all(
        np.array_equal(values, theirs[name]) for name, values in mine.items()
    )


every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


@every_method
def test_rows_and_columns(method: Method, tmp_path: Path) -> None:
    chosen = _choose(method, tmp_path)
    assert chosen.rows.dtype == np.int64
    assert len(chosen.rows) == 50
    assert (np.diff(chosen.rows) > 0).all()
    assert chosen.rows[0] >= 0
    assert chosen.rows[-1] < ROWS
    assert chosen.rows_in == ROWS
    types = {"row": "int64", "weight": "float64", "score": "float64", "cluster": "int32"}
    types["rank"] = "int32"
    assert tuple(chosen.columns()) == method.adds
    for name, values in chosen.columns().items():
        assert values.dtype == types[name]
        assert values.shape == (50,)
    assert np.isfinite(chosen.weight).all()
    assert (chosen.weight > 0).all()


@every_method
def test_same_whatever_the_threads_files_groups_and_shards(
    method: Method, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _choose(method, tmp_path / "a", threads=1)
    assert _same(first, _choose(method, tmp_path / "b"))
    assert _same(first, _choose(method, tmp_path / "c", files=12))
    monkeypatch.setattr(dump_module, "_SHARD_BYTES", 1)
    assert _same(first, _choose(method, tmp_path / "d", files=3, groups=17))
    monkeypatch.setattr(dump_module.Dump, "batch_rows", lambda self, columns: 7)
    monkeypatch.setattr(base_module, "_RANGE_ROWS", 99)
    assert _same(first, _choose(method, tmp_path / "e", groups=ROWS))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("random", {"by": "label", "shares": "sqrt"}),
        ("random", {"by": "id"}),
        ("top-k", {"score": "value", "per": "label"}),
        ("top-k", {"scores": "{scores}", "on": "id"}),
        ("top-k", {"scores": "{scores}", "on": "id", "per": "label", "lowest": True}),
        ("top-k", {"score": "value", "draw": "weighted", "threshold": 9}),
        ("top-k", {"score": "value", "draw": "threshold", "threshold": 9, "per": "label"}),
        ("stochastic", {"score": "value", "draw": "softmax", "per": "label"}),
        ("stochastic", {"score": "value", "draw": "softrank", "threshold": 9}),
        ("stochastic", {"scores": "{scores}", "on": "id", "draw": "softrank", "per": "label"}),
    ],
)
def test_options_keep_to_it_too(
    name: str, params: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = tmp_path / "scores.parquet"
    ids = np.arange(ROWS)[::-1]
    pq.write_table(pa.table({"id": ids, "score": np.sin(ids)}), scores)
    params = {key: scores if value == "{scores}" else value for key, value in params.items()}
    first = choose(name, _dump(tmp_path / "a"), 60, params, threads=1)
    monkeypatch.setattr(dump_module, "_SHARD_BYTES", 1)
    assert _same(first, choose(name, _dump(tmp_path / "b", files=5, groups=17), 60, params))
    monkeypatch.setattr(dump_module.Dump, "batch_rows", lambda self, columns: 7)
    monkeypatch.setattr(strata_module, "_SLACK", 10)
    monkeypatch.setattr(smallest_module, "_SLACK", 0)
    monkeypatch.setattr(ranking_module, "_SAMPLE", 20)
    assert _same(first, choose(name, _dump(tmp_path / "c", groups=ROWS), 60, params))


@every_method
def test_seed(method: Method, tmp_path: Path) -> None:
    first = _choose(method, tmp_path / "a", seed=1)
    assert _same(first, _choose(method, tmp_path / "b", seed=1))
    assert _same(first, _choose(method, tmp_path / "c", seed=2)) is not method.random


@pytest.mark.parametrize(
    "method", [m for m in METHODS.values() if not m.random], ids=lambda m: m.name
)
def test_choices_that_make_a_method_random(method: Method, tmp_path: Path) -> None:
    for option in method.params.options():
        for choice in option.choices:
            more: dict[str, object] = {option.name: choice}
            if choice == "threshold" and "threshold" in method.params.__dataclass_fields__:
                more["threshold"] = 0
            if choice == "kfac":
                more["layer"] = "2x2"
            if choice == "exact":
                more |= {"label": "label", "target": "self", "gradient": None}
            folder = tmp_path / option.name / choice
            # some rules draw in proportion to the score, which then must not be negative
            vectors = np.abs(_vectors(False)) if "gradients" in method.either else None
            centroids = gaussians(9, 4, 9) if choice == "cluster" else None
            seeds = (
                _choose(
                    method,
                    folder / str(seed),
                    seed=seed,
                    more=more,
                    centroids=centroids,
                    vectors=vectors,
                )
                for seed in (1, 2)
            )
            expected = choice in method.random_with.get(option.name, ())
            assert _same(*seeds) is not expected, (option.name, choice)


@every_method
def test_share(method: Method, tmp_path: Path) -> None:
    assert len(_choose(method, tmp_path / "a", "10%").rows) == 70
    assert len(_choose(method, tmp_path / "b", "100%").rows) == ROWS


@every_method
def test_more_than_there_is(method: Method, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"^size 701 is more than the 700 rows ") as caught:
        _choose(method, tmp_path, 701)
    flag = "--target" if method.size == "none" else "-n"
    assert (
        caught.value.hint == f"ask for at most 700 with {flag}, or for a share such as {flag} 10%"
    )


@pytest.mark.parametrize(
    "method", [m for m in METHODS.values() if m.size != "none"], ids=lambda m: m.name
)
def test_no_size(method: Method, tmp_path: Path) -> None:
    source = _dump(tmp_path, method=method)
    clustering = write_clustering(tmp_path / "clustering", source, gaussians(9, 4, 9))
    params = _needed(method, tmp_path)
    with pytest.raises(ParameterError, match=f"^{method.name} needs a size"):
        choose(method.name, source, None, params, clustering=clustering)


@every_method
def test_where(method: Method, tmp_path: Path) -> None:
    options = InputOptions(where="label == 1")
    chosen = _choose(method, tmp_path, options=options, kept=np.arange(ROWS) % 4 == 1)
    assert chosen.rows_in == ROWS // 4
    assert (chosen.rows % 4 == 1).all()


@every_method
def test_invalid_rows_are_dropped(method: Method, tmp_path: Path) -> None:
    options = InputOptions(invalid="drop")
    kept = np.arange(ROWS) != NOT_FINITE
    chosen = _choose(method, tmp_path, "100%", options=options, invalid=True, kept=kept)
    assert chosen.rows.tolist() == np.flatnonzero(kept).tolist()


@pytest.mark.parametrize(
    "method", [m for m in METHODS.values() if "clustering" not in m.needs], ids=lambda m: m.name
)
def test_invalid_rows_are_refused(method: Method, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 123 of the file \(row 123\): the vector in"):
        _choose(method, tmp_path, invalid=True)


def test_rows_cannot_be_dropped_when_it_is_not_known_which(tmp_path: Path) -> None:
    vectors = gaussians(60, 4, 3)
    table = vector_table(vectors)
    table = table.append_column("other", table["embedding"])
    source = write_dump(tmp_path / "two", table)
    assert len(choose("random", source, 5).rows) == 5
    with pytest.raises(InputError, match="2 vector columns"):
        choose("random", source, 5, options=InputOptions(invalid="drop"))


def test_every_option_has_help_and_a_kind() -> None:
    for method in METHODS.values():
        assert method.summary.endswith(".")
        for item in method.params.options():
            assert item.help.endswith(".")
            assert item.flag == "--" + item.name.replace("_", "-")
            assert item.metavar


def test_unknown_names() -> None:
    with pytest.raises(ParameterError, match=r"^no selection method 'topk'$") as caught:
        find("topk")
    assert caught.value.hint == "did you mean top-k?"
    with pytest.raises(ParameterError, match=r"^random has no option 'share'$") as caught:
        METHODS["random"].params.build({"share": "equal"}, "random")
    assert caught.value.hint == "did you mean 'shares'?"


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        (
            "random",
            {"by": "a", "shares": "even"},
            "--shares 'even' is not one of proportional, equal, sqrt",
        ),
        ("random", {"shares": "equal"}, "--shares equal needs strata"),
        ("top-k", {}, "top-k needs a score"),
        ("top-k", {"scores": "x", "score": "a"}, "--scores and --on go together"),
        ("top-k", {"score": "a", "threshold": "high"}, "--threshold 'high' is not a number"),
        ("top-k", {"score": "a", "lowest": 1}, "--lowest 1 is neither true nor false"),
        (
            "top-k",
            {"score": "a", "coldness": 2},
            "--coldness is about random draws, and --draw top makes none by it",
        ),
        (
            "prototypes",
            {"draw": "weighted", "coldness": 0},
            "--coldness is about random draws, and --draw weighted makes none by it",
        ),
        ("top-k", {"score": "a", "draw": "threshold"}, "--draw threshold needs a threshold"),
        (
            "prototypes",
            {"floor": 0.5, "threshold": 1},
            "--floor is a share of all rows, and --threshold leaves some out",
        ),
        ("stochastic", {}, "stochastic needs a score"),
        (
            "stochastic",
            {"score": "a", "draw": "top"},
            "--draw 'top' is not one of power, softmax, softrank",
        ),
        ("stochastic", {"score": "a", "coldness": -1}, "--coldness -1 is less than 0"),
        ("sensitivity", {"exponent": 0}, "--exponent 0 is less than 0.1"),
        ("sensitivity", {"mix": 2}, "--mix 2 is more than 1"),
        (
            "sensitivity",
            {"loss": "a", "lambda": "x"},
            "--lambda 'x' is not a number or auto or balanced",
        ),
        (
            "sensitivity",
            {"lambda": 1},
            "--lambda weighs distances against losses, and there are none",
        ),
        (
            "sensitivity",
            {"losses": "a", "loss": "b"},
            "--losses and --loss are two sources of the loss",
        ),
        ("sensitivity", {"on": "id"}, "--on describes --losses, which is missing"),
        ("dedup", {}, "dedup needs a threshold"),
        ("dedup", {"threshold": 0.9, "epsilon": 1}, "--threshold and --epsilon exclude each other"),
        ("dedup", {"threshold": 1.5}, "--threshold 1.5 is more than 1"),
        (
            "dedup",
            {"threshold": 0.9, "keep": "best"},
            "--keep 'best' is not one of first, closest, farthest, best:EXPR",
        ),
        ("dedup", {"threshold": 0.9, "probe": 1.5}, "--probe 1.5 is not a whole number"),
        ("dedup", {"threshold": 0.9, "probe": "some"}, "--probe 'some' is not a number or all"),
        ("dedup", {"threshold": 0.9, "pairs": "x.csv"}, "--pairs 'x.csv' does not end in .parquet"),
        (
            "dedup",
            {"threshold": 0.9, "against": "x", "keep": "closest"},
            "--keep is about duplicates in one dump, and --against compares two",
        ),
    ],
)
def test_options_out_of_bounds(method: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        METHODS[method].params.build(params, method)
    assert caught.value.message == message


def test_options_as_text_are_read_as_their_kind() -> None:
    built = METHODS["sensitivity"].params.build(
        {"losses": "x", "lambda": "0.5", "with-replacement": True}, "sensitivity"
    )
    assert built.to_json()["lambda"] == 0.5
    assert METHODS["sensitivity"].params.build(built.to_json(), "sensitivity") == built


def test_the_registry_imports_nothing_heavy() -> None:
    code = (
        "import sys, coresift.selection.registry\n"
        "print([m for m in ('numpy', 'pyarrow', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

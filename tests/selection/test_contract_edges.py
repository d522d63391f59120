"""What every selection method keeps to where the data or the size is at an edge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from coresift.core.errors import InputError, ParameterError
from coresift.core.selection import Selection
from coresift.selection.params.given import GivenParams
from coresift.selection.params.pool import PoolParams
from coresift.selection.registry import METHODS, Method
from tests.data import gaussians
from tests.selection.test_contract import ROWS, _choose, _same, every_method

HUGE = 600


def some(methods: list[Method]) -> pytest.MarkDecorator:
    """Run a test for some methods."""
    return pytest.mark.parametrize("method", methods, ids=lambda method: method.name)


sized = some([m for m in METHODS.values() if m.size != "none"])
extending = some([m for m in METHODS.values() if issubclass(m.params, GivenParams)])
pooled = some([m for m in METHODS.values() if issubclass(m.params, PoolParams)])
# what such a method chooses is a function of the vectors alone
by_vectors = some(
    [m for m in METHODS.values() if not m.random and m.size != "none" and "score" not in m.needs]
)


def sound(chosen: Selection, n: int) -> bool:
    """Exactly ``n`` rows, each once, that stand for at least themselves or some part of it."""
    ranked = chosen.rank is None or sorted(chosen.rank.tolist()) == list(range(n))
    weighs = bool(np.isfinite(chosen.weight).all() and (chosen.weight > 0).all())
    return len(np.unique(chosen.rows)) == len(chosen.rows) == n and weighs and ranked


def huge_cluster() -> NDArray[np.float32]:
    """Most rows in one small ball, the others far from it and from each other."""
    vectors = gaussians(ROWS, 4, 1)
    place = np.random.default_rng(1).permutation(ROWS)[HUGE:]
    vectors[place] += 1000.0 * np.random.default_rng(2).normal(size=(ROWS - HUGE, 4))
    return vectors.astype(np.float32)


@extending
def test_given_rows_are_not_chosen_again(method: Method, tmp_path: Path) -> None:
    held = np.random.default_rng(4).permutation(ROWS)[:60]
    pq.write_table(pa.table({"row": held}), tmp_path / "held.parquet")
    more: dict[str, object] = {"given": str(tmp_path / "held.parquet")}
    chosen = _choose(method, tmp_path / "a", more=more)
    assert sound(chosen, 50)
    assert not np.isin(chosen.rows, held).any()
    assert chosen.rows_in == ROWS
    assert "60 rows were given, and are not among those chosen" in chosen.notes
    # they count: without them other rows are chosen
    assert not _same(chosen, _choose(method, tmp_path / "b"))
    assert _same(chosen, _choose(method, tmp_path / "c", more=more, files=7, threads=1))
    rest = _choose(method, tmp_path / "d", "100%", more=more)
    assert rest.rows.tolist() == np.setdiff1d(np.arange(ROWS), held).tolist()
    with pytest.raises(ParameterError, match=r"^size 641 is more than the 640 rows "):
        _choose(method, tmp_path / "e", 641, more=more)


@extending
def test_given_rows_must_be_rows_of_the_dump(method: Method, tmp_path: Path) -> None:
    pq.write_table(pa.table({"row": [ROWS]}), tmp_path / "held.parquet")
    more: dict[str, object] = {"given": str(tmp_path / "held.parquet")}
    with pytest.raises(InputError, match="row 700 is not one of the 700 rows"):
        _choose(method, tmp_path, more=more)


@extending
def test_given_rows_must_leave_some(method: Method, tmp_path: Path) -> None:
    path = tmp_path / "held.parquet"
    pq.write_table(pa.table({"row": np.arange(ROWS)}), path)
    for size in (1, "10%"):
        with pytest.raises(InputError) as caught:
            _choose(method, tmp_path / str(size), size, more={"given": str(path)})
        assert caught.value.message == (
            f"--given {path} holds all 700 rows, and leaves none to choose from"
        )
        assert caught.value.hint == "give a selection of some of them"


@every_method
def test_one_row(method: Method, tmp_path: Path) -> None:
    assert sound(_choose(method, tmp_path, 1), 1)


@every_method
def test_all_rows_but_one_and_all(method: Method, tmp_path: Path) -> None:
    assert sound(_choose(method, tmp_path / "a", ROWS - 1), ROWS - 1)
    chosen = _choose(method, tmp_path / "b", ROWS)
    assert sound(chosen, ROWS)
    assert chosen.rows.tolist() == list(range(ROWS))


@sized
@pytest.mark.parametrize("n", [1, 50, 300])
def test_all_rows_equal(method: Method, n: int, tmp_path: Path) -> None:
    vectors = np.full((300, 4), 0.25, np.float32)
    chosen = _choose(method, tmp_path, n, vectors=vectors)
    assert sound(chosen, n)
    assert np.isfinite(chosen.weight.sum())


@by_vectors
def test_of_equal_rows_the_first(method: Method, tmp_path: Path) -> None:
    chosen = _choose(method, tmp_path / "a", vectors=np.full((300, 4), 0.25, np.float32))
    assert chosen.rows.tolist() == list(range(50))
    # each row stands once more, later on
    half = gaussians(150, 4, 9)
    chosen = _choose(method, tmp_path / "b", 70, vectors=np.concatenate([half, half]))
    again = chosen.rows[chosen.rows >= 150]
    assert np.isin(again - 150, chosen.rows).all()


@sized
def test_one_huge_cluster(method: Method, tmp_path: Path) -> None:
    vectors = huge_cluster()
    chosen = _choose(method, tmp_path / "a", vectors=vectors)
    assert sound(chosen, 50)
    again = _choose(method, tmp_path / "b", vectors=vectors, files=5, groups=33, threads=1)
    assert _same(chosen, again)


@pooled
@pytest.mark.parametrize("n", [20, 80, ROWS])
@pytest.mark.parametrize("partition", ["shard", "cluster"])
def test_pools_with_one_huge_cluster(
    method: Method, n: int, partition: str, tmp_path: Path
) -> None:
    vectors = huge_cluster()
    far = vectors[np.square(vectors - vectors.mean(axis=0)).sum(axis=1).argsort()[-8:]]
    centroids = np.concatenate([vectors.mean(axis=0, keepdims=True), far])
    more: dict[str, object] = {"pool_size": 100, "partition": partition}
    where = centroids if partition == "cluster" else None
    chosen = _choose(method, tmp_path / "a", n, vectors=vectors, centroids=where, more=more)
    assert sound(chosen, n)
    assert int(chosen.resolved["pools"]) >= 7
    again = _choose(
        method,
        tmp_path / "b",
        n,
        vectors=vectors,
        centroids=where,
        more=more,
        files=5,
        groups=33,
        threads=1,
    )
    assert _same(chosen, again)

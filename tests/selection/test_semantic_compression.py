"""Semantic compression against its definition, and around queries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from coresift.api.select import select
from coresift.core.errors import InputError, ParameterError
from coresift.io.dump import InputOptions
from coresift.selection.methods import semantic_compression as module
from coresift.selection.pools import covering, dense
from coresift.selection.registry import METHODS
from tests.data import digits, vector_table, write_dump
from tests.selection.choosing import choose
from tests.selection.plain_coverage import Matrix, gains, order, similarities

COSINE = InputOptions(metric="cosine")
SOME = 500
METHOD = "semantic-compression"


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 digits, and ten others, all threes, to ask for."""
    folder = tmp_path_factory.mktemp("some")
    vectors = digits()[0]
    write_dump(folder / "emb", vector_table(vectors[:SOME]), files=2)
    write_dump(folder / "threes", vector_table(vectors[threes_beyond()]))
    return folder


def threes_beyond() -> NDArray[np.int64]:
    """Ten threes that are not among the rows."""
    found: NDArray[np.int64] = SOME + np.flatnonzero(digits()[1][SOME:] == 3)[:10]
    return found


def matrix_of(metric: str) -> Matrix:
    return similarities(digits()[0][:SOME], "cosine" if metric == "cosine" else "gaussian")


def greedy(
    matrix: Matrix, weight: Matrix, held: list[int], n: int, balance: float
) -> tuple[list[int], list[float]]:
    """The row that adds most to coverage and diversity, and what it adds."""
    pairs = n * (n - 1) / 2 + n * len(held)
    weighted = matrix * weight[:, None]
    matters = weight / weight.max()
    matters[held] = 1.0
    picks: list[int] = []
    scores: list[float] = []
    for _ in range(n):
        chosen = held + picks
        adds = gains(weighted, chosen) / weight.sum()
        if pairs:
            apart = matters[:, None] * (1.0 - matrix[:, chosen]) * matters[chosen]
            adds += balance * apart.sum(axis=1) / pairs
        adds[chosen] = -1.0
        picks.append(int(adds.argmax()))
        scores.append(float(adds[picks[-1]]))
    return picks, scores


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("balance", [0.0, 0.1, 2.0])
def test_as_the_plain_greedy(metric: str, balance: float, some: Path) -> None:
    options = InputOptions(metric=metric)
    found = choose(METHOD, some / "emb", 30, {"lambda": balance}, options=options)
    picks, scores = greedy(matrix_of(metric), np.ones(SOME), [], 30, balance)
    assert order(found) == picks
    assert found.score is not None
    assert found.rank is not None
    np.testing.assert_allclose(found.score[np.argsort(found.rank)], scores, atol=1e-6)
    if balance == 0.0:
        plain = choose("facility-location", some / "emb", 30, options=options)
        assert found.rows.tolist() == plain.rows.tolist()


def test_lambda_buys_distance_for_coverage(some: Path) -> None:
    matrix = matrix_of("cosine")
    covered, apart = [], []
    for balance in (0.0, 0.1, 1.0, 100.0):
        rows = choose(METHOD, some / "emb", 40, {"lambda": balance}, options=COSINE).rows
        covered.append(matrix[:, rows].max(axis=1).mean())
        apart.append(1.0 - matrix[np.ix_(rows, rows)].mean())
    assert covered == sorted(covered, reverse=True)
    assert apart == sorted(apart)
    assert covered[0] > covered[-1] + 0.02
    assert apart[-1] > apart[0] + 0.1


def test_given_rows_count_in_both(tmp_path: Path, some: Path) -> None:
    select("random", some / "emb", size=25, output=tmp_path / "held.parquet")
    held = pq.read_table(tmp_path / "held.parquet")["row"].to_pylist()
    weight = np.ones(SOME)
    weight[held] = 0.0
    params = {"given": str(tmp_path / "held.parquet"), "lambda": 0.5}
    found = choose(METHOD, some / "emb", 15, params, options=COSINE)
    assert order(found) == greedy(matrix_of("cosine"), weight, held, 15, 0.5)[0]


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("blend", [0.0, 0.4, 1.0])
def test_relevance_to_queries(metric: str, blend: float, some: Path) -> None:
    vectors = digits()[0]
    threes = threes_beyond()
    matrix = matrix_of(metric)
    if metric == "cosine":
        asked = similarities(vectors[np.r_[:SOME, threes]], "cosine")[SOME:, :SOME]
    else:
        # the bandwidth is that of the rows
        wide = vectors.astype(np.float64)
        width = -np.square(wide[0] - wide[1]).sum() / np.log(matrix[0, 1])
        asked = np.exp(-np.square(wide[threes, None] - wide[None, :SOME]).sum(axis=2) / width)
    near = np.where(asked >= np.sort(asked, axis=1)[:, -10][:, None], asked, 0.0)
    near = (near / near.sum(axis=1, keepdims=True)).mean(axis=0)
    edges = matrix - 2.0 * np.eye(SOME)
    joined = edges >= np.sort(edges, axis=1)[:, -10][:, None]
    edges = np.where(joined | joined.T, edges, 0.0)
    walk = edges / edges.sum(axis=1, keepdims=True)
    rank = np.linalg.solve(np.eye(SOME) - 0.85 * walk.T, 0.15 * near)
    weight = (1.0 - blend) * near + blend * rank
    params = {"around": str(some / "threes"), "blend": blend, "lambda": 0.02}
    found = choose(METHOD, some / "emb", 8, params, options=InputOptions(metric=metric))
    assert found.resolved["queries"] == 10
    assert order(found) == greedy(matrix, weight, [], 8, 0.02)[0]
    # they are near a query, which rows chosen for all are not
    close = asked.max(axis=0)
    assert close[found.rows].mean() > np.quantile(close, 0.8)
    everywhere = choose(METHOD, some / "emb", 8, options=InputOptions(metric=metric))
    assert close[everywhere.rows].mean() < np.quantile(close, 0.7)


def test_neither_blocks_nor_threads_nor_pools_show(
    some: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params: dict[str, object] = {"around": str(some / "threes")}
    first = choose(METHOD, some / "emb", 20, params, options=COSINE)
    piecemeal = {**params, "pool_size": 120}
    pools = choose(METHOD, some / "emb", 20, piecemeal, options=COSINE, threads=1)
    monkeypatch.setattr(module, "_TILE", 19)
    monkeypatch.setattr(dense, "TILE", 37)
    monkeypatch.setattr(covering, "_MATRIX_BYTES", 0)
    again = choose(METHOD, some / "emb", 20, params, options=COSINE, threads=1)
    assert again.rows.tolist() == first.rows.tolist()
    assert again.score is not None
    assert first.score is not None
    assert again.score.tolist() == first.score.tolist()
    more = choose(METHOD, some / "emb", 20, piecemeal, options=COSINE)
    assert more.rows.tolist() == pools.rows.tolist()
    # what is near the queries is found from pools too
    unit = digits()[0] / np.linalg.norm(digits()[0], axis=1, keepdims=True)
    nearest = (unit[:SOME] @ unit[threes_beyond()].T).max(axis=1)
    assert np.median(nearest[pools.rows]) >= 0.97 * np.median(nearest[first.rows])
    assert np.median(nearest[first.rows]) > np.quantile(nearest, 0.8)


def test_queries_unlike_all_rows(tmp_path: Path, some: Path) -> None:
    write_dump(tmp_path / "opposite", vector_table(-digits()[0][:3]))
    params = {"around": str(tmp_path / "opposite"), "lambda": 1.0}
    found = choose(METHOD, some / "emb", 10, params, options=COSINE)
    assert len(found.rows) == 10
    write_dump(tmp_path / "narrow", vector_table(digits()[0][:3, :5]))
    with pytest.raises(InputError, match=r"--around .*: vectors of 5 dimensions, expected 64"):
        choose(METHOD, some / "emb", 10, {"around": str(tmp_path / "narrow")})


def test_options_that_do_not_go_together() -> None:
    build = METHODS[METHOD].params.build
    for values, message in (
        ({"blend": 0.1}, "--blend is about queries, and there are none"),
        ({"neighbors": 3}, "--neighbors is about queries, and there are none"),
        ({"neighbors": 2.5, "around": "x"}, "--neighbors 2.5 is not a whole number"),
        ({"lambda": -1}, "--lambda -1 is less than 0"),
        ({"damping": 1, "around": "x"}, "--damping 1 is more than 0.99"),
    ):
        with pytest.raises(ParameterError, match=message):
            build(values, METHOD)

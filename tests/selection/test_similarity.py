"""Similarities, neighbours by them, and the graph of these."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from coresift.clustering.points import Held
from coresift.engine.local import LocalEngine
from coresift.engine.serial import SerialEngine
from coresift.selection.pools import neighbours as module
from coresift.selection.pools.graph import neighbour_graph, pagerank
from coresift.selection.pools.neighbours import most_similar
from coresift.selection.pools.similarity import UNITS, Rows, Similarity
from tests.data import digits
from tests.selection.plain_coverage import similarities

SOME = digits()[0][:300]
KINDS = pytest.mark.parametrize("kind", ["cosine", "gaussian"])


def ready(kind: str, vectors: NDArray[np.float32] = SOME) -> tuple[Similarity, Rows]:
    similarity = Similarity.of(kind, Held(vectors), 0).within(vectors)
    return similarity, similarity.rows(vectors)


@KINDS
@pytest.mark.parametrize("factor", [1.0, 3e-7, 2e12])
def test_as_defined_at_any_scale(kind: str, factor: float) -> None:
    vectors = (SOME * np.float32(factor)).astype(np.float32)
    similarity, rows = ready(kind, vectors)
    found = similarity.units(rows, rows)
    assert (found == np.rint(found)).all()
    np.testing.assert_allclose(found / UNITS, similarities(SOME, kind), atol=3e-7)


@KINDS
def test_a_function_of_two_rows(kind: str) -> None:
    random = np.random.default_rng(1)
    vectors = random.normal(3.0, 1.0, (200, 384)).astype(np.float32)
    vectors[50] = vectors[120]
    similarity, rows = ready(kind, vectors)
    whole = similarity.units(rows, rows).copy()
    assert (whole == whole.T).all()
    assert (whole[50] == whole[120]).all()
    for step in (1, 3, 67):
        parts = [
            np.concatenate(
                [
                    similarity.units(rows[i : i + 7], rows[j : j + step]).copy()
                    for j in range(0, 200, step)
                ],
                axis=1,
            )
            for i in range(0, 200, 7)
        ]
        assert (np.concatenate(parts) == whole).all()
    # the products are exact: in any order of the dimensions they are the same
    turned = random.permutation(384)
    assert (
        rows.vectors[:, turned] @ rows.vectors[:, turned].T == rows.vectors @ rows.vectors.T
    ).all()


def test_opposite_rows_and_zero_vectors_are_similar_to_none() -> None:
    vectors = np.array([[1, 0], [-1, 0], [0, 0], [0, 2]], np.float32)
    similarity, rows = ready("cosine", vectors)
    assert (similarity.units(rows, rows) / UNITS).tolist() == np.diag([1.0, 1, 0, 1]).tolist()


@KINDS
@pytest.mark.parametrize("itself", [True, False])
def test_neighbours(kind: str, itself: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # rows of few distinct values: many are as similar
    vectors = np.round(SOME[:, 20:24] * 2.0).astype(np.float32)
    similarity, rows = ready(kind, vectors)
    whole = similarity.units(rows, rows).copy()
    order = np.where(np.eye(len(whole), dtype=bool) & (not itself), -1.0, whole)
    expected = np.sort(np.argsort(-order, axis=1, kind="stable")[:, :9], axis=1)
    for engine in (SerialEngine(), LocalEngine(2)):
        places, units = most_similar(similarity, rows, 9, engine, itself=itself)
        assert (places == expected).all()
        assert (units == np.take_along_axis(whole, expected, axis=1)).all()
        monkeypatch.setattr(module, "_TILE", 31)
        monkeypatch.setattr(module, "_STRIPE", 1)
    assert most_similar(similarity, rows, 999, engine, itself=itself)[0].shape[1] == 299 + itself


@KINDS
def test_the_graph_joins_neighbours_of_either(kind: str) -> None:
    similarity, rows = ready(kind)
    whole = similarity.units(rows, rows).copy() / UNITS
    np.fill_diagonal(whole, -1.0)
    near = np.zeros(whole.shape, np.bool_)
    np.put_along_axis(near, np.argsort(-whole, axis=1, kind="stable")[:, :5], True, axis=1)
    graph = neighbour_graph(similarity, rows, 5, SerialEngine()).toarray()
    np.testing.assert_array_equal(graph, np.where(near | near.T, whole, 0.0))


@pytest.mark.parametrize("damping", [0.0, 0.5, 0.85, 0.99])
def test_pagerank_solves_its_equation(damping: float) -> None:
    vectors = SOME.copy()
    # alone in the graph
    vectors[[4, 100]] = 0.0
    similarity, rows = ready("cosine", vectors)
    graph = neighbour_graph(similarity, rows, 6, SerialEngine())
    restart = np.zeros(300)
    restart[[3, 4, 77]] = 0.5, 0.2, 0.3
    weights = graph.toarray()
    degree = weights.sum(axis=1)
    assert (degree == 0.0).sum() == 2
    walk = np.where(
        degree[:, None] > 0.0, weights / np.where(degree, degree, 1.0)[:, None], restart
    )
    expected = np.linalg.solve(np.eye(300) - damping * walk.T, (1.0 - damping) * restart)
    found = pagerank(graph, restart, damping)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    assert found.sum() == pytest.approx(1.0)

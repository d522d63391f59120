"""Curvatures against dense float64 references."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from coresift.core.errors import InputError, ResourceError
from coresift.core.memory import Budget
from coresift.influence import curvature, kfac, moments
from tests.influence.given import Array, decaying, lent


def _dense(values: np.ndarray) -> np.ndarray:
    wide = values.astype(np.float64)
    return wide.T @ wide / len(wide)


def test_the_second_moment_is_that_of_float64_whatever_the_tiles_and_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = decaying(3000, 30)
    with lent(1) as one, lent(2) as two:
        found, count = moments.second_moment(Array(values), one)
        again, _ = moments.second_moment(Array(values), two)
        assert count == 3000
        assert np.array_equal(found, again)
        assert np.allclose(found, _dense(values), rtol=1e-13, atol=1e-16)
        monkeypatch.setattr(moments, "_SEGMENT", 700)
        monkeypatch.setattr(moments, "_PANEL", 7)
        tiled, count = moments.second_moment(Array(values), two)
        assert count == 3000
        assert np.array_equal(tiled, tiled.T)
        assert np.allclose(tiled, _dense(values), rtol=1e-13, atol=1e-16)


def test_rows_left_out_and_samples() -> None:
    values = decaying(500, 6)
    values[[3, 400]] = np.nan
    good = np.delete(values, [3, 400], axis=0)
    some = np.arange(0, 500, 7)
    with lent() as context:
        found, count = moments.second_moment(Array(values), context)
        assert count == 498
        assert np.allclose(found, _dense(good), rtol=1e-13)
        found, count = moments.second_moment(Array(good), context, some[:60])
        assert count == 60
        assert np.allclose(found, _dense(good[some[:60]]), rtol=1e-13)
        for estimate in (curvature.fisher, curvature.diagonal):
            with pytest.raises(InputError, match=r"^none of the rows that the Hessian"):
                estimate(Array(values), None, context, np.array([3, 400]))


def test_a_matrix_that_does_not_fit_is_refused() -> None:
    with lent(memory=1) as context, pytest.raises(ResourceError, match="second moment of 4,000 x"):
        moments.second_moment(Array(np.zeros((2, 4000))), context)


def test_factors_and_systems_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curvature, "DENSE_DIM", 10)
    # none is ever made
    wide = Array(np.zeros((2, 12)))
    with lent() as context:
        found = curvature.fisher(wide, 1.0, context)
        monkeypatch.setattr(Budget, "left", lambda _: 1 << 30)
        with pytest.raises(ResourceError, match=r"^the K-FAC factors of a layer of 1x200,000"):
            kfac.from_gradients(wide, (1, 200_000), None, context)
        with pytest.raises(ResourceError, match=r"^conjugate gradients for 40,000,000 targets"):
            found.solve(np.broadcast_to(0.0, (40_000_000, 12)))


def test_a_second_moment_takes_no_more_than_it_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(Budget, "require", lambda self, needed, *_, **__: asked.append(needed))
    monkeypatch.setattr(moments, "_SEGMENT", 64)
    values = np.ones((64 * 12, 2048), np.float32)
    with lent(2) as context:
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            moments.second_moment(Array(values), context)
            peak = tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()
    assert peak <= asked[0]
    # what tasks hold is less than the matrix times their number
    assert peak <= 4 * 8 * 2048**2


@pytest.mark.parametrize("damping", [None, 0.0, 1e-3])
def test_fisher_and_diagonal(damping: float | None) -> None:
    values, targets = decaying(2000, 20), decaying(7, 20, 1).astype(np.float64)
    dense = _dense(values)
    added = 0.1 * np.trace(dense) / 20 if damping is None else damping
    with lent() as context:
        fisher = curvature.fisher(Array(values), damping, context)
        diagonal = curvature.diagonal(Array(values), damping, context)
    assert fisher.damping == pytest.approx(added, rel=1e-12)
    expected = np.linalg.solve(dense + added * np.eye(20), targets.T).T
    assert np.allclose(fisher.solve(targets), expected, rtol=1e-10)
    assert np.allclose(diagonal.solve(targets), targets / (np.diag(dense) + added), rtol=1e-12)


def test_conjugate_gradients_solve_what_cholesky_does(monkeypatch: pytest.MonkeyPatch) -> None:
    values, targets = decaying(900, 24), decaying(5, 24, 1).astype(np.float64)
    targets[2] = 0.0
    with lent() as context:
        exact = curvature.fisher(Array(values), None, context)
        monkeypatch.setattr(curvature, "DENSE_DIM", 10)
        found = curvature.fisher(Array(values), None, context)
        assert found.damping == pytest.approx(exact.damping, rel=1e-12)
        assert np.allclose(found.solve(targets), exact.solve(targets), rtol=1e-6, atol=1e-9)
        assert found.notes == []
        monkeypatch.setattr(curvature, "_ITERATIONS", 2)
        found.solve(targets)
        assert found.notes[0].startswith("conjugate gradients stopped after 2 steps")
        with pytest.raises(InputError, match="the Fisher is singular"):
            curvature.fisher(Array(values), 0.0, context)


def test_singular_without_damping() -> None:
    few = decaying(10, 20)
    flat = decaying(200, 20)
    flat[:, 4] = 0.0
    with lent() as context:
        for values in (few, flat):
            with pytest.raises(
                InputError, match=r"^the Fisher is singular: .* and --damping is 0$"
            ):
                curvature.fisher(Array(values), 0.0, context)
            curvature.fisher(Array(values), None, context)
        with pytest.raises(InputError, match=r"^the diagonal is singular: 1 of its 20 directions"):
            curvature.diagonal(Array(flat), 0.0, context)
        with pytest.raises(InputError, match=r"^the K-FAC factors are singular: 20 of their 400 "):
            kfac.from_layer(Array(flat), Array(decaying(200, 20, 1)), 0.0, context)
        # the fifth input is nothing to any of the four outputs
        flat[:, 4::5] = 0.0
        with pytest.raises(InputError, match=r"^the K-FAC factors are singular: 4 of their 20 "):
            kfac.from_gradients(Array(flat), (4, 5), 0.0, context)


@pytest.mark.parametrize("damping", [None, 0.0, 1e-2])
def test_kfac_of_a_layer_is_the_dense_kronecker_product(damping: float | None) -> None:
    inputs, outputs = decaying(400, 4), decaying(400, 3, 1)
    first, second = _dense(inputs), _dense(outputs)
    dense = np.kron(second, first)
    added = 0.1 * np.trace(dense) / 12 if damping is None else damping
    matrix = np.random.default_rng(2).normal(size=(2, 3, 4))
    with lent() as context:
        found = kfac.from_layer(Array(inputs), Array(outputs), damping, context)
    assert found.damping == pytest.approx(added, rel=1e-12)
    expected = np.linalg.solve(dense + added * np.eye(12), matrix.reshape(2, 12).T).T
    assert np.allclose(found.solve(matrix).reshape(2, 12), expected, rtol=1e-9)
    if damping == 0.0:
        plain = np.linalg.inv(second) @ matrix @ np.linalg.inv(first)
        assert np.allclose(found.solve(matrix), plain, rtol=1e-9)


def test_kfac_of_gradients_finds_the_factors_of_independent_inputs_and_outputs() -> None:
    """Each input with each output is as many rows as make them independent exactly."""
    inputs, outputs = decaying(12, 4), decaying(9, 3, 1)
    gradients = np.einsum("oi,aj->oaij", outputs, inputs).reshape(-1, 12)
    targets = np.random.default_rng(2).normal(size=(2, 12))
    with lent() as context:
        found = kfac.from_gradients(Array(gradients), (3, 4), None, context)
        expected = kfac.from_layer(Array(inputs), Array(outputs), None, context)
        fisher = curvature.fisher(Array(gradients), None, context)
    assert found.damping == pytest.approx(expected.damping, rel=1e-6)
    theirs = expected.solve(targets.reshape(2, 3, 4)).reshape(2, 12)
    assert np.allclose(found.solve(targets), theirs, rtol=1e-5)
    # where K-FAC's assumption holds, it is the Fisher
    assert np.allclose(found.solve(targets), fisher.solve(targets), rtol=1e-5)

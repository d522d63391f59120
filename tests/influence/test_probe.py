"""The probe, its Hessians and the influence they give, against plain float64 formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from coresift.core.errors import InputError, ParameterError
from coresift.influence import probe as probe_module
from coresift.influence import probe_curvature as module
from coresift.influence.probe import fit, train, unwarned
from coresift.influence.probe_curvature import KINDS, curvature
from coresift.influence.probe_scores import on_others, on_targets, own_loss, solved
from tests.clustering.rows import Rows
from tests.data import digits, gaussians
from tests.evaluation.cases import resources
from tests.influence.probing import Array, Case, labels_of, probed, softmax


def dense(case: Case, kind: str, damping: float) -> Array:
    """The Hessian, written out row by row."""
    training = case.training
    features, classes = training.features, training.classes
    p = softmax(features @ training.probe.weights.T)
    y = np.eye(classes)[training.codes]
    of_classes = {
        "exact": [np.diag(row) - np.outer(row, row) for row in p],
        "fisher": [np.outer(row, row) for row in p - y],
    }
    of_classes["kfac"] = of_classes["diagonal"] = of_classes["exact"]
    side = classes * features.shape[1]
    if kind == "identity":
        return np.eye(side)
    moment = features.T @ features / len(features)
    if kind == "kernel":
        found = np.kron(np.eye(classes), moment)
    elif kind == "kfac":
        found = np.kron(np.mean(of_classes[kind], axis=0), moment)
    else:
        parts = zip(of_classes[kind], features, strict=True)
        found = np.mean([np.kron(s, np.outer(x, x)) for s, x in parts], axis=0)
    if kind == "diagonal":
        found = np.diag(np.diagonal(found))
    return np.asarray(found + damping * np.eye(side))


def gradients(features: Array, residuals: Array) -> Array:
    return (residuals[:, :, None] * features[:, None, :]).reshape(len(features), -1)


@pytest.mark.parametrize("classes", [2, 10])
def test_the_probe_is_at_its_optimum(classes: int) -> None:
    with probed(300, classes, l2=0.02) as case:
        training = case.training
    x, w = training.features, training.probe.weights
    assert x[:, :-1].mean(axis=0) == pytest.approx(np.zeros(64), abs=1e-12)
    assert np.square(x[:, :-1]).mean() == pytest.approx(1.0)
    y = np.eye(classes)[training.codes]
    gradient = (softmax(x @ w.T) - y).T @ x / 300 + 0.02 * w
    assert np.abs(gradient).max() < 1e-7
    assert training.probe.converged
    losses = training.probe.losses(x, training.codes)
    assert losses == pytest.approx(-np.log((softmax(x @ w.T) * y).sum(axis=1)), rel=1e-9)


def test_a_class_without_a_row_is_ruled_out() -> None:
    generator = np.random.default_rng(1)
    x, codes = generator.normal(size=(50, 4)), generator.integers(0, 2, 50)
    weight = np.full(50, 0.02)
    with unwarned():
        found, converged = fit(x, codes, weight, 0.1, np.zeros((3, 4)))
    y = np.eye(3)[codes]
    gradient = (softmax(x @ found.T) - y).T @ x / 50 + 0.1 * found
    assert np.abs(gradient).max() < 1e-7
    assert converged


@pytest.mark.parametrize("damping", [None, 0.3])
@pytest.mark.parametrize("kind", KINDS)
def test_each_hessian_is_what_it_says(kind: str, damping: float | None) -> None:
    with probed(120, 4, dims=9, threads=2) as case:
        found = curvature(kind, case.training, damping, case.lent)
        x, r = case.target.features, case.target_residuals
        whole = solved([(x, r)], found, case.lent)
        each = solved([(x, r)], found, case.lent, each=True)
    added = 0.01 if damping is None else damping
    assert found.damping == (0.0 if kind == "identity" else added)
    g = gradients(x, r)
    expected = np.linalg.solve(dense(case, kind, added), g.T).T
    np.testing.assert_allclose(each.reshape(len(x), -1), expected, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(whole.ravel(), expected.mean(axis=0), rtol=1e-8, atol=1e-9)
    assert found.quadratic is not None
    np.testing.assert_allclose(found.quadratic(x, r), (g * expected).sum(axis=1), rtol=1e-9)


@pytest.mark.parametrize("kind", ["exact", "fisher"])
def test_conjugate_gradients_give_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with probed(400, 6, dims=20, threads=2) as case:
        tasks = [(case.target.features[:40], case.target_residuals[:40])]
        formed = solved(
            tasks, curvature(kind, case.training, None, case.lent), case.lent, each=True
        )
        monkeypatch.setattr(module, "DENSE_DIM", 10)
        found = curvature(kind, case.training, None, case.lent)
        iterated = solved(tasks, found, case.lent, each=True)
        assert np.abs(iterated - formed).max() < 1e-7 * np.abs(formed).max()
        assert found.notes == []
        with pytest.raises(
            ParameterError, match="the influence of rows on themselves, by a Hessian"
        ):
            on_others(case.factors, found)
        monkeypatch.setattr(module, "_ITERATIONS", 2)
        stopped = curvature(kind, case.training, None, case.lent)
        solved(tasks, stopped, case.lent)
    assert stopped.notes == [
        f"conjugate gradients stopped after 2 steps, before --hessian {kind} was solved to full "
        "accuracy"
    ]


def test_a_singular_hessian_is_refused() -> None:
    with probed(30, 4) as case:  # some pixels are always empty
        for kind in ("exact", "fisher", "kfac", "kernel", "diagonal"):
            with pytest.raises(InputError, match="singular"):
                curvature(kind, case.training, 0.0, case.lent)


def test_scores_are_products_of_gradients_whatever_rows_are_taken() -> None:
    with probed(700, threads=2) as case:
        found = curvature("kfac", case.training, None, case.lent)
        tasks = [(case.target.features[:9], case.target_residuals[:9])]
        for cosine in (False, True):
            matrices = solved(tasks, found, case.lent, each=True, cosine=cosine)
            influence = on_targets(case.factors, matrices, cosine=cosine)
            whole = influence.read(0, 700)
            training = case.training
            g = gradients(
                training.features, training.probe.residuals(training.features, training.codes)
            )
            w = matrices.reshape(9, -1)
            if cosine:
                assert np.square(w).sum(axis=1) == pytest.approx(np.ones(9))
                g /= np.sqrt(np.square(g).sum(axis=1, keepdims=True))
            np.testing.assert_allclose(whole, g @ w.T, rtol=1e-9, atol=1e-12)
            some = np.arange(3, 700, 7)
            assert np.array_equal(influence.take(some), whole[some])
            parts = [influence.read(a, min(a + 130, 700)) for a in range(0, 700, 130)]
            assert np.array_equal(np.concatenate(parts), whole)


def test_influence_on_all_others_is_minus_that_on_itself() -> None:
    with probed(600, l2=1e-3) as case:
        training = case.training
        found = curvature("exact", training, None, case.lent)
        mine = on_others(case.factors, found).read(0, 600)[:, 0]
        r = training.probe.residuals(training.features, training.codes)
        g = gradients(training.features, r)
        assert found.quadratic is not None
        np.testing.assert_allclose(mine, -found.quadratic(training.features, r), rtol=1e-9)
        assert np.array_equal(
            on_others(case.factors, found).take(np.array([5, 77])), [[mine[5]], [mine[77]]]
        )
        # of the objective that the others alone would have: their losses, and the penalty
        others = g.sum(axis=0) - g + 600 * 1e-3 * training.probe.weights.ravel()
        matrices = found.solve(others.reshape(600, 10, -1)).reshape(600, -1)
    np.testing.assert_allclose((g * matrices).sum(axis=1), mine, rtol=1e-3, atol=1e-5)


def test_the_loss_of_a_row_that_is_left_out() -> None:
    with probed(600, threads=2) as case, unwarned():
        training = case.training
        found = curvature("exact", training, None, case.lent)
        scores = own_loss(case.factors, found, 600, without=True).read(0, 600)[:, 0]
        losses = training.probe.losses(training.features, training.codes)
        rows = np.argsort(-losses)[:25]
        actual = [
            training.again(np.arange(600) != row).losses(
                training.features[row : row + 1], training.codes[row : row + 1]
            )[0]
            for row in rows
        ]
    assert (-scores > losses).all()
    gained = (-scores[rows] - losses[rows]) / (np.array(actual) - losses[rows])
    # to first order the curvature that the row itself brings stays, so that it is too little
    assert 0.3 < np.median(gained) < 1.05
    assert spearmanr(-scores[rows], actual)[0] > spearmanr(losses[rows], actual)[0]


def test_the_loss_of_a_row_had_others_been_seen() -> None:
    with probed(600, threads=2) as case, unwarned():
        training, target = case.training, case.target
        found = curvature("exact", training, None, case.lent)
        tasks = [
            (target.features[some], case.target_residuals[some]) for some in (slice(3), slice(3, 5))
        ]
        before = own_loss(case.factors, found, 600).read(0, 600)[:, 0]
        losses = training.probe.losses(training.features, training.codes)
        np.testing.assert_allclose(-before, losses, rtol=1e-12)
        predicted = before - own_loss(case.factors, found, 600, tasks).read(0, 600)[:, 0]
        features = np.concatenate([training.features, target.features[:5]])
        codes = np.concatenate([training.codes, target.codes[:5]])
        weight = np.full(605, 1.0 / 600)
        old = training.probe
        weights, _ = fit(features, codes, weight, old.l2, old.weights)
        again = replace(old, weights=weights)
        actual = [one.losses(training.features, training.codes) for one in (again, old)]
    change = actual[0] - actual[1]
    assert spearmanr(predicted, change)[0] > 0.95
    moved = np.abs(change) > np.quantile(np.abs(change), 0.9)
    assert 0.8 < np.median(predicted[moved] / change[moved]) < 1.5


def test_the_kernel_is_that_of_the_sum_of_the_logits() -> None:
    """And the influence is that of kernel ridge regression with it."""
    with probed(200, 5, dims=12) as case:
        training, x_t = case.training, case.target.features[:6]
        x, n, classes = training.features, 200, 5
        # the gradient of the sum of the logits W x over sqrt(C) by W has x / sqrt(C) in each row
        by_weights = [
            np.repeat(f[:, None, :], classes, axis=1) / np.sqrt(classes) for f in (x, x_t)
        ]
        flat = [f.reshape(len(f), -1) for f in by_weights]
        gram, cross = flat[0] @ flat[0].T, flat[1] @ flat[0].T
        weights = n * cross @ np.linalg.inv(gram + n * 0.01 * np.eye(n))
        r_t = case.target_residuals[:6]
        r = training.probe.residuals(x, training.codes)
        found = curvature("kernel", training, None, case.lent)
        matrices = solved([(x_t, r_t)], found, case.lent, each=True)
        scores = on_targets(case.factors, matrices).read(0, n)
    np.testing.assert_allclose(scores, (r @ r_t.T) * weights.T, rtol=1e-7, atol=1e-9)


def test_the_exact_hessian_predicts_what_leaving_a_row_out_does() -> None:
    with probed(800, threads=2) as case, unwarned():
        training, target = case.training, case.target
        tasks = [(target.features, case.target_residuals)]
        rows = np.sort(np.random.default_rng(0).choice(800, 200, replace=False))
        before = training.probe.losses(target.features, target.codes).mean()

        def task(row: int) -> float:
            used = np.arange(800) != row
            return float(training.again(used).losses(target.features, target.codes).mean())

        actual = np.array(list(case.lent.engine.map(task, rows.tolist()))) - before
        agreement = {}
        for kind in KINDS:
            matrices = solved(tasks, curvature(kind, training, None, case.lent), case.lent)
            scores = on_targets(case.factors, matrices).take(rows)[:, 0]
            agreement[kind] = spearmanr(scores, actual)[0]
    assert agreement["exact"] >= 0.95
    assert max(agreement, key=lambda kind: agreement[kind]) == "exact"


def test_what_does_not_fit_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, codes = digits()
    labels = labels_of(codes)
    with resources(memory=(128 << 20) + (4 << 20)) as lent:
        found = train(Rows(vectors), labels, lent.budget, 0)
        again = train(Rows(vectors, step=77), labels, lent.budget, 0)
    assert len(found.rows) == 1024
    assert found.notes == (
        "the probe was trained on 1,024 of 1,797 rows, drawn uniformly, which is what --memory "
        "holds",
    )
    assert np.array_equal(found.probe.weights, again.probe.weights)
    monkeypatch.setattr(probe_module, "_ITERATIONS", 3)
    with resources() as lent:
        slow = train(Rows(vectors), labels, lent.budget, 0)
    assert slow.notes == ("the probe did not converge in 3 iterations",)


def test_labels_that_are_no_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    points = Rows(gaussians(20, 3, 2))
    with resources() as lent:
        with pytest.raises(ParameterError, match="--label 'kind': all rows are of one class"):
            train(points, labels_of(np.zeros(20, np.int64)), lent.budget, 0, name="kind")
        monkeypatch.setattr(probe_module, "MOST_CLASSES", 3)
        with pytest.raises(ParameterError, match="has 4 classes; a probe tells at most 3 apart"):
            train(points, labels_of(np.arange(20) % 4), lent.budget, 0)

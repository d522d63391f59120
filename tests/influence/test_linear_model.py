"""Gradients of scikit-learn's linear models: closed forms, and differences of the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Ridge,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from coresift.core.errors import InputError
from coresift.influence.models.linear import LinearModel
from tests.data import digits

Array = NDArray[np.float64]


def some(classes: int = 10, rows: int = 300) -> tuple[Array, NDArray[np.int64]]:
    vectors, labels = digits()
    chosen = np.flatnonzero(labels < classes)[:rows]
    return vectors[chosen].astype(np.float64), labels[chosen]


def inputs(batch: dict[str, Any]) -> tuple[Any, Any]:
    return batch["x"], batch["y"]


def together(model: LinearModel, x: Array, y: NDArray[Any]) -> Array:
    parts = model.gradients({"x": x, "y": y})
    found = np.concatenate(parts, axis=1).astype(np.float64)
    assert found.shape == (len(x), model.parameters)
    return found


def test_multinomial_gradients_are_the_outer_product() -> None:
    x, y = some()
    fitted = LogisticRegression(max_iter=50, tol=1e-2).fit(x, y)
    found = together(LinearModel(fitted, inputs), x, y)
    residual = fitted.predict_proba(x) - np.eye(10)[y]
    expected = np.stack([np.append(np.outer(r, v), r) for r, v in zip(residual, x, strict=True)])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def differences(
    fitted: Any, loss: Callable[[Any], Array], *, names: tuple[str, ...] = ("coef_", "intercept_")
) -> Array:
    """The gradient of each row's loss, by central differences."""
    columns = []
    for name in names:
        held = np.array(getattr(fitted, name), np.float64)
        for place in range(held.size):
            sides = []
            for step in (1e-5, -1e-5):
                moved = held.copy()
                moved.reshape(-1)[place] += step
                setattr(fitted, name, moved)
                sides.append(loss(fitted))
            columns.append((sides[0] - sides[1]) / 2e-5)
        setattr(fitted, name, held)
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_gradients_are_those_of_the_loss(classes: int) -> None:
    x, y = some(classes, 40)

    def loss(fitted: Any) -> Array:
        return np.asarray(-np.log(fitted.predict_proba(x)[np.arange(len(y)), y]))

    fitted = LogisticRegression(max_iter=50, tol=1e-2).fit(x, y)
    found = together(LinearModel(fitted, inputs), x, y)
    np.testing.assert_allclose(found, differences(fitted, loss), atol=1e-5)


@pytest.mark.parametrize("classes", [2, 4])
def test_one_against_the_rest(classes: int) -> None:
    x, y = some(classes, 200)
    fitted = SGDClassifier(loss="log_loss", random_state=0).fit(x, y)
    found = together(LinearModel(fitted, inputs), x, y)
    # each class is a problem of its own
    positive = 1.0 / (1.0 + np.exp(-(x @ fitted.coef_.T + fitted.intercept_)))
    known = np.eye(classes)[y][:, 1:] if classes == 2 else np.eye(classes)[y]
    residual = positive - known
    expected = np.einsum("ik,id->ikd", residual, x).reshape(len(x), -1)
    np.testing.assert_allclose(found[:, : expected.shape[1]], expected, atol=1e-6)
    np.testing.assert_allclose(found[:, expected.shape[1] :], residual, atol=1e-6)


@pytest.mark.parametrize(
    "estimator",
    [LinearRegression(), Ridge(), Ridge(fit_intercept=False), SGDRegressor(random_state=0)],
)
def test_squared_error(estimator: Any) -> None:
    x, y = some(10, 30)
    fitted = estimator.fit(x, y.astype(np.float64))
    found = together(LinearModel(fitted, inputs), x, y)
    names = ("coef_", "intercept_") if fitted.fit_intercept else ("coef_",)
    expected = differences(fitted, lambda f: 0.5 * np.square(f.predict(x) - y), names=names)
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-5)


def test_several_targets_and_a_pipeline() -> None:
    x, y = some(10, 30)
    wanted = np.stack([y, -2.0 * y], axis=1)
    fitted = make_pipeline(StandardScaler(), Ridge()).fit(x, wanted)
    found = together(LinearModel(fitted, inputs), x, wanted)
    residual = fitted.predict(x) - wanted
    expected = np.einsum("ik,id->ikd", residual, fitted[:-1].transform(x)).reshape(30, -1)
    np.testing.assert_allclose(found, np.hstack([expected, residual]), atol=1e-4)


def test_what_is_refused() -> None:
    x, y = some(3, 60)
    with pytest.raises(InputError, match="the Ridge has no coef_"):
        LinearModel(Ridge(), inputs)
    for estimator, name in (
        (LinearSVC(), "LinearSVC with the loss squared_hinge"),
        (SGDClassifier(), "SGDClassifier with the loss hinge"),
    ):
        with pytest.raises(InputError, match=f"the gradient of {name} is not known"):
            LinearModel(estimator.fit(x, y), inputs)
    model = LinearModel(LogisticRegression(max_iter=20, tol=1.0).fit(x, y), inputs)
    with pytest.raises(InputError, match=r"the target .*9.* is none of the 3 classes"):
        model.gradients({"x": x, "y": np.where(y == 1, 9, y)})
    with pytest.raises(InputError, match=r"features of shape \(60, 63\) and 60 targets"):
        model.gradients({"x": x[:, 1:], "y": y})
    with pytest.raises(InputError, match="its inputs raised KeyError: 'y'") as caught:
        model.gradients({"x": x})
    assert caught.value.hint == "it was given the columns x"

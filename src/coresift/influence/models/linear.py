"""Gradients of scikit-learn's linear models, by their closed form.

With z = W x + b, the gradient of the loss by W is r x' and by b is r, where r is the derivative
by z: p - y for the logistic loss, and z - y for half the squared error. What regularises the
weights is no row's loss, and no part of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.influence.models.base import Batch

Inputs = Callable[[Batch], tuple[Any, Any]]
_SQUARED = ("LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet")


class LinearModel:
    """A fitted linear model, as a :class:`~coresift.influence.models.base.RowModel`.

    Parameters
    ----------
    estimator : estimator of scikit-learn
        LogisticRegression, SGDClassifier with log loss, a linear regression with squared error,
        or a Pipeline that ends with one.
    inputs : callable
        Takes columns by name and returns the rows' features and targets, as ``fit`` takes them.
    """

    kind = "scikit-learn"
    notes: tuple[str, ...] = ()

    def __init__(self, estimator: Any, inputs: Inputs) -> None:
        self._before: Any = None
        if type(estimator).__name__ == "Pipeline":
            self._before, estimator = estimator[:-1], estimator[-1]
        self._name = type(estimator).__name__
        self._inputs = inputs
        if not hasattr(estimator, "coef_"):
            raise InputError(
                f"--model: the {self._name} has no coef_, which fitted linear models have",
                hint="fit it first; a model of another kind can be written in PyTorch",
            )
        self._weights: NDArray[np.float64] = np.atleast_2d(np.asarray(estimator.coef_, np.float64))
        self._fits_bias = bool(getattr(estimator, "fit_intercept", True))
        self._bias: NDArray[np.float64] = np.atleast_1d(
            np.asarray(estimator.intercept_, np.float64)
        )
        self._classes: NDArray[Any] | None = getattr(estimator, "classes_", None)
        self._form = _form(estimator)
        self.layers: tuple[str, ...] = ("coef_", "intercept_") if self._fits_bias else ("coef_",)
        self.parameters = self._weights.size + (len(self._weights) if self._fits_bias else 0)
        learned = self._weights.tobytes() + self._bias.tobytes()
        self.digest = hashlib.sha256(learned).hexdigest()[:32]

    def probe(self, batch: Batch) -> None:
        """Try some rows."""
        self.gradients(batch)

    def gradients(self, batch: Batch) -> Sequence[NDArray[np.float32]]:
        """Of the weights, output after output, and of the intercepts."""
        features, targets = self._features(batch)
        derivatives = self._derivatives(features @ self._weights.T + self._bias, targets)
        outer = derivatives[:, :, None] * features[:, None, :]
        parts = [outer.reshape(len(features), -1).astype(np.float32)]
        if self._fits_bias:
            parts.append(derivatives.astype(np.float32))
        return parts

    def _features(self, batch: Batch) -> tuple[NDArray[np.float64], NDArray[Any]]:
        rows = len(next(iter(batch.values())))
        try:
            features, targets = self._inputs(batch)
            if self._before is not None:
                features = self._before.transform(features)
            if hasattr(features, "toarray"):
                features = features.toarray()
            dense = np.asarray(features, np.float64)
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(
                f"--model: its inputs raised {type(error).__name__}: {reason}",
                hint=f"it was given the columns {', '.join(batch)}",
            ) from error
        wanted = (rows, self._weights.shape[1])
        if dense.shape != wanted or len(targets) != rows:
            raise InputError(
                f"--model: its inputs gave features of shape {dense.shape} and {len(targets)} "
                f"targets, expected {wanted} and {rows}",
                hint="a row of features and a target for each row are expected",
            )
        return dense, np.asarray(targets)

    def _derivatives(
        self, outputs: NDArray[np.float64], targets: NDArray[Any]
    ) -> NDArray[np.float64]:
        if self._form == "squared":
            wanted = np.asarray(targets, np.float64).reshape(outputs.shape)
            return np.asarray(outputs - wanted)
        assert self._classes is not None
        known = targets[:, None] == self._classes[None, :]
        if not known.any(axis=1).all():
            unknown = targets[int(np.flatnonzero(~known.any(axis=1))[0])]
            raise InputError(
                f"--model: the target {unknown!r} is none of the {len(self._classes)} classes that "
                f"the {self._name} knows",
                hint=f"they are {', '.join(map(repr, self._classes[:12].tolist()))}",
            )
        if self._form == "softmax":
            from scipy.special import softmax

            return np.asarray(softmax(outputs, axis=1) - known)
        from scipy.special import expit

        one = known[:, 1:] if outputs.shape[1] == 1 else known
        return np.asarray(expit(outputs) - one)

    def close(self) -> None:
        """Nothing was changed."""


def _form(estimator: Any) -> str:
    """How outputs and targets make the loss.

    Raises
    ------
    InputError
        When the estimator's loss is none of those.
    """
    name = type(estimator).__name__
    if name in ("LogisticRegression", "LogisticRegressionCV"):
        several = len(estimator.coef_) > 1
        multinomial = getattr(estimator, "multi_class", "auto") == "multinomial"
        if several:
            one_by_one = estimator.solver == "liblinear"
            one_by_one |= getattr(estimator, "multi_class", "auto") == "ovr"
            return "logistic" if one_by_one else "softmax"
        if not multinomial:
            return "logistic"
    if name == "SGDClassifier" and estimator.loss == "log_loss":
        return "logistic"
    if name in _SQUARED or (name == "SGDRegressor" and estimator.loss == "squared_error"):
        return "squared"
    loss = f" with the loss {estimator.loss}" if hasattr(estimator, "loss") else ""
    raise InputError(
        f"--model: the gradient of {name}{loss} is not known here",
        hint="LogisticRegression, SGDClassifier with log_loss and linear regressions by least "
        "squares are; any other model can be written in PyTorch",
    )

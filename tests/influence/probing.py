"""Probes on digits, and what is known of them by plain float64 formulas."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.evaluation.base import Resources
from coresift.influence.examples import Examples
from coresift.influence.probe import L2, Training, train
from coresift.influence.probe_scores import Factors
from coresift.io.labels import Labels
from tests.clustering.rows import Rows
from tests.data import digits
from tests.evaluation.cases import resources

Array = NDArray[np.float64]


def labels_of(codes: NDArray[np.int64]) -> Labels:
    """Classes by number."""
    count = np.bincount(codes[codes >= 0]).astype(np.int64)
    return Labels(codes.astype(np.int32), count, int((codes < 0).sum()), tuple(range(len(count))))


@dataclass(frozen=True)
class Case:
    """A probe on some digits, and others as target."""

    training: Training
    factors: Factors
    target: Examples
    lent: Resources

    @property
    def target_residuals(self) -> Array:
        """Return p - y of the target."""
        return self.training.probe.residuals(self.target.features, self.target.codes)


@contextmanager
def probed(
    rows: int, classes: int = 10, *, dims: int = 64, l2: float = L2, seed: int = 0, threads: int = 1
) -> Iterator[Case]:
    """Fit to ``rows`` digits of the first classes, in their first dimensions of most variance."""
    vectors, codes = digits()
    order = np.random.default_rng(seed).permutation(np.flatnonzero(codes < classes))
    some = np.sort(np.argsort(-vectors.var(axis=0), kind="stable")[:dims])
    vectors, codes = vectors[order][:, some], codes[order]
    points = Rows(vectors[:rows])
    with resources(threads=threads) as lent:
        training = train(points, labels_of(codes[:rows]), lent.budget, 0, l2)
        target = Examples(training.probe.features(vectors[rows:]), codes[rows:])
        factors = Factors(training.probe, points, codes[:rows].astype(np.int32))
        yield Case(training, factors, target, lent)


def softmax(scores: Array) -> Array:
    """Row by row."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: Array = raised / raised.sum(axis=1, keepdims=True)
    return found

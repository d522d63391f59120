"""Training goes on where it was interrupted, without searching again what it had."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coresift.clustering import kernels
from coresift.clustering.kmeans import FitOptions, KMeans, KMeansParams, fit
from coresift.clustering.nearest import nearest
from coresift.core.memory import Budget
from coresift.core.progress import Silent
from coresift.engine.serial import SerialEngine
from coresift.io import journal
from coresift.io.journal import Journal
from tests.clustering.rows import Rows
from tests.data import gaussians

PARAMS = KMeansParams(k=12, iterations=8, tol=0.0)
ROWS, STEP = 3000, 300


@dataclass
class Failing(Rows):
    """Rows that can be read a number of times."""

    reads: int = 1 << 30

    def read(self, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        self.reads -= 1
        if self.reads < 0:
            raise KeyboardInterrupt
        return super().read(start, stop)


@contextmanager
def lent(folder: Path) -> Iterator[FitOptions]:
    with Journal.open(folder, "a") as scratch:
        yield {
            "spherical": False,
            "device": "cpu",
            "seed": 3,
            "engine": SerialEngine(),
            "budget": Budget(1 << 33),
            "scratch": scratch,
            "progress": Silent(),
        }


def train(folder: Path, reads: int = 1 << 30) -> KMeans:
    rows = gaussians(ROWS, 10, 1, seed=5)
    with lent(folder) as run:
        model = fit(Failing(rows, STEP, reads), PARAMS, **run)
        assert model.labels is not None
        labels = model.labels.read(0, ROWS).copy()
    assert np.array_equal(labels[:, 0], np.square(rows[:, None] - model.centroids).sum(2).argmin(1))
    return model


def test_only_what_is_left_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "INTERVAL_S", 0.0)
    searched = 0

    def counting(block: NDArray[np.float32], *rest: Any) -> NDArray[np.int32]:
        nonlocal searched
        searched += len(block)
        return nearest(block, *rest)

    monkeypatch.setattr(kernels, "nearest", counting)
    whole = train(tmp_path / "whole")
    assert searched == ROWS
    iterations = len(whole.costs)
    assert iterations > 3
    # in the middle of the third iteration
    searched = 0
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", reads=2 * ROWS // STEP + 4)
    searched = 0
    again = train(tmp_path / "cut")
    assert np.array_equal(again.centroids, whole.centroids)
    assert (again.costs, again.converged) == (whole.costs, whole.converged)
    # the last six runs of the third, and the four others once in the fourth for their bounds
    assert searched == ROWS
    searched = 0
    assert train(tmp_path / "cut").costs == whole.costs
    assert searched == 0

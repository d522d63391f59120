"""Precision, recall and coverage by balls, against a plain reading of the papers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from coresift.engine.local import LocalEngine
from coresift.evaluation import balls as module
from coresift.evaluation.balls import Balls, balls, covered, likely
from coresift.evaluation.base import RowSet
from tests.clustering.rows import Rows
from tests.data import digits
from tests.evaluation.cases import everything, resources, weighted

ARRAY = digits()[0]


def distances(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = left.astype(np.float64)
    columns = [np.sqrt(np.square(wide - row).sum(axis=1)) for row in right]
    found: NDArray[np.float64] = np.array(columns).T
    return found


def reference(real: NDArray[np.float32], fake: NDArray[np.float32]) -> tuple[float, float, float]:
    """P-precision, P-recall and coverage as the authors compute them, of two samples."""

    def average(sample: NDArray[np.float32]) -> float:
        return float(np.sort(distances(sample, sample), axis=1)[:, 4].mean())

    def outside(distance: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
        inside = 1.0 - distance / radius
        inside[distance >= radius] = 0.0
        together: NDArray[np.float64] = np.prod(1.0 - inside, axis=0)
        return together

    between = distances(real, fake)
    precision = 1.0 - outside(between, 1.2 * average(real))
    recall = 1.0 - outside(between.T, 1.2 * average(fake))
    fifth = np.sort(distances(real, real), axis=1)[:, 5]
    cover = (between.min(axis=1) < fifth).mean()
    return float(precision.mean()), float(recall.mean()), float(cover)


def measured(real: NDArray[np.float32], fake: NDArray[np.float32]) -> tuple[float, float, float]:
    engine = LocalEngine(2)
    all_rows = Balls.around(np.arange(len(real)), real, engine)
    chosen = Balls.around(len(real) + np.arange(len(fake)), fake, engine)
    precision, recall = likely(all_rows, chosen, engine)
    cover = covered(all_rows, chosen, engine).mean()
    engine.close()
    return float(precision.mean()), float(recall.mean()), float(cover)


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
@pytest.mark.parametrize(("rows", "others", "dim"), [(600, 600, 8), (1200, 300, 32), (40, 7, 2)])
def test_gaussians(shift: float, rows: int, others: int, dim: int) -> None:
    generator = np.random.default_rng(dim)
    real = generator.normal(size=(rows, dim)).astype(np.float32)
    fake = (generator.normal(size=(others, dim)) + shift).astype(np.float32)
    found = measured(real, fake)
    assert found == pytest.approx(reference(real, fake), rel=1e-9)
    assert shift or found[2] > 0.2


def test_narrow_and_wide() -> None:
    """A narrow sample is precise and recalls little; a wide one the other way round."""
    generator = np.random.default_rng(1)
    real = generator.normal(size=(800, 6)).astype(np.float32)
    other = generator.normal(size=(800, 6)).astype(np.float32)
    same, narrow, wide = (measured(real, other * np.float32(scale)) for scale in (1.0, 0.3, 3.0))
    assert narrow[0] > same[0] > 2 * wide[0]
    assert narrow[1] < 0.2
    assert same[1] > 0.7
    assert wide[1] > 0.99


def test_coverage_of_equals_is_that_of_its_paper() -> None:
    """Of two samples of one distribution: 1 - (M-1)...(M-5) / ((2M-1)...(2M-5))."""
    generator = np.random.default_rng(2)
    rows = 1_500
    real, fake = (generator.normal(size=(rows, 4)).astype(np.float32) for _ in range(2))
    expected = 1.0 - np.prod([(rows - i) / (2 * rows - i) for i in range(1, 6)])
    assert measured(real, fake)[2] == pytest.approx(expected, abs=0.02)


def test_all_rows() -> None:
    with resources(threads=2) as lent:
        found = balls(Rows(ARRAY), [everything(len(ARRAY))], lent)
    assert found["p_recall"].tolist() == [1.0]
    assert found["knn_coverage"].tolist() == [1.0]
    # as likely as a row is where the others are
    assert 0.7 < found["p_precision"][0] < 1.0


def test_one_row_and_equal_rows() -> None:
    generator = np.random.default_rng(3)
    array = generator.normal(size=(50, 3)).astype(np.float32)
    array[10:20] = array[10]
    one, ten = RowSet(np.array([3]), np.ones(1)), RowSet(np.arange(10, 20), np.ones(10))
    with resources() as lent:
        found = balls(Rows(array), [one, ten], lent)
        same = balls(Rows(np.ones((30, 2), np.float32)), [everything(30)], lent)
        alone = balls(Rows(array[:1]), [everything(1)], lent)
    assert found["p_recall"].tolist() == pytest.approx([1 / 50, 10 / 50])
    assert found["p_precision"][1] == pytest.approx(1.0, rel=1e-12)
    assert found["knn_coverage"][1] >= 10 / 50
    names = ("p_precision", "p_recall", "knn_coverage")
    assert [same[name][0] for name in names] == pytest.approx([1.0] * 3, rel=1e-12)
    # where there is no other row, none is where others are
    assert [alone[name][0] for name in names] == [0, 1, 1]


def test_a_row_does_not_vouch_for_itself() -> None:
    """A far row is no part of the support, though it is one of all rows."""
    array = np.vstack([np.random.default_rng(4).normal(size=(99, 2)), [[50, 50]]])
    far = RowSet(np.array([99]), np.ones(1))
    with resources() as lent:
        assert balls(Rows(array.astype(np.float32)), [far], lent)["p_precision"].tolist() == [0.0]


def test_weights_are_those_of_the_mean() -> None:
    array = np.vstack([np.random.default_rng(4).normal(size=(99, 2)), [[50, 50]]])
    points = Rows(array.astype(np.float32))
    sets = [RowSet(np.array([7, 99]), np.array(weight)) for weight in ([1.0, 0.0], [1.0, 3.0])]
    with resources() as lent:
        found = balls(points, sets, lent)
    assert found["p_precision"][1] == pytest.approx(found["p_precision"][0] / 4)
    assert found["p_recall"][1] == found["p_recall"][0]


def test_samples_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [weighted(len(ARRAY), 700), weighted(len(ARRAY), 40, 1), everything(len(ARRAY))]
    with resources() as lent:
        whole = balls(Rows(ARRAY), sets, lent)
    monkeypatch.setattr(module, "MOST_ROWS", 600)
    monkeypatch.setattr(module, "LEAST_ROWS", 300)
    with resources() as lent, resources(threads=2) as others, resources(seed=1) as seeded:
        found = balls(Rows(ARRAY), sets, lent)
        again = balls(Rows(ARRAY, 1797), sets[::-1], others)
        other = balls(Rows(ARRAY), sets, seeded)
    for name, values in found.items():
        assert values.tolist() == again[name][::-1].tolist()
        assert values[0] == pytest.approx(whole[name][0], rel=0.2)
        assert name == "knn_coverage" or values[0] != other[name][0]
    # equal sets have equal samples
    assert (found["p_recall"][2], found["knn_coverage"][2]) == (1.0, 1.0)

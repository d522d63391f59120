"""Scores against training again."""

from __future__ import annotations

import numpy as np
import pytest

from coresift.core.errors import ParameterError, ResourceError
from coresift.evaluation import influence as module
from coresift.evaluation.base import Values
from coresift.evaluation.influence import Scored, Validation, validate
from coresift.influence.probe_curvature import KINDS, curvature
from coresift.influence.probe_scores import on_targets, solved
from tests.evaluation.cases import resources
from tests.influence.probing import Array, Case, probed


def influence(case: Case, kind: str = "exact") -> Array:
    """Of all rows."""
    found = curvature(kind, case.training, None, case.lent)
    matrices = solved([(case.target.features, case.target_residuals)], found, case.lent)
    return on_targets(case.factors, matrices).read(0, len(case.training.rows))[:, 0]


def validated(case: Case, subset: Scored, **more: int) -> tuple[Values, Validation]:
    given = {"repeats": 3, "subsets": 30, **more}
    return validate(case.training, case.factors, case.target, subset, case.lent, **given)


def test_kfac_and_fisher_beat_identity() -> None:
    """On the mean over several targets: a single one's score is off by 0.1 either way."""
    found = {kind: [] for kind in KINDS}  # type: dict[str, list[float]]
    for seed in range(4):
        with probed(600, seed=seed, threads=2) as case:
            rows = np.arange(600)
            values, told = validated(case, Scored(rows, None), subsets=50, repeats=1)
        for kind, scores in found.items():
            scores.append(values[f"lds_{kind}"][0])
        assert (told.subsets, told.scored, told.trained) == (50, 600, 600)
    lds = {kind: np.mean(scores) for kind, scores in found.items()}
    assert lds["kfac"] > lds["identity"] + 0.05
    assert lds["fisher"] > lds["identity"] + 0.05
    assert lds["exact"] == max(lds.values())
    assert lds["exact"] > 0.6


def test_good_scores_correlate_and_scores_dealt_out_do_not() -> None:
    with probed(400, 5, threads=2) as case:
        scores = influence(case)
        values, told = validated(case, Scored(np.arange(400), scores), repeats=20)
        turned, _ = validated(case, Scored(np.arange(400), -scores))
    # made by another solver, whose last digits differ
    assert values["lds"][0] == pytest.approx(values["lds_exact"][0], abs=0.01)
    assert turned["lds"][0] == pytest.approx(-values["lds"][0])
    assert np.abs(values["lds"][1:].mean()) < 0.2
    # the best tenth is left out, and its loss is missed more than that of other rows
    assert told.removed == 40
    best = np.sort(scores)[-40:]
    assert told.predicted_change == pytest.approx(best.sum() / 400)
    assert told.actual_change == pytest.approx(told.loss_without - told.loss)
    assert values["influence_effect"][0] == told.actual_change
    assert values["influence_effect"][0] > values["influence_effect"][1:].max()


def test_leaving_out_harmful_rows_helps() -> None:
    with probed(400, 5, threads=2) as case:
        scores = influence(case)
        worst = np.sort(np.argsort(scores)[:15])
        subset = Scored(worst, scores[worst], harm=True)
        values, told = validated(case, subset)
        some, few = validated(case, subset, remove=4)
    assert told.removed == 15
    assert (told.predicted_change or 0) < 0
    assert told.actual_change < 0 < values["influence_effect"][0]
    assert values["influence_effect"][0] > values["influence_effect"][1:].max()
    assert few.removed == 4
    assert (few.predicted_change or 0) == pytest.approx(np.sort(scores)[:4].sum() / 400)
    assert some["influence_effect"][0] < values["influence_effect"][0]
    # halves of the scored rows only; the others are always there
    assert told.scored == 15


def test_more_than_can_be_left_out_is_refused() -> None:
    with probed(300, 4, threads=2) as case:
        for rows, remove in ((300, 151), (20, 21)):
            message = rf"^--remove {remove} is more than the {min(rows, 150)} rows that can be"
            with pytest.raises(ParameterError, match=message):
                validated(case, Scored(np.arange(rows), None), subsets=3, remove=remove)


def test_training_again_is_on_what_is_left() -> None:
    with probed(300, 4, threads=2) as case:
        rows = np.arange(0, 300, 3)
        _, told = validated(case, Scored(rows, None), subsets=3)
        used = np.ones(300, np.bool_)
        used[rows] = False
        again = case.training.again(used)
        losses = again.losses(case.target.features, case.target.codes)
    assert told.removed == 100
    assert told.loss_without == pytest.approx(losses.mean(), rel=1e-4)


def test_the_same_on_any_threads() -> None:
    found = []
    for threads in (1, 3):
        with probed(300, 4, threads=threads) as case:
            found.append(validated(case, Scored(np.arange(300), influence(case))))
    assert found[0][1] == found[1][1]
    assert {name: values.tolist() for name, values in found[0][0].items()} == {
        name: values.tolist() for name, values in found[1][0].items()
    }


def test_nothing_to_rank_is_no_correlation() -> None:
    halves = [np.array([0, 1]), np.array([1, 2]), np.array([0, 2])]
    equal = module._lds(np.ones(3), halves, np.array([1.0, 2.0, 3.0]))
    ranked = module._lds(np.array([0.0, 1.0, 5.0]), halves, np.array([0.1, 7.0, 0.2]))
    assert equal == 0.0
    assert ranked == pytest.approx(1.0)


def test_what_training_again_takes_is_said_before() -> None:
    some = Scored(np.arange(9), None)
    with (
        probed(300, 4) as case,
        resources(memory=1) as lent,
        pytest.raises(ResourceError, match="training again on 300 rows needs"),
    ):
        validate(case.training, case.factors, case.target, some, lent, repeats=1)

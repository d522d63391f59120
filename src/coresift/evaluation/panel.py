"""Which metrics there are, which are measured, and the measuring of them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from coresift.clustering.bandwidth import median_distance
from coresift.clustering.points import Points
from coresift.core.errors import ParameterError
from coresift.evaluation.agreement import Take, agreement
from coresift.evaluation.balls import balls
from coresift.evaluation.base import BETTER, Resources, RowSet, Values
from coresift.evaluation.cost import kmeans_cost_error
from coresift.evaluation.coverage import coverage
from coresift.evaluation.duplicates import duplicates_left
from coresift.evaluation.grouping import Grouping
from coresift.evaluation.knn import knn_accuracy
from coresift.evaluation.labels import balance
from coresift.evaluation.mmd import Mmd, mmd
from coresift.evaluation.probe import probe
from coresift.evaluation.sliced import sliced_wasserstein
from coresift.evaluation.vendi import vendi
from coresift.io.labels import Labels

# of the median distance between two rows: how near near duplicates are
NEAR = 0.1


@dataclass
class Panel:
    """What the metrics of one run are measured with.

    Attributes
    ----------
    points : Points
        All rows.
    sets : sequence of RowSet
        What to judge.
    resources : Resources
        The run's resources.
    stage : callable
        Times a named block.
    targets : Points
        The rows that coverage is measured from.
    grouping : Grouping or None
        For metrics of clusters and of cost.
    labels : Labels or None
        For metrics of classes.
    other : callable or None
        Vectors of another model, see :func:`coresift.evaluation.agreement.agreement`.
    near : float or None
        Largest distance of near duplicates; None for a tenth of the median distance.
    notes : list of str
        Gets what was sampled, skipped or replaced.
    mmd : Mmd or None
        How that was found, once it is.
    """

    points: Points
    sets: Sequence[RowSet]
    resources: Resources
    stage: Callable[[str], AbstractContextManager[None]]
    targets: Points
    grouping: Grouping | None = None
    labels: Labels | None = None
    other: Take | None = None
    near: float | None = None
    notes: list[str] = field(default_factory=list)
    mmd: Mmd | None = None

    def measure(self, asked: frozenset[str]) -> Values:
        """Measure the metrics of some names, in the order in which they are shown."""
        values: Values = {}
        for group in GROUPS:
            if asked.isdisjoint(group.names):
                continue
            with self.stage(group.stage):
                values.update(group.measured(self))
        return {name: values[name] for name in BETTER if name in asked and name in values}


@dataclass(frozen=True)
class Group:
    """Metrics that come together.

    Attributes
    ----------
    names : tuple of str
        The metrics.
    stage : str
        What their time is reported under.
    measured : callable
        Measures them.
    needs : {"clusters", "--label", "--agree"} or None
        What must be at hand.
    usual : bool
        Whether they are measured without being asked for, where what they need is at hand.
    """

    names: tuple[str, ...]
    stage: str
    measured: Callable[[Panel], Values]
    needs: str | None = None
    usual: bool = True


def _cost(panel: Panel) -> Values:
    assert panel.grouping is not None
    return kmeans_cost_error(panel.points, panel.sets, panel.grouping, panel.resources)


def _hits(panel: Panel) -> Values:
    assert panel.grouping is not None
    return panel.grouping.clusters_hit()


def _coverage(panel: Panel) -> Values:
    return coverage(panel.points, panel.targets, panel.sets, panel.resources)


def _mmd(panel: Panel) -> Values:
    panel.mmd = mmd(panel.points, panel.sets, panel.resources)
    return panel.mmd.values


def _balance(panel: Panel) -> Values:
    assert panel.labels is not None
    return balance(panel.labels, panel.sets)


def _probe(panel: Panel) -> Values:
    assert panel.labels is not None
    values, told = probe(panel.points, panel.sets, panel.labels, panel.resources)
    panel.notes.extend(told)
    return values


def _knn(panel: Panel) -> Values:
    assert panel.labels is not None
    values, told = knn_accuracy(panel.points, panel.sets, panel.labels, panel.resources)
    panel.notes.extend(told)
    return values


def _balls(panel: Panel) -> Values:
    return balls(panel.points, panel.sets, panel.resources)


def _vendi(panel: Panel) -> Values:
    return vendi(panel.points, panel.sets, panel.resources)


def _sliced(panel: Panel) -> Values:
    return sliced_wasserstein(panel.points, panel.sets, panel.resources)


def _duplicates(panel: Panel) -> Values:
    near = panel.near
    if near is None:
        near = NEAR * median_distance(panel.points, panel.resources.seed)
        panel.notes.append(
            f"duplicates_near: within {near:.4g}, {NEAR:g} times the median distance between rows"
        )
    return duplicates_left(panel.points, panel.sets, near, panel.resources)


def _agreement(panel: Panel) -> Values:
    assert panel.other is not None
    return agreement(panel.points, panel.other, panel.sets, panel.resources)


COVERAGE = ("coverage_mean", "coverage_max")
GROUPS = (
    Group(("kmeans_cost_error_mean", "kmeans_cost_error_max"), "cost", _cost, "clusters"),
    Group(COVERAGE, "coverage", _coverage),
    Group(("mmd",), "mmd", _mmd),
    Group(("clusters_hit",), "clusters", _hits, "clusters"),
    Group(("label_entropy", "label_min_share"), "label", _balance, "--label"),
    Group(("probe_accuracy", "probe_accuracy_full"), "probe", _probe, "--label"),
    Group(("knn_accuracy",), "knn", _knn, "--label", usual=False),
    Group(("p_precision", "p_recall", "knn_coverage"), "balls", _balls, usual=False),
    Group(("sliced_wasserstein",), "sliced", _sliced),
    Group(("vendi_score",), "vendi", _vendi),
    Group(("duplicates_equal", "duplicates_near"), "duplicates", _duplicates, usual=False),
    Group(("agree_cka", "agree_jaccard"), "agreement", _agreement, "--agree"),
)
USUAL, EVERY = "usual", "all"


def asked_for(
    names: Sequence[str] | None, *, label: bool, agree: bool, near: float | None = None
) -> frozenset[str]:
    """Read which metrics are asked for.

    Parameters
    ----------
    names : sequence of str or None
        Metrics, and the words ``usual`` and ``all``, which stand for those that can be measured
        with what is at hand; None is ``usual``.
    label, agree : bool
        Whether there are classes, and another column.
    near : float or None
        Largest distance of near duplicates, where it was given.

    Raises
    ------
    ParameterError
        When a name is unknown, or needs what is not at hand.
    """
    at_hand = {None: True, "clusters": True, "--label": label, "--agree": agree}
    found: set[str] = set()
    needs = {name: group.needs for group in GROUPS for name in group.names}
    for name in [USUAL] if names is None else names:
        if name in (USUAL, EVERY):
            for group in GROUPS:
                if at_hand[group.needs] and (group.usual or name == EVERY):
                    found.update(group.names)
        elif name not in needs:
            near_by = difflib.get_close_matches(name, needs, 1)
            raise ParameterError(
                f"--metrics: no metric {name!r}",
                hint=f"did you mean {near_by[0]}?"
                if near_by
                else f"the metrics are {', '.join(needs)}",
            )
        elif not at_hand[needs[name]]:
            raise ParameterError(
                f"--metrics: {name} needs {needs[name]}", hint=f"add {needs[name]} COLUMN"
            )
        else:
            found.add(name)
    if not found:
        raise ParameterError("--metrics names no metric", hint="leave it out for the usual ones")
    if near is not None and not near >= 0.0:
        raise ParameterError(f"--near {near:g} is not a distance of at least 0")
    if near is not None and "duplicates_near" not in found:
        raise ParameterError(
            "--near is about duplicates_near, which is not measured",
            hint="add --metrics usual,duplicates_near",
        )
    return frozenset(found)


def working_bytes(asked: frozenset[str], dim: int, sets: int, workers: int) -> int:
    """What measuring takes beside the rows and what reading a run of them takes."""
    # of float32 vectors and what is made of them for a search
    vector = 2 * 4 * dim
    side = 8 * min(dim, 2_048) ** 2
    taken = {
        "p_precision": 10_000 * vector + workers * (48 << 20),
        "knn_accuracy": 25_000 * vector,
        "duplicates_near": 13_192 * vector,
        "vendi_score": workers * (10_000 * vector + 3 * side),
        "sliced_wasserstein": (32 << 20) + workers * (8 << 20),
        "agree_cka": sets * 2_000 * vector + workers * (192 << 20),
    }
    groups = [group.names for group in GROUPS if not asked.isdisjoint(group.names)]
    return max((taken.get(name, 0) for names in groups for name in names), default=0)


def needs(asked: frozenset[str], what: str) -> bool:
    """Whether a metric needs ``clusters`` or what an option brings."""
    return any(group.needs == what and not asked.isdisjoint(group.names) for group in GROUPS)

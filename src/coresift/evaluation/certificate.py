"""How far a coreset's cost is off at the worst centers that are found.

A coreset promises its cost to be near that of all rows for any k centers. That is nothing that
can be measured, but it can be refuted: centers are looked for at which it fails. They are rows
drawn uniformly; k-means++ on all rows; k-means++ on the weighted rows, which fits what is
particular to them; and what a local search makes of the worst of these. Where the weighted rows
cost too little, it makes them cost less, as k-means would; where they cost too much, all rows.

Each set that is judged, uniform ones too, is searched for its own worst centers in the same way,
and every set is judged at the centers that were found against the others as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.distances import squared_distances
from coresift.clustering.nearest import nearest
from coresift.clustering.plusplus import draw, plusplus
from coresift.clustering.points import Points, sample_rows
from coresift.clustering.seeding import default_seeding_rows
from coresift.core import randomness
from coresift.core.progress import Silent
from coresift.engine.serial import SerialEngine
from coresift.evaluation.base import Resources, RowSet, Search, Values
from coresift.evaluation.cost import costs, error

KINDS = ("random rows", "k-means++ on all rows", "k-means++ on the weighted rows", "local search")
# weighted rows that centers are fitted to; of more, a sample
FITTED_ROWS = 20_000
_VARIATIONS = 4
# centers that are moved elsewhere at a time
_MOVED = 0.1


@dataclass(frozen=True)
class Certificate:
    """The worst that was found.

    Attributes
    ----------
    objective : str
        ``kmeans`` or ``kmedian``.
    k : int
        Centers of a set.
    center_sets : int
        Sets of centers at which the rows were judged.
    worst : dict of str to float
        Largest error of the subset by the kind of centers, with its sign: below 0 where it
        costs too little.
    """

    objective: str
    k: int
    center_sets: int
    worst: dict[str, float]


@dataclass(frozen=True)
class _Side:
    """Weighted rows that centers can be fitted to."""

    vectors: NDArray[np.float32]
    weight: NDArray[np.float64]


def certify(
    points: Points,
    sets: Sequence[RowSet],
    resources: Resources,
    *,
    k: int,
    objective: str,
    count: int,
    known: NDArray[np.float32] | None = None,
) -> tuple[Values, Certificate]:
    """Look for the centers at which sets tell the cost worst.

    Parameters
    ----------
    points : Points
        All rows.
    sets : sequence of RowSet
        What to judge; the certificate is of the first.
    resources : Resources
        The run's resources.
    k : int
        Centers of a set.
    objective : {"kmeans", "kmedian"}
        What costs are.
    count : int
        Sets of centers to look at for each set of rows: a quarter of each kind.
    known : ndarray of float32, shape (any, dim), optional
        Good centers of all rows, looked at where they are k.

    Returns
    -------
    values : dict of str to ndarray
        ``coreset_error_mean`` and ``coreset_error_max``.
    certificate : Certificate
        What was tried.
    """
    hunt = _Hunt(points, sets, resources, min(k, points.count), objective)
    quarter = max(1, count // 4)
    hunt.judge(0, [hunt.at_random(index) for index in range(quarter)])
    fitted = [hunt.seeded(hunt.whole, "full", index) for index in range(quarter)]
    if known is not None and len(known) == hunt.k:
        fitted[0] = known
    hunt.judge(1, fitted)
    for number, side in enumerate(hunt.sides):
        purpose = f"subset/{number}"
        hunt.judge(2, [hunt.seeded(side, purpose, index) for index in range(quarter)])
    for turn in range(-(-quarter // _VARIATIONS)):
        some = min(_VARIATIONS, quarter - turn * _VARIATIONS)
        hunt.judge(3, hunt.varied(turn, some))
    errors, kinds = np.stack(hunt.errors), np.array(hunt.kinds)
    worst = {}
    for kind, name in enumerate(KINDS):
        mine = errors[kinds == kind, 0]
        worst[name] = float(mine[np.abs(mine).argmax()])
    values = {
        "coreset_error_mean": np.abs(errors).mean(axis=0),
        "coreset_error_max": np.abs(errors).max(axis=0),
    }
    return values, Certificate(objective, hunt.k, len(errors), worst)


class _Hunt:
    """Center sets that were judged, and the worst for each set of rows."""

    def __init__(
        self,
        points: Points,
        sets: Sequence[RowSet],
        resources: Resources,
        k: int,
        objective: str,
    ) -> None:
        self.k = k
        self.errors: list[NDArray[np.float64]] = []
        self.kinds: list[int] = []
        self._points, self._sets, self._resources = points, sets, resources
        self._power = 2 if objective == "kmeans" else 1
        self._search = Search(points)
        self._worst: list[tuple[float, NDArray[np.float32]]] = []
        rows = max(default_seeding_rows(k), min(FITTED_ROWS, max(len(one.rows) for one in sets)))
        need = 4 * points.dim * (rows + sum(min(FITTED_ROWS, len(one.rows)) for one in sets))
        resources.budget.require(need, f"centers fitted to {len(sets)} sets of rows")
        chosen = sample_rows(points, rows, resources.seed, "evaluate/coreset")
        share = points.count / len(chosen)
        self.whole = _Side(points.take(chosen), np.full(len(chosen), share))
        self.sides = [self._side(one) for one in sets]

    def _side(self, rows_of: RowSet) -> _Side:
        counts = rows_of.weight > 0.0
        rows, weight = rows_of.rows[counts], rows_of.weight[counts]
        if len(rows) > FITTED_ROWS:
            bits = randomness.bits(self._resources.seed, "evaluate/coreset/fitted", rows)
            some = np.sort(np.argsort(bits)[:FITTED_ROWS])
            rows, weight = rows[some], weight[some] * (len(rows) / FITTED_ROWS)
        return _Side(self._points.take(rows), weight)

    def judge(self, kind: int, sought: Sequence[NDArray[np.float32]]) -> None:
        """Errors of all sets of rows at some centers."""
        found = costs(self._points, self._sets, sought, self._search, self._resources, self._power)
        for centers, cost in zip(sought, found, strict=True):
            errors = error(cost)
            self.errors.append(errors)
            self.kinds.append(kind)
            if not self._worst:
                self._worst = [(value, centers) for value in errors.tolist()]
            for number, value in enumerate(errors.tolist()):
                if abs(value) > abs(self._worst[number][0]):
                    self._worst[number] = value, centers

    def at_random(self, index: int) -> NDArray[np.float32]:
        """Rows drawn uniformly."""
        purpose = f"evaluate/coreset/random/{index}"
        rows = sample_rows(self._points, self.k, self._resources.seed, purpose)
        return self._points.take(rows)

    def seeded(self, side: _Side, purpose: str, index: int) -> NDArray[np.float32]:
        """k-means++ on one side, filled up from all rows where that has too few."""
        number = np.array([index], np.int64)
        key = f"evaluate/coreset/{purpose}"
        seed = int(randomness.bits(self._resources.seed, key, number)[0])
        some = min(self.k, len(side.vectors))
        places = plusplus(
            side.vectors,
            side.weight,
            some,
            seed,
            self._search.directions(self.k),
            self._resources.engine,
            Silent(),
        )
        centers = side.vectors[places]
        if some < self.k:
            centers = np.concatenate([centers, self.at_random(index)[some:]])
        return centers

    def varied(self, turn: int, count: int) -> list[NDArray[np.float32]]:
        """Variations of the worst centers of each set of rows, which may be worse."""

        def task(number: int) -> list[NDArray[np.float32]]:
            value, centers = self._worst[number]
            side = self.sides[number] if value < 0.0 else self.whole
            purpose = f"evaluate/coreset/search/{number}"
            generator = randomness.generator(self._resources.seed, purpose, turn)
            found = []
            for index in range(count):
                moved = centers
                if index % 2:
                    some = 1 if index == 1 else max(1, int(_MOVED * self.k))
                    moved = self._elsewhere(moved, side, some, generator)
                found.append(_fitted(moved, side, self._power, 1 + 4 * (index // 2)))
            return found

        tried = self._resources.engine.map(task, range(len(self._sets)))
        return [centers for found in tried for centers in found]

    def _elsewhere(
        self,
        centers: NDArray[np.float32],
        side: _Side,
        count: int,
        generator: np.random.Generator,
    ) -> NDArray[np.float32]:
        """Some centers put on rows that cost much."""
        _, cost = _assigned(centers, side, self._power)
        mass = cost * side.weight
        if not mass.any():
            return centers
        moved = centers.copy()
        places = generator.choice(len(centers), count, replace=False)
        moved[places] = side.vectors[draw(mass, generator.random(count))]
        return moved


def _assigned(
    centers: NDArray[np.float32], side: _Side, power: int
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Nearest center of each row, and its cost."""
    labels = nearest(side.vectors, Centers.prepare(centers, engine=SerialEngine()))
    cost = squared_distances(side.vectors, centers, labels)
    return labels, cost if power == 2 else np.sqrt(cost)


def _fitted(
    centers: NDArray[np.float32], side: _Side, power: int, steps: int
) -> NDArray[np.float32]:
    """Centers after some steps that make rows cheaper: Lloyd's, or Weiszfeld's for k-median."""
    for _ in range(steps):
        labels, cost = _assigned(centers, side, power)
        weight = side.weight
        if power == 1:
            weight = weight / np.maximum(cost, 1e-9 * (cost.max(initial=0.0) or 1.0))
        order = np.argsort(labels, kind="stable")
        found, starts = np.unique(labels[order], return_index=True)
        terms = side.vectors[order] * weight[order, None]
        mean = np.add.reduceat(terms, starts) / np.add.reduceat(weight[order], starts)[:, None]
        centers = centers.copy()
        centers[found] = mean.astype(np.float32)
    return centers

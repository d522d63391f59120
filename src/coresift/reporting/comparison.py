"""What a report on a comparison shows: a figure for each metric, and a table for each size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from coresift.core.size import format_bytes
from coresift.evaluation.comparison import Standing
from coresift.io.provenance import Provenance
from coresift.reporting.metrics import MEANING
from coresift.reporting.text import shown

COSTS = {
    "seconds": "time of the selection",
    "peak_rss_bytes": "largest memory of its process",
}
# sizes that are farther apart are shown by their logarithm, and values that are
_SIZES_APART, _VALUES_APART = 4.0, 50.0
_LONG = 80

# a number for each size; None where there is none
Values = tuple[float | None, ...]


@dataclass(frozen=True)
class Figure:
    """One metric, or a cost, over sizes.

    Attributes
    ----------
    metric, meaning, better : str
        Its name, what it is in a few words, and ``higher`` or ``lower``.
    mean, std : tuple of Values
        Of each method.
    random, random_std : Values or None
        Of uniform subsets; None for a cost.
    log : bool
        Whether it is shown by its logarithm.
    cost : bool
        Whether it is a cost.
    """

    metric: str
    meaning: str
    better: str
    mean: tuple[Values, ...]
    std: tuple[Values, ...]
    random: Values | None
    random_std: Values | None
    log: bool
    cost: bool


@dataclass(frozen=True)
class Cell:
    """A value and its deviation, as people read them; either may be empty."""

    value: str
    deviation: str = ""
    best: bool = False


@dataclass(frozen=True)
class Line:
    """A metric at one size: of uniform subsets, and of each method."""

    metric: str
    better: str
    uniform: Cell
    cells: list[Cell]


@dataclass(frozen=True)
class Table:
    """All metrics at one size."""

    size: int
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Sides:
    """A report on a comparison.

    Attributes
    ----------
    name : str
        Of the comparison, as the user named it.
    provenance : Provenance
        Of the comparison.
    command, replay, again : str
        Lines for a shell: what compares again, what does so and checks, and what makes this
        report.
    methods, sizes, seeds : tuple
        What was compared.
    standings : tuple of Standing
        By size, in the order of the metrics, costs last.
    notes : tuple of str
        What is to be known besides the notes of the comparison.
    """

    name: str
    provenance: Provenance
    command: str
    replay: str
    again: str
    methods: tuple[str, ...]
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    standings: tuple[Standing, ...]
    notes: tuple[str, ...] = ()

    @property
    def log(self) -> bool:
        """Whether sizes are shown by their logarithm."""
        return max(self.sizes) > _SIZES_APART * min(self.sizes)

    @cached_property
    def titles(self) -> tuple[str, ...]:
        """Names of the methods that can be shown anywhere."""
        return tuple(shown(name, _LONG) for name in self.methods)

    @cached_property
    def figures(self) -> tuple[Figure, ...]:
        """One for each metric, then one for each cost."""
        names = dict.fromkeys(one.metric for one in self.standings)
        return tuple(self._figure(name) for name in names)

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """One for each size."""
        return tuple(
            Table(size, tuple(self._line(one) for one in self.standings if one.size == size))
            for size in self.sizes
        )

    def _figure(self, metric: str) -> Figure:
        at = {one.size: one for one in self.standings if one.metric == metric}
        here = [at[size] for size in sorted(self.sizes)]
        mean = tuple(_finite([one.mean[method] for one in here]) for method in self.methods)
        std = tuple(_finite([one.std[method] for one in here]) for method in self.methods)
        cost = metric in COSTS
        random = None if cost else _finite([one.random for one in here])
        values = [value for some in (*mean, random or ()) for value in some if value is not None]
        apart = bool(values) and 0.0 < _VALUES_APART * min(values) < max(values)
        return Figure(
            metric=shown(metric, _LONG),
            meaning=(COSTS if cost else MEANING).get(metric, ""),
            better=here[0].better,
            mean=mean,
            std=std,
            random=random,
            random_std=None if cost else _finite([one.random_std for one in here]),
            log=apart,
            cost=cost,
        )

    def _line(self, one: Standing) -> Line:
        cells = [
            _cell(one.metric, one.mean[method], one.std[method], best=method == one.best)
            for method in self.methods
        ]
        uniform = Cell("") if one.random is None else _cell("", one.random, one.random_std)
        return Line(shown(one.metric, _LONG), one.better, uniform, cells)


def _finite(values: Sequence[float | None]) -> Values:
    return tuple(None if one is None or not math.isfinite(one) else one for one in values)


def _cell(metric: str, value: float, std: float | None, *, best: bool = False) -> Cell:
    """As ``coresift compare`` prints them: what memory varies by is not told."""
    if metric == "peak_rss_bytes":
        return Cell(format_bytes(value), "", best)
    return Cell(f"{value:.4g}", f"{std:.2g}" if std else "", best)

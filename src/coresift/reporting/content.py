"""All that a report shows, whatever form it takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.evaluation.base import Metric
from coresift.io.provenance import Provenance
from coresift.reporting.classes import Classes
from coresift.reporting.clusters import Clusters
from coresift.reporting.colours import Colouring
from coresift.reporting.distributions import Distribution
from coresift.reporting.drawn import Drawn, Layout
from coresift.reporting.examples import Gallery


@dataclass(frozen=True)
class PointFacts:
    """What is told of a point under the pointer; arrays of shape (m,), in the order of points.

    Attributes
    ----------
    weight : ndarray of float64, or None
        NaN for a row that is not selected.
    score : ndarray of float64, or None
        NaN where it is not known.
    text : list of str, or None
        Of the column that was asked for.
    """

    weight: NDArray[np.float64] | None
    score: NDArray[np.float64] | None
    text: list[str] | None


@dataclass(frozen=True)
class Content:
    """A report.

    Attributes
    ----------
    name : str
        Of the result, as the user named it.
    provenance : Provenance
        Of the result.
    command, replay, again : str
        Lines for a shell: what makes the result again, what does so and compares, and what makes
        this report.
    dim : int
        Dimensions of the vectors.
    variance : tuple of float
        Shares of it along the axes of PCA.
    drawn : Drawn
        The points.
    layouts : tuple of Layout
        Where they lie; the first is PCA.
    density : bytes or None
        Picture of all rows in the first layout, where not all are points.
    colourings : tuple of Colouring
        What they may be coloured by, the first at first.
    facts : PointFacts
        What is told of a point.
    clusters : Clusters
        The clustering.
    classes : Classes or None
        The classes, where a label was named.
    distributions : tuple of Distribution
        Of distances, and of scores where there are some.
    metrics : dict of str to Metric
        What ``evaluate`` found; none for a clustering.
    galleries : tuple of Gallery
        Rows to look at.
    columns : dict of str to str
        Columns that were named: ``label``, ``hover``, ``image``; empty for none.
    notes : tuple of str
        What was sampled, skipped or replaced.
    """

    name: str
    provenance: Provenance
    command: str
    replay: str
    again: str
    dim: int
    variance: tuple[float, float]
    drawn: Drawn
    layouts: tuple[Layout, ...]
    density: bytes | None
    colourings: tuple[Colouring, ...]
    facts: PointFacts
    clusters: Clusters
    classes: Classes | None
    distributions: tuple[Distribution, ...]
    metrics: dict[str, Metric]
    galleries: tuple[Gallery, ...]
    columns: dict[str, str]
    notes: tuple[str, ...]

    @property
    def is_selection(self) -> bool:
        """Whether it is about a selection, not a clustering alone."""
        return self.provenance.command == "select"

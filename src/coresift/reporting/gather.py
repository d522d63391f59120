"""From a result and its dump to all that a report shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.saved import SavedClustering
from coresift.evaluation.base import Metric, Resources, RowSet
from coresift.io.dump import Dump
from coresift.io.labels import read_labels
from coresift.io.provenance import Provenance
from coresift.io.vectors import Vectors
from coresift.reporting import colours
from coresift.reporting.classes import Classes
from coresift.reporting.clusters import Clusters
from coresift.reporting.colours import Colouring
from coresift.reporting.command import beside, command_line, shell
from coresift.reporting.content import Content, PointFacts
from coresift.reporting.distributions import Distribution
from coresift.reporting.drawn import Drawn, Layout, box_of, density_png
from coresift.reporting.examples import galleries
from coresift.reporting.neighbours import umap, umap_rows
from coresift.reporting.plane import Plane
from coresift.reporting.rows import numbers_of, texts_of
from coresift.selection.reading.columns import Column

# of each row of the dump: coordinates, cluster, distance, class, score; ids and keys while some
# are drawn and sorted; and what is told of a point
ROW_BYTES = 120
HOVER = 160
# clusters of a kind that are looked at
_SIGHTS = 6


@dataclass(frozen=True)
class Wanted:
    """What a report is asked to show.

    Attributes
    ----------
    name : str
        Of the result.
    provenance : Provenance
        Of the result.
    again : str
        What makes the report.
    label, hover, image : str or None
        Columns.
    score : Column or None
        Gives every row's score.
    colour : str or None
        What points are coloured by at first.
    umap : bool
        Whether UMAP is made.
    density : bool
        Whether rows that are no points are shown by their density.
    examples : int
        Rows at either end of each cluster that is looked at.
    """

    name: str
    provenance: Provenance
    again: str
    label: str | None
    hover: str | None
    image: str | None
    score: Column | None
    colour: str | None
    umap: bool
    density: bool
    examples: int


@dataclass(frozen=True)
class Found:
    """What is known of the result.

    Attributes
    ----------
    chosen : RowSet or None
        Selected rows; None for a clustering.
    score : ndarray of float64, shape (n,), or None
        Their scores, where the selection has some.
    clustering : SavedClustering or None
        What to look at them by; None trains one.
    metrics : dict of str to Metric
        What ``evaluate`` found.
    notes : list of str
        What is to be said; more is added.
    """

    chosen: RowSet | None
    score: NDArray[np.float64] | None
    clustering: SavedClustering | None
    metrics: dict[str, Metric]
    notes: list[str]


def gather(
    dump: Dump, vectors: Vectors, found: Found, wanted: Wanted, resources: Resources
) -> Content:
    """Compute what is shown.

    Parameters
    ----------
    dump, vectors : Dump and Vectors
        All rows.
    found : Found
        The result.
    wanted : Wanted
        What to show.
    resources : Resources
        The run's resources.
    """
    engine, seed = resources.engine, resources.seed
    chosen = found.chosen
    ids = np.empty(0, np.int64) if chosen is None else chosen.rows
    if found.clustering is None:
        spherical = dump.options.metric == "cosine"
        clusters = Clusters.trained(vectors, chosen, resources, spherical=spherical)
    else:
        clusters = Clusters.of_saved(found.clustering, dump.rows, chosen)
    classes = None
    if wanted.label is not None:
        labels = read_labels(dump, wanted.label, vectors.kept, resources.engine, resources.progress)
        classes = Classes.of(dump, wanted.label, labels, chosen, engine)
    plane = Plane.fit(vectors, resources)
    coordinates = plane.project(vectors, resources)
    drawn = Drawn.of(vectors.kept_rows(), ids, seed)
    box = box_of(coordinates)
    layouts = [_pca(plane, coordinates[drawn.rows], box, drawn)]
    if wanted.umap:
        layouts += _umap(vectors, drawn, seed, found.notes)
    density = density_png(coordinates, box) if drawn.sampled and wanted.density else None
    scores = None
    if wanted.score is not None:
        scores = numbers_of(dump, wanted.score, "--score", engine)
        if vectors.kept is not None:
            scores[~vectors.kept] = np.nan
    facts = _facts(dump, drawn, found, scores, wanted, resources)
    if drawn.sampled:
        _say_sampled(drawn, found.notes)
    return Content(
        name=wanted.name,
        provenance=wanted.provenance,
        command=shell(command_line(wanted.provenance, beside(wanted.name, "again"))),
        replay=shell(["replay", wanted.name, "-o", beside(wanted.name, "replayed")]),
        again=wanted.again,
        dim=vectors.dim,
        variance=plane.shares,
        drawn=drawn,
        layouts=tuple(layouts),
        density=density,
        colourings=_colourings(drawn, clusters, classes, facts, wanted.colour, chosen is not None),
        facts=facts,
        clusters=clusters,
        classes=classes,
        distributions=_distributions(clusters, found, scores),
        metrics=found.metrics,
        galleries=galleries(
            dump,
            clusters,
            ids,
            engine,
            count=_SIGHTS,
            each=wanted.examples,
            columns=(wanted.label, wanted.hover, wanted.image),
        ),
        columns={name: getattr(wanted, name) or "" for name in ("label", "hover", "image")},
        notes=tuple(found.notes),
    )


def _pca(
    plane: Plane,
    coordinates: NDArray[np.float32],
    box: tuple[float, float, float, float],
    drawn: Drawn,
) -> Layout:
    first, second = (f"{100 * share:.3g}%" for share in plane.shares)
    about = (
        "Rows in the plane of their first two principal directions: the flat view that keeps most "
        f"of their variance, {100 * sum(plane.shares):.3g}% of it. Rows that are close here may "
        "be far apart in the other directions. "
    )
    return Layout.of(
        "PCA",
        coordinates,
        box,
        drawn.chosen,
        axes=(f"first principal direction ({first})", f"second ({second})"),
        about=about + _points(drawn.rows, drawn),
    )


def _umap(vectors: Vectors, drawn: Drawn, seed: int, notes: list[str]) -> list[Layout]:
    places = umap_rows(drawn.rows, drawn.chosen, seed)
    if places is None:
        notes.append("no map by UMAP: there are too few rows")
        return []
    some = np.full((len(drawn.rows), 2), np.nan, np.float32)
    some[places] = umap(vectors, drawn.rows[places], seed)
    if not np.isfinite(some).any():
        notes.append("no map by UMAP: the rows do not differ")
        return []
    if len(places) < len(drawn.rows):
        notes.append(
            f"UMAP was made of {len(places):,} of the {len(drawn.rows):,} points, drawn uniformly, "
            "at most half of them from the selected ones"
        )
    about = (
        "Rows placed by UMAP so that neighbours stay together. Distances between groups, and how "
        "dense they look, mean little here. "
    )
    layout = Layout.of(
        "UMAP",
        some,
        box_of(some),
        drawn.chosen,
        axes=("", ""),
        about=about + _points(drawn.rows[places], drawn),
    )
    return [layout]


def _points(rows: NDArray[np.int64], drawn: Drawn) -> str:
    if len(rows) == drawn.all_rows:
        return f"All {drawn.all_rows:,} rows are shown."
    what = "" if len(rows) < len(drawn.rows) else ", and the density of all in grey behind them"
    return f"{len(rows):,} of {drawn.all_rows:,} rows are shown as points, drawn at random{what}."


def _say_sampled(drawn: Drawn, notes: list[str]) -> None:
    inside = int(np.count_nonzero(drawn.chosen))
    mine = f", {inside:,} of the {drawn.all_chosen:,} selected ones among them" if inside else ""
    notes.append(
        f"{len(drawn.rows):,} of {drawn.all_rows:,} rows are points of the map, drawn uniformly"
        f"{mine}"
    )


def _facts(
    dump: Dump,
    drawn: Drawn,
    found: Found,
    scores: NDArray[np.float64] | None,
    wanted: Wanted,
    resources: Resources,
) -> PointFacts:
    text = None
    if wanted.hover is not None:
        text = texts_of(dump, drawn.rows, wanted.hover, HOVER, resources.engine)
    weight = None
    score = None if scores is None else scores[drawn.rows]
    if found.chosen is not None:
        place = np.searchsorted(found.chosen.rows, drawn.rows[drawn.chosen])
        weight = np.full(len(drawn.rows), np.nan)
        weight[drawn.chosen] = found.chosen.weight[place]
        if score is None and found.score is not None:
            score = np.full(len(drawn.rows), np.nan)
            score[drawn.chosen] = found.score[place]
    return PointFacts(weight, score, text)


def _colourings(
    drawn: Drawn,
    clusters: Clusters,
    classes: Classes | None,
    facts: PointFacts,
    first: str | None,
    selection: bool,
) -> tuple[Colouring, ...]:
    made: list[Colouring | None] = []
    if selection:
        made.append(colours.by_selection(drawn.chosen))
    made.append(colours.by_cluster(clusters.label[drawn.rows], len(clusters.size)))
    if classes is not None:
        some = classes.codes[drawn.rows]
        made.append(colours.by_label(some, classes.names, classes.column))
    for key, values in (("weight", facts.weight), ("score", facts.score)):
        if values is not None:
            made.append(colours.by_number(key, key, values))
    there = [item for item in made if item is not None]
    return tuple(sorted(there, key=lambda item: item.key != first))


def _distributions(
    clusters: Clusters, found: Found, scores: NDArray[np.float64] | None
) -> tuple[Distribution, ...]:
    chosen = found.chosen
    weight = None if chosen is None else chosen.weight
    distance = None if chosen is None else clusters.distance[chosen.rows]
    made = [Distribution.of("Distance to the centroid", clusters.distance, distance, weight)]
    mine = found.score
    if scores is not None and chosen is not None:
        mine = scores[chosen.rows]
    if scores is not None or mine is not None:
        made.append(Distribution.of("Score", scores, mine, weight))
    return tuple(item for item in made if item is not None)

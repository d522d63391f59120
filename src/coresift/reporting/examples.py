"""Rows to look at: the most and the least typical ones of some clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.engine.base import Engine
from coresift.io.dump import Dump
from coresift.reporting.clusters import Clusters
from coresift.reporting.images import thumbnail
from coresift.reporting.rows import fetch
from coresift.reporting.text import shown

_TEXT = 280


@dataclass(frozen=True)
class Example:
    """A row.

    Attributes
    ----------
    row : int
        Its id.
    distance : float
        From its centroid.
    chosen : bool
        Whether the selection holds it.
    label, text : str
        Of the columns that were asked for; empty without.
    image : str or None
        A data URI.
    """

    row: int
    distance: float
    chosen: bool
    label: str
    text: str
    image: str | None


@dataclass(frozen=True)
class Sight:
    """A cluster and some of its rows.

    Attributes
    ----------
    cluster : int
        Its number.
    rows : int
        Its size.
    chosen, expected : int and float, or None
        Selected rows of it, and of a uniform subset of the same size.
    typical, untypical : tuple of Example
        Nearest to the centroid, and farthest from it.
    """

    cluster: int
    rows: int
    chosen: int | None
    expected: float | None
    typical: tuple[Example, ...]
    untypical: tuple[Example, ...]


@dataclass(frozen=True)
class Gallery:
    """Clusters that have something in common.

    Attributes
    ----------
    key : str
        ``largest``, ``over`` or ``under``.
    sights : tuple of Sight
        The most so first; may be empty.
    """

    key: str
    sights: tuple[Sight, ...]


def galleries(
    dump: Dump,
    clusters: Clusters,
    chosen: NDArray[np.int64],
    engine: Engine,
    *,
    count: int,
    each: int,
    columns: tuple[str | None, str | None, str | None],
) -> tuple[Gallery, ...]:
    """Look at clusters.

    Parameters
    ----------
    dump : Dump
        Where the rows are.
    clusters : Clusters
        All rows' clusters.
    chosen : ndarray of int64
        Selected rows, ascending.
    engine : Engine
        Where to run.
    count, each : int
        Clusters of a kind, and rows at either end of a cluster.
    columns : tuple
        Columns of the label, the text and the picture; None for none.
    """
    kinds = {"largest": clusters.largest(count)}
    if clusters.chosen is not None:
        kinds.update(over=clusters.over(count), under=clusters.under(count))
    picks = {cluster: _ends(clusters, cluster, each) for part in kinds.values() for cluster in part}
    wanted = [rows for pair in picks.values() for rows in pair]
    rows = np.unique(np.concatenate([np.empty(0, np.int64), *wanted]))
    named = sorted({name for name in columns if name is not None})
    cells = fetch(dump, rows, named, engine)
    held = set(rows[np.isin(rows, chosen, assume_unique=True)].tolist())
    label, text, image = columns

    def example(row: int) -> Example:
        values = cells[row]
        return Example(
            row=row,
            distance=float(clusters.distance[row]),
            chosen=row in held,
            label="" if label is None else shown(values[label], 80),
            text="" if text is None else shown(values[text], _TEXT),
            image=None if image is None else thumbnail(values[image]),
        )

    def sight(cluster: int) -> Sight:
        near, far = (tuple(example(int(row)) for row in part) for part in picks[cluster])
        counted = clusters.chosen is not None
        return Sight(
            cluster=cluster,
            rows=int(clusters.size[cluster]),
            chosen=int(clusters.chosen[cluster]) if clusters.chosen is not None else None,
            expected=float(clusters.expected[cluster]) if counted else None,
            typical=near,
            untypical=far,
        )

    return tuple(
        Gallery(key, tuple(sight(cluster) for cluster in found)) for key, found in kinds.items()
    )


def _ends(
    clusters: Clusters, cluster: int, each: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The nearest rows, and the farthest of the others, the farthest first."""
    rows = clusters.by_distance(cluster)
    return rows[:each], rows[each:][::-1][:each]

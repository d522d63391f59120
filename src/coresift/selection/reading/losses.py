"""The model's losses: one per cluster from a file, or one per row from the dump."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.saved import SavedClustering
from coresift.core import randomness
from coresift.core.errors import InputError, MismatchError
from coresift.io.provenance import find_provenance
from coresift.selection.base import Context, Data
from coresift.selection.params.sensitivity import SensitivityParams
from coresift.selection.reading.joins import Lookup, SideFile, plural
from coresift.selection.reading.numbers import RowNumbers

_QUANTILE = 0.9
_MOST_PAIRS = 4096
_BLOCK = 256


def of_clusters(clustering: SavedClustering, params: SensitivityParams) -> NDArray[np.float64]:
    """Loss of each cluster, from ``--losses``; 0 for an empty cluster.

    Raises
    ------
    InputError
        When the file does not hold exactly one loss, not negative, for every cluster that is
        not empty.
    MismatchError
        When it was made from another clustering.
    """
    side = SideFile.open(str(params.losses), "--losses")
    _require_same_clustering(side, clustering)
    column = params.losses_column
    if params.on is None:
        clusters = _by_cluster(side, clustering)
        if column is None:
            column = side.only_number("loss", _known(clustering), "--losses-column")
    else:
        clusters = _by_id(side, clustering, params.on)
        if column is None:
            column = side.only_number("loss", [params.on, *_known(clustering)], "--losses-column")
    side.require(column, "--losses-column")
    values = side.evaluate(column, "--losses-column")
    _require_each_once(side, clusters, clustering)
    _require_medoids(side, clusters, clustering)
    bad = ~(np.isfinite(values) & (values >= 0.0))
    if bad.any():
        first = int(bad.argmax())
        raise InputError(
            f"{side.path}: the loss of cluster {clusters[first]} is {values[first]:g}",
            hint="losses must be finite and not negative",
        )
    losses = np.zeros(clustering.k)
    losses[clusters] = values
    return losses


def _known(clustering: SavedClustering) -> list[str]:
    """Columns that representatives.parquet has of its own."""
    path = clustering.path / "representatives.parquet"
    return SideFile.open(str(path), "--clusters").names if path.exists() else []


def _prefix(clustering: SavedClustering) -> str:
    """Return what stands before ``row`` and ``cluster`` in representatives.parquet."""
    return str(clustering.provenance.output.get("prefix", ""))


def _by_cluster(side: SideFile, clustering: SavedClustering) -> NDArray[np.int64]:
    names = [name for name in (_prefix(clustering) + "cluster", "cluster") if name in side.names]
    if not names:
        raise InputError(
            f"{side.path}: no column {_prefix(clustering) + 'cluster'!r} to join by",
            hint="add it from representatives.parquet, or name a column of both with --on",
        )
    values = side.evaluate(names[0], "--losses")
    wrong = ~((values >= 0) & (values < clustering.k) & (values == np.floor(values)))
    if wrong.any():
        raise InputError(
            f"{side.path}: {plural(int(wrong.sum()), 'line')} of a cluster that is not there, for "
            f"example {values[int(wrong.argmax())]:g}; the clusters are 0 to {clustering.k - 1}",
            hint="score the representatives of this clustering",
        )
    return values.astype(np.int64)


def _by_id(side: SideFile, clustering: SavedClustering, on: str) -> NDArray[np.int64]:
    path = clustering.path / "representatives.parquet"
    representatives = SideFile.open(str(path), "--clusters")
    representatives.require(on, "--on")
    known = Lookup.of(representatives, on, representatives.dump.schema.field(on).type, str(path))
    lines = Lookup.of(side, on, known.ids.type, str(path))
    places = known.places(lines.ids)
    unknown = places < 0
    if unknown.any():
        example = lines.ids[int(unknown.argmax())].as_py()
        raise InputError(
            f"{side.path}: {plural(int(unknown.sum()), 'id')} in {on!r} of no representative, for "
            f"example {example!r}",
            hint="score the rows of representatives.parquet, and no others",
        )
    name = _prefix(clustering) + "cluster"
    clusters = representatives.evaluate(name, "--clusters").astype(np.int64)
    return clusters[places]


def _require_each_once(
    side: SideFile, clusters: NDArray[np.int64], clustering: SavedClustering
) -> None:
    counts = np.bincount(clusters, minlength=clustering.k)
    twice = np.flatnonzero(counts > 1)
    if len(twice):
        raise InputError(
            f"{side.path}: {plural(len(twice), 'cluster')} more than once, for example {twice[0]}",
            hint="each cluster needs exactly one loss",
        )
    missing = np.flatnonzero((counts == 0) & (clustering.size > 0))
    if len(missing):
        nonempty = int(np.count_nonzero(clustering.size))
        raise InputError(
            f"{side.path}: no loss for {len(missing):,} of {nonempty:,} clusters, for example "
            f"{missing[0]}",
            hint="score every row of representatives.parquet",
        )


def _require_medoids(
    side: SideFile, clusters: NDArray[np.int64], clustering: SavedClustering
) -> None:
    name = _prefix(clustering) + "row"
    if name not in side.names:
        return
    rows = side.evaluate(name, "--losses")
    other = rows != clustering.medoid[clusters]
    if other.any():
        first = int(other.argmax())
        raise MismatchError(
            f"{side.path}: row {rows[first]:g} is not the representative of cluster "
            f"{clusters[first]}, which is row {clustering.medoid[clusters[first]]}",
            hint="score the representatives of this clustering",
        )


def _require_same_clustering(side: SideFile, clustering: SavedClustering) -> None:
    path = Path(side.path)
    found = find_provenance(path) if path.exists() else None
    if found is None:
        return
    hint = "score the representatives of the clustering that --clusters names"
    if found.fingerprint["digest"] != clustering.provenance.fingerprint["digest"]:
        raise MismatchError(f"{side.path} was made from another input", hint=hint)
    if found.command != "cluster":
        return
    mine, theirs = clustering.provenance, found
    for name in ("method", "params", "seed", "resolved"):
        if getattr(mine, name) != getattr(theirs, name):
            raise MismatchError(
                f"{side.path} was made from another clustering: its {name} differs", hint=hint
            )


def of_rows(data: Data, text: str, context: Context) -> RowNumbers:
    """The loss of every row, from ``--loss``; refused when it is looked at and negative."""
    return RowNumbers(
        data,
        text,
        "--loss",
        context,
        hint="losses must be finite and not negative; leave rows without one out of the "
        "clustering with --where",
    )


def hoelder_constant(
    clustering: SavedClustering, losses: NDArray[np.float64], exponent: float, seed: int
) -> float | None:
    """Estimate lambda from the losses of the clusters' representatives.

    The assumption is that losses differ by at most lambda times distance^z. Each cluster is
    compared with the one of nearest centroid, and the 0.9 quantile of |difference of loss| /
    distance^z is taken: the maximum would hang on two centroids that nearly coincide. Beyond
    4,096 clusters, as many are compared, drawn at random. None when no two lie apart.
    """
    occupied = np.flatnonzero(clustering.size > 0)
    centroids = clustering.centroids[occupied].astype(np.float64)
    known = losses[occupied]
    compared = np.arange(len(occupied))
    if len(compared) > _MOST_PAIRS:
        bits = randomness.bits(seed, "select sensitivity lambda", compared.astype(np.int64))
        compared = np.sort(np.argsort(bits)[:_MOST_PAIRS])
    norms = (centroids * centroids).sum(axis=1)
    ratios = []
    for start in range(0, len(compared), _BLOCK):
        own = compared[start : start + _BLOCK]
        squared = norms[own, None] - 2.0 * (centroids[own] @ centroids.T) + norms
        squared[np.arange(len(own)), own] = np.inf
        nearest = squared.argmin(axis=1)
        apart = np.sqrt(((centroids[own] - centroids[nearest]) ** 2).sum(axis=1)) ** exponent
        valid = (apart > 0.0) & (nearest != own)
        ratios.append(np.abs(known[own] - known[nearest])[valid] / apart[valid])
    found = np.concatenate(ratios)
    return float(np.quantile(found, _QUANTILE)) if len(found) else None

"""How an earlier result read the dump, and whether this run reads the same vectors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from coresift.api.run import Run
from coresift.clustering.saved import SavedClustering
from coresift.core.errors import CoresiftError, MismatchError
from coresift.io.dump import Dump, InputOptions
from coresift.io.provenance import Provenance

if TYPE_CHECKING:
    from coresift.evaluation.subset import SubsetFile

# what names the dump of an evaluation, and what it is, for messages
EVALUATION = ("--full names", "this evaluation")
INHERITED = ("embedding", "embedding_dtype", "where", "metric", "invalid")


def options_of(
    run: Run, provenance: Provenance | None, clustering: SavedClustering | None
) -> InputOptions:
    """How the subset's input was read, or else the clustering's, but for what was given."""
    if provenance is None and clustering is not None:
        provenance = clustering.provenance
    if provenance is None:
        return run.options
    mine = run.options
    changed = {name: getattr(mine, name) for name in INHERITED if name in run.given}
    if mine.vectors:
        changed.update(vectors=mine.vectors, dtype=mine.dtype, dim=mine.dim)
    return replace(provenance.input_options(), **changed)


def reading_difference(dump: Dump, theirs: InputOptions) -> str | None:
    """First option by which a result reads other vectors than this run, or None."""
    mine = dump.options
    if mine.embedding != theirs.embedding and dump.embedding.name != _embedding(dump, theirs):
        return f"--embedding {(_embedding(dump, theirs) or theirs.embedding)!r}"
    for name in ("embedding_dtype", "where", "metric"):
        if getattr(mine, name) != getattr(theirs, name):
            value, option = getattr(theirs, name), f"--{name.replace('_', '-')}"
            return f"no {option}" if value is None else f"{option} {value!r}"
    return None


def require_same_reading(dump: Dump, clustering: SavedClustering, paths: str, run: str) -> None:
    """Refuse a clustering of other vectors.

    Parameters
    ----------
    dump : Dump
        What this run reads.
    clustering : SavedClustering
        What it is given.
    paths, run : str
        What names the dump, and what the run is, for messages.

    Raises
    ------
    MismatchError
        Naming the first difference.
    """
    clustering.provenance.require_input(
        dump, f"{clustering.path}", f"give a clustering of the dump that {paths}"
    )
    found = reading_difference(dump, clustering.provenance.input_options())
    if found is not None:
        raise MismatchError(
            f"{clustering.path} was made with {found}, and {run} reads otherwise",
            hint="give the same option here, or another clustering",
        )


def _embedding(dump: Dump, options: InputOptions) -> str | None:
    """The vector column that options mean; None when they mean none of this dump."""
    try:
        return Dump(dump.tables, options, dump.sidecar).embedding.name
    except CoresiftError:
        return None


def read_otherwise(dump: Dump, chosen: SubsetFile) -> list[str]:
    """Notes on how this evaluation reads otherwise than the selection did."""
    if chosen.provenance is None:
        notes = [f"{chosen.path} has no provenance: its rows are taken to be those of --full"]
    else:
        difference = reading_difference(dump, chosen.provenance.input_options())
        notes = [] if difference is None else [f"the subset was selected with {difference}"]
    if chosen.weight_column is None:
        notes.append(f"{chosen.path} has no weights: each row stands for an equal share")
    return notes


def selected_with(
    dump: Dump, provenance: Provenance | None, notes: list[str]
) -> SavedClustering | None:
    """The clustering that the subset was selected with, when it is there and fits."""
    parent = None if provenance is None else provenance.parents.get("clustering")
    if parent is None:
        return None
    path = parent["path"]
    try:
        found = SavedClustering.open(path)
        if found.digest != parent["digest"]:
            notes.append(f"{path}, which the subset was selected with, has changed since")
            return None
        require_same_reading(dump, found, *EVALUATION)
    except CoresiftError as error:
        notes.append(f"the clustering that the subset was selected with is not used: {error}")
        return None
    return found

"""The verb ``replay``: run again from a result's provenance, and compare."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Unpack

import pyarrow as pa
import pyarrow.parquet as pq

from coresift._version import __version__
from coresift.api.asked import Asked
from coresift.api.bandit import finish
from coresift.api.cluster import cluster
from coresift.api.compare import compare
from coresift.api.gradients import gradients
from coresift.api.run import CommonOptions
from coresift.api.select import select
from coresift.api.weights import weights
from coresift.clustering.saved import SavedClustering
from coresift.core.errors import InputError, MismatchError
from coresift.core.size import Size
from coresift.io.dump import open_dump
from coresift.io.provenance import Provenance, read_provenance
from coresift.selection.influences.sources import digest_of, parts_of

_RESOURCES = ("memory", "threads", "device", "scratch", "batch_rows", "progress")
# columns that say how it went, which is never the same
_COSTS = {"compare": ("seconds", "peak_rss_bytes")}


@dataclass(frozen=True)
class Replay:
    """What a replay found.

    Attributes
    ----------
    command, method : str
        What was run again.
    identical : bool
        Whether every Parquet file has the same columns and rows; what a comparison took does not
        count.
    differences : tuple of str
        One line for each file that differs.
    files : int
        Files compared.
    notes : tuple of str
        What else was different: the version.
    output : str
        Where the new result is.
    """

    command: str
    method: str
    identical: bool
    differences: tuple[str, ...]
    files: int
    notes: tuple[str, ...]
    output: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON holds them."""
        values = asdict(self)
        return {**values, "differences": list(self.differences), "notes": list(self.notes)}


def replay(
    result: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str],
    overwrite: bool = False,
    **common: Unpack[CommonOptions],
) -> Replay:
    """Run a result's command again with its options and compare what comes out.

    Parameters
    ----------
    result : path
        A clustering, a selection, weights, gradients or a comparison that coresift wrote.
    output : path
        Where to write the new result.
    overwrite : bool
        Replace an earlier result there.
    **common
        How to run: ``memory``, ``threads``, ``device``, ``scratch`` and ``progress``. What
        decides the result comes from the provenance.

    Returns
    -------
    Replay

    Raises
    ------
    CoresiftError
        When the result has no provenance, or its input is gone or has changed.
    """
    old = Path(result)
    provenance = read_provenance(old, "a result")
    dump = open_dump(provenance.paths, provenance.input_options())
    provenance.require_input(
        dump, os.fspath(result), "put the input back as it was, or make the result anew"
    )
    options = CommonOptions(**{**common, **_decisive(provenance)})  # type: ignore[typeddict-item]
    notes = []
    if provenance.version != __version__:
        notes.append(f"made by version {provenance.version}, run again by {__version__}")
    again = _COMMANDS.get(provenance.command)
    if again is None:
        raise InputError(f"{result}: `coresift {provenance.command}` cannot be run again")
    written = again(provenance, output, overwrite, options)
    costs = _COSTS.get(provenance.command, ())
    differences = tuple(_differences(old, Path(written), costs))
    return Replay(
        command=provenance.command,
        method=provenance.method,
        identical=not differences,
        differences=differences,
        files=len(_files(old)),
        notes=tuple(notes),
        output=written,
    )


def _decisive(provenance: Provenance) -> dict[str, Any]:
    """Options that decide the result."""
    return {**provenance.options, "seed": provenance.seed}


def _cluster_again(
    provenance: Provenance,
    output: str | os.PathLike[str],
    overwrite: bool,
    options: CommonOptions,
) -> str:
    result = cluster(
        provenance.paths,
        output=output,
        method=provenance.method,
        columns=provenance.output.get("columns"),
        prefix=provenance.output.get("prefix", ""),
        overwrite=overwrite,
        **provenance.params,
        **options,
    )
    return result.output


def _select_again(
    provenance: Provenance,
    output: str | os.PathLike[str],
    overwrite: bool,
    options: CommonOptions,
) -> str:
    if "state" in provenance.parents:
        return _finish_again(provenance, output, overwrite, options)
    params = dict(provenance.params)
    size = params.pop("size")
    clusters = _clusters(provenance)
    if clusters is not None and not Path(clusters).exists():
        raise MismatchError(
            f"the clustering {clusters} is gone", hint="replay it first, to the same place"
        )
    for role, other in provenance.parents.items():
        if role != "clustering":
            _require_parent(role, other)
    result = select(
        provenance.method,
        provenance.paths,
        size=None if size is None else str(Size.parse(size)),
        output=output,
        params=params,
        clusters=clusters,
        overwrite=overwrite,
        **provenance.output,
        **options,
    )
    return result.output


def _finish_again(
    provenance: Provenance,
    output: str | os.PathLike[str],
    overwrite: bool,
    options: CommonOptions,
) -> str:
    """Choose again of the scores that the state of a bandit holds."""
    state = provenance.parents["state"]
    if not Path(state["path"]).exists():
        raise MismatchError(
            f"the state {state['path']} is gone, and with it the scores", hint="put it back there"
        )
    with Asked.open(state["path"]) as asked:
        digest = asked.digest
    if digest != state["digest"]:
        raise MismatchError(
            f"the state {state['path']} has changed since: more was asked or told",
            hint="only a selection from the state as it is can be made again",
        )
    shape = {key: value for key, value in provenance.output.items() if key != "prefix"}
    resources: dict[str, Any] = {k: v for k, v in options.items() if k in _RESOURCES}
    result = finish(
        state["path"],
        size=provenance.params["size"],
        output=output,
        overwrite=overwrite,
        **shape,
        **resources,
    )
    return result.output


def _weights_again(
    provenance: Provenance,
    output: str | os.PathLike[str],
    overwrite: bool,
    options: CommonOptions,
) -> str:
    for role, parent in provenance.parents.items():
        _require_parent(role, parent)
    result = weights(
        provenance.paths,
        subset=provenance.parents["subset"]["path"],
        output=output,
        clusters=_clusters(provenance),
        overwrite=overwrite,
        **provenance.output,
        **provenance.params,
        **options,
    )
    return result.output


def _gradients_again(
    provenance: Provenance,
    output: str | os.PathLike[str],
    overwrite: bool,
    options: CommonOptions,
) -> str:
    result = gradients(
        provenance.paths,
        output=output,
        overwrite=overwrite,
        **provenance.output,
        **provenance.params,
        **options,
    )
    return result.output


def _compare_again(
    provenance: Provenance,
    output: str | os.PathLike[str],
    overwrite: bool,
    options: CommonOptions,
) -> str:
    for role, parent in provenance.parents.items():
        _require_parent(role, parent)
    params = dict(provenance.params)
    methods = params.pop("methods")
    result = compare(
        provenance.paths,
        size=params.pop("sizes"),
        # the keys of what is stored are sorted
        methods=provenance.method.split(","),
        params=methods,
        clusters=_clusters(provenance),
        output=output,
        overwrite=overwrite,
        **params,
        **options,
    )
    return str(result.output)


def _clusters(provenance: Provenance) -> str | None:
    """Where the clustering lay that was given."""
    clustering = provenance.parents.get("clustering")
    return None if clustering is None else clustering["path"]


def _require_parent(role: str, parent: dict[str, str]) -> None:
    """Refuse another result that is gone, or is not what it was."""
    path = parent["path"]
    for part in parts_of(path):
        if "://" not in part and not Path(part).exists():
            raise MismatchError(f"the {role} {part} is gone", hint="put it back there")
    digest = SavedClustering.open(path).digest if role == "clustering" else digest_of(path)
    if digest != parent["digest"]:
        raise MismatchError(f"the {role} {path} has changed since", hint="put it back as it was")


_Again = Callable[[Provenance, str | os.PathLike[str], bool, CommonOptions], str]
_COMMANDS: dict[str, _Again] = {
    "cluster": _cluster_again,
    "compare": _compare_again,
    "gradients": _gradients_again,
    "select": _select_again,
    "weights": _weights_again,
}


def _files(result: Path) -> list[Path]:
    if result.is_file():
        return [Path()]
    return sorted(path.relative_to(result) for path in result.rglob("*.parquet"))


def _differences(old: Path, new: Path, costs: Sequence[str]) -> Iterator[str]:
    before, after = _files(old), _files(new)
    for name in before:
        if name not in after:
            yield f"{name}: only in {old}"
        else:
            difference = _difference(old / name, new / name, costs)
            if difference is not None:
                yield f"{name if name != Path() else new}: {difference}"
    for name in after:
        if name not in before:
            yield f"{name}: only in {new}"


def _difference(old: Path, new: Path, costs: Sequence[str]) -> str | None:
    """First difference of two Parquet files' content, but in ``costs``; by row groups."""
    with pq.ParquetFile(old) as one, pq.ParquetFile(new) as other:
        if not one.schema_arrow.remove_metadata().equals(other.schema_arrow.remove_metadata()):
            return "the columns differ"
        if one.metadata.num_rows != other.metadata.num_rows:
            return f"{other.metadata.num_rows:,} rows, before {one.metadata.num_rows:,}"
        sizes = [one.metadata.row_group(index).num_rows for index in range(one.num_row_groups)]
        again = _runs(other, sizes)
        first = 0
        for group in range(one.num_row_groups):
            mine, theirs = one.read_row_group(group), next(again)
            for name in mine.column_names:
                if name not in costs and not _same(mine.column(name), theirs.column(name)):
                    return f"differs in column {name!r} after row {first:,}"
            first += mine.num_rows
    return None


def _runs(file: pq.ParquetFile, sizes: Sequence[int]) -> Iterator[pa.Table]:
    """Rows of a file in runs of these sizes, whatever its own row groups."""
    held = file.schema_arrow.empty_table()
    group = 0
    for size in sizes:
        while held.num_rows < size:
            held = pa.concat_tables([held, file.read_row_group(group)])
            group += 1
        yield held.slice(0, size)
        held = held.slice(size)


def _same(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    """Whether columns hold the same values; NaN, which equals nothing, is itself here."""
    return bool(one.equals(other)) or _stored(one) == _stored(other)


def _stored(column: pa.ChunkedArray) -> bytes:
    stream = io.BytesIO()
    table = pa.table({"column": column}).combine_chunks()
    pq.write_table(table, stream, use_dictionary=False, compression="none", store_schema=False)
    return stream.getvalue()

"""The verb ``gradients``: the gradient of a model's loss for each row, projected."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.api.run import CommonOptions, Paths, Run
from coresift.core.errors import InputError, ParameterError
from coresift.influence.models.base import RowModel
from coresift.influence.models.loading import load_model
from coresift.influence.models.rows import as_arrays, tiles
from coresift.influence.projection import Projection
from coresift.io.dump import Dump
from coresift.io.provenance import Provenance
from coresift.io.subset import output_columns, subset_bytes
from coresift.io.target import Target
from coresift.io.writer import PartWriter, write_manifest

_MEASURED = ("seconds", "peak_rss_bytes", "output")
_ADDED = ("row", "gradient")
# of a block of rows: a function of the model alone, since products of other blocks round otherwise
_TILE_BYTES = 256 << 20
_FEWEST, _MOST = 8, 256
# the gradients of a block, what autograd holds meanwhile, and a copy
_HELD = 3
_PROBED = 2


@dataclass(frozen=True)
class GradientsResult:
    """What was written.

    Attributes
    ----------
    method : str
        ``torch`` or ``scikit-learn``.
    rows, dim : int
        Gradients, and elements of each.
    parameters : int
        Elements before the projection.
    layers : tuple of str
        The parameters they are of, in order.
    params : dict
        The options, as given or by default.
    resolved : dict
        What the run set itself.
    notes : tuple of str
        What was left out or replaced.
    seconds : dict of str to float
        ``model``, ``gradients`` (reading and writing too) and ``total``.
    peak_rss_bytes : int
        Largest memory of the process.
    output : str
        Where the gradients are.
    """

    method: str
    rows: int
    dim: int
    parameters: int
    layers: tuple[str, ...]
    params: dict[str, Any]
    resolved: dict[str, Any]
    notes: tuple[str, ...]
    seconds: dict[str, float]
    peak_rss_bytes: int
    output: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields, as ``--json`` prints them."""
        return {**asdict(self), "layers": list(self.layers), "notes": list(self.notes)}


def gradients(
    paths: Paths,
    *,
    model: str,
    output: str | os.PathLike[str],
    inputs: Sequence[str] | None = None,
    layers: str | None = None,
    proj_dim: int = 1024,
    half: bool = False,
    columns: Sequence[str] | None = None,
    prefix: str = "",
    overwrite: bool = False,
    **common: Unpack[CommonOptions],
) -> GradientsResult:
    """Write the gradient of a model's loss for each row, projected to fewer dimensions.

    Parameters
    ----------
    paths : path or sequence of paths
        The dump.
    model : str
        ``module:function`` or ``FILE.py:function``; see ``docs/gradients.md`` for what the
        function returns.
    output : path
        ``X.parquet`` for one file, anything else for a directory.
    inputs : sequence of str, optional
        Columns that the model is given; all by default.
    layers : str, optional
        Patterns of layers, separated by commas; the last linear one by default.
    proj_dim : int
        Elements of the projection; 0 keeps the gradients as they are.
    half : bool
        Write float16, not float32.
    columns : sequence of str, optional
        Input columns to write too; none by default.
    prefix : str
        Put before ``row`` and ``gradient``.
    overwrite : bool
        Replace an earlier result.
    **common
        Options that every verb takes, see :class:`~coresift.api.run.CommonOptions`; ``device``
        is that of the model.

    Returns
    -------
    GradientsResult

    Raises
    ------
    CoresiftError
        When the run cannot go on; nothing is left under ``output``.
    """
    if proj_dim < 0:
        raise ParameterError(f"--proj-dim {proj_dim} is not at least 0")
    if common.get("engine") == "ray":
        raise ParameterError(
            "coresift gradients runs on one machine", hint="leave out --engine ray"
        )
    # a GPU is the model's matter, and faiss need not be there for it
    device = str(common.pop("device", None) or "auto")
    with Run(paths, common) as run:
        dump = run.open()
        given = _inputs(dump, inputs)
        held = output_columns(
            dump, _ADDED, columns=columns, ids_only=columns is None, prefix=prefix
        )
        target = Target(output, overwrite=overwrite, inputs=[*run.paths, *dump.options.vectors])
        with run.clock.stage("model"):
            found = load_model(model, layers, device)
        try:
            work = _Work(dump, found, run, given, proj_dim, half=half)
            target.require_room(subset_bytes(dump, held, dump.rows) + dump.rows * work.row_bytes)
            with run.clock.stage("model"):
                work.probe()
            origin = _recorded(model)
            params = {
                "model": origin,
                "inputs": inputs if inputs is None else given,
                "layers": layers,
                "proj_dim": proj_dim,
                "half": half,
            }
            resolved = {"parameters": found.parameters, "dim": work.dim, "weights": found.digest}
            parents = _parents(origin, found.digest)
            shape = {"columns": None if columns is None else list(columns), "prefix": prefix}
            provenance = Provenance(
                command="gradients",
                method=found.kind,
                params=params,
                output=shape,
                resolved={**resolved, "layers": list(found.layers)},
                parents=parents,
                notes=list(found.notes),
                **run.input_provenance(dump),
            )
            run.announce(provenance)
            with target:
                with run.clock.stage("gradients"):
                    work.write(target, held, prefix, provenance)
                result = GradientsResult(
                    method=found.kind,
                    rows=dump.rows,
                    dim=work.dim,
                    parameters=found.parameters,
                    layers=found.layers,
                    params=params,
                    resolved=resolved,
                    notes=found.notes,
                    output=target.name,
                    **run.report(),
                )
                if not target.is_file:
                    summary = result.to_json()
                    measured = {key: summary.pop(key) for key in _MEASURED}
                    write_manifest(target.staging, provenance, summary, measured)
        finally:
            found.close()
        return result


def _recorded(model: str) -> str:
    """A name that means the same from another working directory, where it is a file's."""
    place, _, name = model.rpartition(":")
    return f"{os.path.abspath(place)}:{name}" if place.endswith(".py") else model  # noqa: PTH100


def _parents(model: str, weights: str) -> dict[str, dict[str, str]]:
    """What the gradients hang on besides the rows: the weights, and the file that has the loss."""
    parents = {"weights": {"path": model, "digest": weights}}
    place = model.rpartition(":")[0]
    if place.endswith(".py"):
        code = hashlib.sha256(Path(place).read_bytes()).hexdigest()[:32]
        parents["code"] = {"path": place, "digest": code}
    return parents


def _inputs(dump: Dump, inputs: Sequence[str] | None) -> list[str]:
    if inputs is None:
        return list(dump.schema.names)
    missing = [name for name in inputs if name not in dump.schema.names]
    if missing or not inputs:
        what = f"no column {missing[0]!r} in {dump.source}" if missing else "names no column"
        raise ParameterError(
            f"--inputs: {what}", hint=f"the columns are {', '.join(dump.schema.names[:12])}"
        )
    return list(inputs)


class _Work:
    """The pass over the rows.

    Attributes
    ----------
    dim, row_bytes : int
        Elements of a gradient as it is written, and their bytes.
    """

    def __init__(
        self,
        dump: Dump,
        model: RowModel,
        run: Run,
        inputs: list[str],
        proj_dim: int,
        *,
        half: bool,
    ) -> None:
        self._dump, self._model, self._run, self._inputs = dump, model, run, inputs
        self._kind = np.dtype(np.float16 if half else np.float32)
        width = 4 * model.parameters
        self._rows = max(_FEWEST, min(_MOST, _TILE_BYTES // width))
        needed = _HELD * self._rows * width
        run.budget.require(
            needed,
            f"gradients of {model.parameters:,} parameters for {self._rows} rows at a time",
            hint="choose fewer layers with --layers, or raise --memory",
        )
        left = run.budget.left()
        self._gate = threading.Semaphore(max(1, min(run.engine.workers, left // needed)))
        self._projection = None
        if 0 < proj_dim < model.parameters:
            self._projection = Projection(proj_dim, run.seed)
        self.dim = model.parameters if self._projection is None else proj_dim
        self.row_bytes = self._kind.itemsize * self.dim

    def probe(self) -> None:
        """Try the first rows."""
        for start, batch in tiles(self._dump, self._inputs, _PROBED):
            self._model.probe(as_arrays(batch, start))
            return

    def write(
        self, target: Target, columns: Sequence[str], prefix: str, provenance: Provenance
    ) -> None:
        """Write every row's gradient."""
        dump, run = self._dump, self._run
        names = [prefix + name for name in _ADDED]
        added = [
            pa.field(names[0], pa.int64()),
            pa.field(names[1], pa.list_(pa.from_numpy_dtype(self._kind), self.dim)),
        ]
        schema = pa.schema([*(dump.schema.field(name) for name in columns), *added])
        read = [name for name in dump.schema.names if name in {*self._inputs, *columns}]
        with (
            run.progress.stage("gradients", dump.rows) as stage,
            PartWriter(target.staging, schema, provenance) as writer,
        ):
            items = tiles(dump, read, self._rows)
            for start, batch, found in run.engine.map(self._task, items):
                rows = pa.array(np.arange(start, start + len(found), dtype=np.int64))
                vectors = pa.FixedSizeListArray.from_arrays(pa.array(found.reshape(-1)), self.dim)
                kept = [batch.column(name) for name in columns]
                writer.write(pa.record_batch([*kept, rows, vectors], schema=schema))
                stage.advance(len(found))

    def _task(
        self, item: tuple[int, pa.RecordBatch]
    ) -> tuple[int, pa.RecordBatch, NDArray[np.generic]]:
        start, batch = item
        with self._gate:
            parts = self._model.gradients(as_arrays(batch.select(self._inputs), start))
            if self._projection is not None:
                values = self._projection.apply(parts)
            else:
                values = np.concatenate(parts, axis=1)
        self._require_finite(values, start, "is not finite")
        with np.errstate(over="ignore"):
            narrow = values.astype(self._kind, copy=False)
        self._require_finite(narrow, start, "does not fit into float16: leave out --half")
        return start, batch, narrow

    def _require_finite(self, values: NDArray[Any], start: int, what: str) -> None:
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(bad):
            row = start + int(bad[0])
            raise InputError(
                f"{self._dump.locate(row)} (row {row}): the gradient {what}",
                hint="look at the loss of this row",
            )

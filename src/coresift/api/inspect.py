"""The verb ``inspect``: what is in a dump, and what would stop a run."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from coresift.api.run import CommonOptions, Paths, Run
from coresift.clustering.kmeans import KMeansParams, working_bytes
from coresift.core.exact import Quantum
from coresift.core.size import format_bytes
from coresift.io.dump import Dump, Shard
from coresift.io.duplicates import Digests
from coresift.io.layout import REASONS, ZERO
from coresift.io.provenance import Provenance
from coresift.io.vectors import vector_batches

_EXAMPLES = 5
_CALIBRATION = 1024
_ITERATIONS = 20


@dataclass(frozen=True)
class Inspection:
    """What ``inspect`` found.

    Attributes
    ----------
    files, rows, row_groups, bytes : int
        Size of the dump.
    columns : list of dict
        ``name`` and ``type`` of each.
    embedding, layout, dtype : str
        The vector column.
    dim : int
        Its dimensions.
    matching_rows : int
        Rows that ``--where`` keeps.
    invalid_rows : int
        Matching rows whose vector cannot be used.
    invalid : list of dict
        For each reason: ``reason``, ``rows`` and ``examples`` (``row``, ``place``).
    zero_rows : int
        Rows whose vector is zero; invalid under ``--metric cosine`` alone.
    duplicate_rows : int
        Valid rows whose vector an earlier row has, exactly (float64 as float32).
    duplicates : list of dict
        A few of them: ``row``, and ``same_as``, the first row with that vector.
    norm : dict of str to float or None
        ``min``, ``mean`` and ``max`` of the valid vectors; None when there are none.
    estimate : dict
        What a clustering would take: ``k``, ``iterations``, ``memory_bytes`` to hold all of it,
        ``seconds`` at most on this machine.
    problems : list of str
        What would stop a run, and what to do about it.
    seconds : dict of str to float
        Time taken.
    peak_rss_bytes : int
        Largest memory of the process.
    """

    files: int
    rows: int
    row_groups: int
    bytes: int
    columns: list[dict[str, str]]
    embedding: str
    layout: str
    dtype: str
    dim: int
    matching_rows: int
    invalid_rows: int
    invalid: list[dict[str, Any]]
    zero_rows: int
    duplicate_rows: int
    duplicates: list[dict[str, int]]
    norm: dict[str, float | None]
    estimate: dict[str, float]
    problems: list[str]
    seconds: dict[str, float]
    peak_rss_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON holds them."""
        return asdict(self)


@dataclass(frozen=True)
class _Part:
    rows: int
    matching: int
    invalid: dict[int, tuple[int, list[int]]]
    zero: int
    least: float
    largest: float
    valid: int
    squares: list[NDArray[np.float64]]


def inspect(paths: Paths, **common: Unpack[CommonOptions]) -> Inspection:
    """Look at every vector of a dump once.

    Parameters
    ----------
    paths : path or sequence of paths
        The dump.
    **common
        Options that every verb takes, see :class:`~coresift.api.run.CommonOptions`. Invalid rows
        are counted and located, not refused.

    Returns
    -------
    Inspection

    Raises
    ------
    CoresiftError
        When the dump cannot be read, or has no vector column.
    """
    with Run(paths, common) as run:
        run.require_one_machine("inspect")
        dump = run.open()
        column = dump.embedding
        run.announce(Provenance("inspect", "", {}, **run.input_provenance(dump)))
        with run.clock.stage("read"):
            digests = Digests(dump.rows, run.budget, run.scratch)
            parts = _look(run, dump, digests)
            found = digests.duplicates(run.budget, _EXAMPLES)
        invalid = _invalid(dump, parts)
        invalid_rows = sum(reason["rows"] for reason in invalid)
        with run.clock.stage("estimate"):
            estimate = _estimate(dump, run.engine.workers)
        draft = Inspection(
            files=len(dump.tables),
            rows=dump.rows,
            row_groups=sum(len(table.groups) for table in dump.tables),
            bytes=sum(table.ref.size for table in (*dump.tables, *dump.sidecar)),
            columns=[{"name": item.name, "type": str(item.type)} for item in dump.schema],
            embedding=column.name,
            layout=column.layout,
            dtype=column.dtype,
            dim=column.dim,
            matching_rows=sum(part.matching for part in parts),
            invalid_rows=invalid_rows,
            invalid=invalid,
            zero_rows=sum(part.zero for part in parts),
            duplicate_rows=found.rows,
            duplicates=[{"row": row, "same_as": first} for row, first in found.examples],
            norm=_norm(parts),
            estimate=estimate,
            problems=[],
            **run.report(),
        )
        return replace(draft, problems=_problems(draft, run.options.metric))


def _look(run: Run, dump: Dump, digests: Digests) -> list[_Part]:
    cosine = dump.options.metric == "cosine"

    def task(shard: Shard) -> _Part:
        matching = zero = valid = 0
        least, largest = np.inf, 0.0
        invalid: dict[int, tuple[int, list[int]]] = {}
        squares = []
        for batch in vector_batches(dump, shard):
            good = batch.matching & (batch.reason == 0)
            matching += int(np.count_nonzero(batch.matching))
            for reason in np.unique(batch.reason[batch.matching & (batch.reason != 0)]):
                rows = np.flatnonzero(batch.matching & (batch.reason == reason)) + batch.start
                count, examples = invalid.get(int(reason), (0, []))
                invalid[int(reason)] = (
                    count + len(rows),
                    (examples + rows[:_EXAMPLES].tolist())[:_EXAMPLES],
                )
            kept = batch.squared[good]
            zero += int(np.count_nonzero(kept == 0.0))
            valid += len(kept)
            if len(kept):
                least, largest = min(least, float(kept.min())), max(largest, float(kept.max()))
            squares.append(kept)
            digests.add(batch.start, batch.vectors, good)
        if cosine:
            zero = invalid.get(ZERO, (0, []))[0]
        return _Part(shard.rows, matching, invalid, zero, least, largest, valid, squares)

    parts = []
    with run.progress.stage("inspect", dump.rows) as stage:
        for part in run.engine.map(task, dump.shards(dump.embedding.columns)):
            parts.append(part)
            stage.advance(part.rows)
    return parts


def _invalid(dump: Dump, parts: list[_Part]) -> list[dict[str, Any]]:
    found = []
    for reason, text in REASONS.items():
        here = [part.invalid[reason] for part in parts if reason in part.invalid]
        if here:
            rows = [row for _, examples in here for row in examples][:_EXAMPLES]
            found.append(
                {
                    "reason": text.format(dim=dump.embedding.dim),
                    "rows": sum(count for count, _ in here),
                    "examples": [{"row": row, "place": dump.locate(row)} for row in rows],
                }
            )
    return found


def _norm(parts: list[_Part]) -> dict[str, float | None]:
    valid = sum(part.valid for part in parts)
    if not valid:
        return {"min": None, "mean": None, "max": None}
    largest = float(np.sqrt(max(part.largest for part in parts)))
    quantum = Quantum.covering(largest, valid)
    units = sum(quantum.sum(np.sqrt(square)) for part in parts for square in part.squares)
    return {
        "min": float(np.sqrt(min(part.least for part in parts))),
        "mean": quantum.value(units) / valid,
        "max": largest,
    }


def _estimate(dump: Dump, workers: int) -> dict[str, float]:
    """Memory and time of a clustering with about the square root of the rows as clusters."""
    rows, dim = dump.rows, dump.embedding.dim
    k = max(1, min(rows, round(float(np.sqrt(rows)))))
    block = np.ones((_CALIBRATION, min(dim, _CALIBRATION)), np.float32)
    start = time.perf_counter()
    for _ in range(4):
        block @ block.T
    rate = 4 * 2 * _CALIBRATION**2 * block.shape[1] / (time.perf_counter() - start)
    held = rows * dim * dump.embedding.resident_dtype.itemsize
    return {
        "k": k,
        "iterations": _ITERATIONS,
        "memory_bytes": held + working_bytes(rows, dim, KMeansParams(k), workers),
        "seconds": round((_ITERATIONS + 1) * 2.0 * rows * k * dim / rate, 3),
    }


def _problems(found: Inspection, metric: str) -> list[str]:
    problems = [
        f"{reason['rows']:,} rows: the vector {reason['reason']}, first at "
        f"{reason['examples'][0]['place']}; --invalid drop leaves them out"
        for reason in found.invalid
    ]
    if metric != "cosine" and found.zero_rows:
        problems.append(
            f"{found.zero_rows:,} rows: the vector is zero, which --metric cosine refuses"
        )
    if found.matching_rows == found.invalid_rows:
        problems.append("no row is left to choose from")
    if found.norm["max"] is not None and found.norm["max"] > 1e17:
        problems.append(f"norms up to {found.norm['max']:.3g} are too large to be squared")
    return problems


def summary(found: Inspection) -> dict[str, object]:
    """Facts for a person, by name."""
    norm = found.norm
    estimate = found.estimate
    facts: dict[str, object] = {
        "files": found.files,
        "bytes": format_bytes(found.bytes),
        "rows": found.rows,
        "row groups": found.row_groups,
        "embedding": f"{found.embedding}: {found.layout} of {found.dim} {found.dtype}",
        "invalid rows": found.invalid_rows,
        "duplicate rows": found.duplicate_rows,
    }
    if found.matching_rows != found.rows:
        facts["matching rows"] = found.matching_rows
    if norm["max"] is not None:
        facts["norm"] = f"min {norm['min']:.4g}, mean {norm['mean']:.4g}, max {norm['max']:.4g}"
    facts["columns"] = ", ".join(f"{item['name']} ({item['type']})" for item in found.columns)
    facts["clustering"] = (
        f"k={estimate['k']:,}, {estimate['iterations']} iterations: "
        f"{format_bytes(estimate['memory_bytes'])} to hold all, at most "
        f"{estimate['seconds']:,.0f} s here"
    )
    return facts

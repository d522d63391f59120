"""What a selection would take: passes over the dump, a clustering, or pairs of rows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from coresift.clustering.saved import SavedClustering
from coresift.core.memory import current_rss
from coresift.core.selection import ROW_BYTES
from coresift.io.dump import Dump
from coresift.io.subset import subset_bytes
from coresift.planning.calibration import (
    disk_seconds,
    file_bytes,
    read_columns,
    read_vectors,
    timed,
    touch_seconds,
    write_rows,
)
from coresift.planning.influence import plan_influence
from coresift.planning.pairs import plan_pairs
from coresift.planning.plan import Held, Plan, Stage
from coresift.selection.base import Context
from coresift.selection.params.bandit import BanditParams
from coresift.selection.params.dedup import DedupParams
from coresift.selection.params.gradients import GradientParams
from coresift.selection.reading.columns import find_column
from coresift.selection.registry import Method

_SAMPLE = 8192
_GROUPS = 16


def plan_select(
    dump: Dump,
    method: Method,
    params: object,
    size: int,
    columns: Sequence[str],
    machines: int,
    context: Context,
) -> Plan:
    """Plan a selection.

    Parameters
    ----------
    dump : Dump
        The input.
    method, params
        What would run.
    size : int
        Rows to choose; of ``dedup``, all.
    columns : sequence of str
        Input columns that the result holds.
    machines : int
        For the estimate at 10^9 rows.
    context : Context
        The resources there are, and the clustering.
    """
    begun = time.perf_counter()
    engine, rows, held = context.engine, dump.rows, tuple(columns)
    chosen = rows if method.size == "none" else size
    base = current_rss()
    stages: list[Stage] = []
    notes: tuple[str, ...] = ()
    vectors = Held(0, ROW_BYTES * chosen / rows, base, context.budget.total)
    scratch = 0
    pass_seconds = 0.0
    for read in method.reads:
        if read == "vectors":
            reading = read_vectors(dump, engine, _SAMPLE)
            name = "lay out" if "pairs" in method.reads else "check"
            stages.append(Stage(name, 1.0, int(reading.bytes * rows), reading.seconds * rows))
        elif read == "columns":
            others = tuple(set(dump.schema.names) - set(dump.embedding.columns))
            spent = read_columns(dump, engine, others) * rows
            stages.append(Stage("score", 1.0, file_bytes(dump, others), spent))
        elif read == "assignments" and context.clustering is not None:
            stages.append(_assignments(context.clustering))
        elif isinstance(params, BanditParams) and read == "gradients" and params.score is not None:
            # rows that are drawn lie in all row groups, at worst
            scored = find_column(dump.schema, params.score, "--score").reads
            spent = read_columns(dump, engine, scored) * rows
            stages.append(Stage("score", 1.0, file_bytes(dump, scored), spent))
        elif read == "gradients" and isinstance(params, GradientParams):
            more, memory = plan_influence(dump, params, context)
            stages += more
            vectors = Held(memory, ROW_BYTES, base, context.budget.total)
            scratch = 0 if vectors.resident(rows) else memory
        elif read == "pairs" and isinstance(params, DedupParams):
            memory = 4 * rows * dump.embedding.dim
            disk = disk_seconds(context.scratch.folder, memory)
            pass_seconds = memory * disk.read
            found = plan_pairs(dump, params, reading.vectors, context)
            notes = found.notes
            vectors = Held(memory, found.row_bytes, base, context.budget.total)
            resident = vectors.resident(rows)
            scratch = 0 if resident else memory
            laid = memory * (touch_seconds(engine) if resident else disk.write)
            stages[-1] = replace(stages[-1], seconds=stages[-1].seconds + laid)
            stages.append(Stage("compare", 1.0, scratch, found.seconds, found.growth))
    scan = read_columns(dump, engine, held) * rows
    write, _ = write_rows(dump, held, context.scratch.folder)
    whole = file_bytes(dump, held) if held else 0
    stages.append(Stage("write", 1.0, whole, scan + write * chosen))
    return Plan(
        command="select",
        method=method.name,
        rows=rows,
        dim=dump.embedding.dim if "vectors" in method.reads else 0,
        stages=tuple(stages),
        held=vectors,
        scratch_bytes=scratch,
        output_bytes=subset_bytes(dump, columns, chosen),
        pass_seconds=pass_seconds,
        machines=machines,
        notes=notes,
        seconds_spent=time.perf_counter() - begun,
    )


def _assignments(clustering: SavedClustering) -> Stage:
    """One pass over a clustering's assignments."""
    seen = 0

    def some() -> None:
        nonlocal seen
        seen = sum(len(part.row) for part in islice(clustering.assignments(), _GROUPS))

    spent = timed(some)
    files = (clustering.path / "assignments").glob("*.parquet")
    size = sum(path.stat().st_size for path in files)
    return Stage("assignments", 1.0, size, spent / seen * clustering.rows)

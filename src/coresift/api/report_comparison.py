"""The verb ``report`` on a comparison of methods: curves and tables."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Unpack

import pyarrow.parquet as pq

from coresift.api.report import require_form
from coresift.api.run import CommonOptions, Run, absolute
from coresift.core.errors import CoresiftError, InputError
from coresift.evaluation.comparison import TABLE, MethodRun, runs_of, standings
from coresift.io.provenance import Provenance, read_provenance
from coresift.io.stamp import stamp
from coresift.io.target import Target
from coresift.reporting.command import beside, comparison_line, shell
from coresift.reporting.comparison import Sides
from coresift.reporting.comparison_page import comparison_page
from coresift.reporting.comparison_picture import save_curves
from coresift.selection import registry
from coresift.selection.influences.sources import digest_of


@dataclass(frozen=True)
class ComparisonReport:
    """What a report on a comparison shows.

    Attributes
    ----------
    methods : tuple of str
        What was compared.
    sizes : tuple of int
        Rows asked for.
    figures : int
        Metrics and costs.
    notes : tuple of str
        What the comparison had to say.
    seconds : dict of str to float
        By stage, and in ``total``.
    peak_rss_bytes : int
        Largest memory of the process.
    output : str or None
        Where the page or picture is.
    bytes : int
        Its size.
    content : Sides
        All that it shows.
    """

    methods: tuple[str, ...]
    sizes: tuple[int, ...]
    figures: int
    notes: tuple[str, ...]
    seconds: dict[str, float]
    peak_rss_bytes: int
    output: str | None
    bytes: int
    content: Sides

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON holds them, without the content."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        del values["content"]
        lists = {name: list(values[name]) for name in ("methods", "sizes", "notes")}
        return {**values, **lists}


def report_comparison(
    result: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    **common: Unpack[CommonOptions],
) -> ComparisonReport:
    """Show a comparison: a figure for each metric over sizes, and all values in tables.

    Nothing is measured: the page shows what ``compare`` found.

    Parameters
    ----------
    result : path
        What ``compare`` wrote.
    output : path, optional
        ``X.html`` for a page that needs nothing else, ``X.png`` for the curves alone; nothing is
        written without.
    overwrite : bool
        Replace an earlier report.
    **common
        Options that every verb takes, see :class:`~coresift.api.run.CommonOptions`.

    Returns
    -------
    ComparisonReport

    Raises
    ------
    CoresiftError
        When the run cannot go on; nothing is left under ``output``.
    """
    name = os.fspath(result)
    require_form(output)
    provenance = read_provenance(Path(name), "a comparison")
    if provenance.command != "compare":
        raise InputError(
            f"{name}: a result of `coresift {provenance.command}`, not a comparison",
            hint="give what `coresift compare` wrote",
        )
    with Run(provenance.paths, common) as run:
        run.require_one_machine("report")
        with run.clock.stage("read"):
            runs, digest = _read(Path(name))
            content = _content(name, provenance, runs, output)
        target = None
        if output is not None:
            target = Target(output, overwrite=overwrite, inputs=[name], suffixes=(".html", ".png"))
        origin = Provenance(
            command="report",
            method="",
            params={},
            seed=provenance.seed,
            paths=provenance.paths,
            options=provenance.options,
            fingerprint=provenance.fingerprint,
            parents={"comparison": {"path": absolute(name), "digest": digest}},
        )
        run.announce(origin)
        size = 0
        if target is not None:
            with run.clock.stage("write"), target:
                if target.staging.suffix == ".html":
                    target.staging.write_text(comparison_page(content), encoding="utf-8")
                else:
                    save_curves(content, target.staging)
                stamp(target.staging, origin)
                size = target.staging.stat().st_size
        return ComparisonReport(
            methods=content.titles,
            sizes=content.sizes,
            figures=len(content.figures),
            notes=tuple(provenance.notes),
            output=None if target is None else target.name,
            bytes=size,
            content=content,
            **run.report(),
        )


def _read(path: Path) -> tuple[tuple[MethodRun, ...], str]:
    """What was measured, and the identity of the table."""
    file = path / TABLE if path.is_dir() else path
    try:
        # a path that says key=value is a name here, not a column
        return runs_of(pq.ParquetFile(file).read()), digest_of(str(file))
    except CoresiftError:
        raise
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{file}: not the table of a comparison ({error})", hint="compare again"
        ) from error


def _content(
    name: str,
    provenance: Provenance,
    runs: tuple[MethodRun, ...],
    output: str | os.PathLike[str] | None,
) -> Sides:
    fixed = frozenset(method.name for method in registry.METHODS.values() if not method.random)
    where = beside(name, "again")
    again = ["report", name, *(() if output is None else ("-o", os.fspath(output)))]
    return Sides(
        name=name,
        provenance=provenance,
        command=shell(comparison_line(provenance, where)),
        replay=shell(["replay", name, "-o", where]),
        again=shell(again),
        methods=tuple(dict.fromkeys(run.method for run in runs)),
        sizes=tuple(dict.fromkeys(run.size for run in runs)),
        seeds=tuple(sorted({run.seed for run in runs})),
        standings=standings(runs, fixed),
    )

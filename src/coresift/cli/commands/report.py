"""coresift report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coresift.cli import options
from coresift.cli.config import public_name
from coresift.cli.types import COLUMN, FOLDER, READ, WRITTEN
from coresift.core.errors import ParameterError

if TYPE_CHECKING:
    from coresift.io.provenance import Provenance

# what a report on a comparison takes, beside how it is run
_FOR_ALL = frozenset(
    ("result", "output", "overwrite", "terminal", "as_json", "quiet", "no_progress", *options.RUN)
)


@click.command("report")
@click.argument("result", type=READ)
@click.option(
    "-o",
    "--output",
    type=WRITTEN,
    metavar="OUT",
    help="X.html for a page that needs nothing else, X.png for one picture of the map.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier report.")
@click.option("--terminal", is_flag=True, help="Draw the map in characters.")
@click.option(
    "--full",
    multiple=True,
    type=READ,
    metavar="PATH",
    help="Where the dump lies, if it has moved since.  [default: where it was]",
)
@click.option(
    "--clusters",
    type=FOLDER,
    metavar="DIR",
    help="Clustering to look at a selection by.  [default: the one it was chosen with, or a "
    "k-means for the purpose]",
)
@click.option(
    "--label",
    type=COLUMN,
    metavar="COLUMN",
    help="Class of each row: adds the balance of classes.",
)
@click.option(
    "--hover", type=COLUMN, metavar="COLUMN", help="What is told of a row: a text or number."
)
@click.option(
    "--image",
    type=COLUMN,
    metavar="COLUMN",
    help="Pictures of the rows: the bytes of PNG or JPEG files.",
)
@click.option(
    "--score",
    type=COLUMN,
    metavar="EXPR",
    help="A column, or an expression of columns, with every row's score; compared with the "
    "selection's.  [default: what top-k chose by]",
)
@click.option(
    "--colour",
    "--color",
    type=click.Choice(["selection", "cluster", "weight", "score", "label"]),
    help="What points are coloured by at first.  [default: selection, or cluster]",
)
@click.option("--umap", is_flag=True, help="Add a map by UMAP (pip install 'coresift[map]').")
@click.option(
    "--examples",
    type=click.IntRange(min=0),
    default=4,
    show_default=True,
    help="Rows to look at, the most and the least typical of each cluster that is looked at.",
)
@click.option(
    "--metrics/--no-metrics",
    default=True,
    show_default=True,
    help="Evaluate a selection beside uniform ones, as `coresift evaluate` does.",
)
@options.repeats_option("Uniform subsets to compare with.")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    metavar="ROWS",
    help="Measure coverage on this many rows.",
)
@options.input_options
@options.run_options
@options.show_options
def command(
    result: str, full: tuple[str, ...], terminal: bool, as_json: bool, **values: Any
) -> None:
    """Pictures of a clustering, a selection or a comparison.

    A page with a map of the rows, distributions, class balance, metrics and rows to look at;
    it opens from disk and loads nothing. RESULT is what `coresift cluster` or `coresift select`
    wrote; the vectors are read from the dump that it was made from. Of what `coresift compare`
    wrote it shows curves over sizes and tables, and takes -o, --overwrite and --terminal.
    """
    from coresift.api.report import report
    from coresift.cli import console
    from coresift.io.provenance import find_provenance

    if values["output"] is None and not terminal:
        raise click.UsageError("give -o X.html, -o X.png or --terminal")
    provenance = find_provenance(Path(result))
    if provenance is not None and provenance.command == "compare":
        _comparison(result, provenance, terminal=terminal, as_json=as_json, **values)
        return
    with options.watched(values) as progress:
        common = options.common(values, *options.INPUT, *options.RUN)
        found = report(result, full=list(full) or None, **values, **common, **progress)
    facts = found.to_json()
    if as_json:
        console.show_json(facts)
        return
    if terminal:
        console.show_report(found.content)
    if found.output is not None:
        names = ("rows", "points", "clusters")
        shown = {name: facts[name] for name in names}
        console.show_facts({**shown, "bytes": found.bytes, **console.measured(facts)}, found.notes)


def _comparison(
    result: str, provenance: Provenance, *, terminal: bool, as_json: bool, **values: Any
) -> None:
    from dataclasses import asdict

    from coresift.api.report_comparison import report_comparison
    from coresift.cli import console
    from coresift.cli.comparison import show_comparison
    from coresift.evaluation.margin import FACTOR

    _refuse_others(result, provenance)
    output, overwrite = values["output"], values["overwrite"]
    with options.watched(values) as progress:
        common = options.common(values, *options.RUN)
        found = report_comparison(result, output=output, overwrite=overwrite, **common, **progress)
    facts = found.to_json()
    if as_json:
        console.show_json(facts)
        return
    if terminal:
        content = found.content
        # a filter leaves fewer rows than the input has, and which is not in the table
        read = provenance.options
        whole = not read.get("where") and read.get("invalid") != "drop"
        shown = {
            "methods": content.titles,
            "sizes": content.sizes,
            "rows_full": provenance.fingerprint["rows"] if whole else None,
            "standings": [asdict(one) for one in content.standings],
            "margin": FACTOR,
            "notes": found.notes,
            "output": None,
        }
        show_comparison(shown)
    if found.output is not None:
        few = {name: facts[name] for name in ("figures", "bytes")}
        notes = () if terminal else found.notes
        console.show_facts({**few, **console.measured(facts)}, notes)


def _refuse_others(result: str, provenance: Provenance) -> None:
    """Refuse options that say how rows are looked at, unless they only say how they were read."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = str(parameter.name)
        if name in _FOR_ALL or not isinstance(parameter, click.Option):
            continue
        source = context.get_parameter_source(name)
        if source is not click.core.ParameterSource.COMMANDLINE:
            continue
        # a recipe says for all steps how its input is read
        given = context.params[name]
        if name in options.INPUT and given == provenance.options.get(name):
            continue
        raise ParameterError(
            f"--{public_name(parameter).replace('_', '-')} is for a clustering or a selection, and "
            f"{result} is a comparison",
            hint="leave it out",
        )

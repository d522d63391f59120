"""coresift report."""

from __future__ import annotations

from typing import Any

import click

from coresift.cli import options
from coresift.cli.types import COLUMN, FOLDER, READ, WRITTEN


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
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Uniform subsets to compare with.",
)
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
    """Pictures of a clustering or a selection.

    A page with a map of the rows, distributions, class balance, metrics and rows to look at;
    it opens from disk and loads nothing. RESULT is what `coresift cluster` or `coresift select`
    wrote; the vectors are read from the dump that it was made from.
    """
    from coresift.api.report import report
    from coresift.cli import console

    if values["output"] is None and not terminal:
        raise click.UsageError("give -o X.html, -o X.png or --terminal")
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

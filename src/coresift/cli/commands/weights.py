"""coresift weights."""

from __future__ import annotations

from typing import Any

import click

from coresift.cli import options
from coresift.cli.types import COLUMNS, FOLDER, READ
from coresift.selection.params.carrying import CarryingParams


def _rule_options(function: Any) -> Any:
    """``--weights`` and how they are carried."""
    for item in reversed(CarryingParams.options()):
        function = options.declared(item, required=item.name == "weights")(function)
    return function


@click.command("weights")
@options.paths
@click.option(
    "--subset",
    required=True,
    type=READ,
    metavar="SUBSET",
    help="The rows that weights were learned on: a selection from this dump, or any Parquet with a "
    "column `row`.",
)
@_rule_options
@click.option(
    "--clusters",
    type=FOLDER,
    metavar="DIR",
    help="With --by cluster: a clustering of the same dump, from `coresift cluster`.",
)
@options.output_option("X.parquet for one file, anything else for a directory.")
@click.option(
    "--columns",
    type=COLUMNS,
    metavar="A,B",
    help="Input columns to write beside `row` and `weight`.  [default: none]",
)
@options.prefix_option
@options.input_options
@options.resource_options
@options.show_options
def command(paths: tuple[str, ...], as_json: bool, columns: str | None, **values: Any) -> None:
    """Carry weights that were learned on a subset to all rows.

    Writes `row` and `weight` for every row, in their order: a re-weighting that is too expensive
    to learn on all rows is learned on a subset, and each other row takes the weight of what it is
    like. Vectors are read as the subset's were, unless options say otherwise.

    Jafari et al., The Power of Few: Accelerating and Enhancing Data Reweighting with Coreset
    Selection, 2024.
    """
    from coresift.api.weights import weights
    from coresift.cli import console

    with options.watched(values) as progress:
        common = options.common(values, *options.INPUT, *options.RUN)
        held = options.split_columns(columns)
        result = weights(paths, columns=held, **values, **common, **progress)
    facts = result.to_json()
    if as_json:
        console.show_json(facts)
        return
    shown = {
        "weights": f"by {result.method}",
        "rows": result.rows,
        "rows of the subset": result.rows_subset,
        "weight sum": result.weight_sum,
    }
    console.show_facts({**shown, **result.resolved, **console.measured(facts)}, result.notes)

"""coresift gradients."""

from __future__ import annotations

from typing import Any

import click

from coresift.cli import options


@click.command("gradients")
@options.paths
@click.option(
    "--model",
    required=True,
    metavar="MODULE:FUNCTION",
    help="A function of yours, in a module (of the working directory too) or as FILE.py:FUNCTION, "
    "that returns (module, loss) or (module, loss, inputs) for PyTorch, or (estimator, inputs) "
    "for scikit-learn.",
)
@click.option(
    "--inputs",
    metavar="A,B",
    help="Columns that the model is given.  [default: all; without an inputs function those that "
    "hold numbers]",
)
@click.option(
    "--layers",
    metavar="PATTERNS",
    help="Layers or parameters by name, for example 'encoder.*.attn,head'; '*' is all of them.  "
    "[default: the last linear layer]",
)
@click.option(
    "--proj-dim",
    type=click.IntRange(min=0),
    default=1024,
    show_default=True,
    metavar="P",
    help="Project gradients to P elements by random signs, which keeps their products; 0 keeps "
    "them as they are, and so are those that are no longer than P.",
)
@click.option("--half", is_flag=True, help="Write float16, not float32.")
@options.output_option("X.parquet for one file, anything else for a directory.")
@click.option(
    "--columns",
    metavar="A,B",
    help="Input columns to write beside `row` and `gradient`.  [default: none]",
)
@options.prefix_option
@options.vector_file_options
@options.run_options
@options.show_options
def command(
    paths: tuple[str, ...],
    as_json: bool,
    columns: str | None,
    inputs: str | None,
    **values: Any,
) -> None:
    """Write the gradient of a model's loss for each row.

    What influence is computed from: gradients of the last layer (or of the layers named), row by
    row, projected to P elements. The same seed gives the same projection, so gradients of the
    rows to choose from and those of the target can be compared when both were made with the same
    model, layers, seed and P.

    The result has a gradient for every row of the PATHs, in order; docs/gradients.md shows a model
    and what to do with them.
    """
    from coresift.api.gradients import gradients
    from coresift.cli import console

    with options.watched(values) as progress:
        common = options.common(values, "vectors", "dtype", "dim", *options.RUN)
        result = gradients(
            paths,
            columns=options.split_columns(columns),
            inputs=options.split_columns(inputs),
            **values,
            **common,
            **progress,
        )
    facts = result.to_json()
    if as_json:
        console.show_json(facts)
        return
    shown = {
        "gradients": f"{result.method}, {', '.join(result.layers[:6])}"
        + (" ..." if len(result.layers) > 6 else ""),
        "rows": result.rows,
        "parameters": result.parameters,
        "dim": result.dim,
    }
    console.show_facts({**shown, **console.measured(facts)}, result.notes)

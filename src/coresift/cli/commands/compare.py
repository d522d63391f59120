"""coresift compare."""

from __future__ import annotations

from typing import Any

import click

from coresift.cli import options
from coresift.cli.types import FOLDER, WRITTEN
from coresift.selection import registry


def _settings(context: click.Context, parameter: click.Parameter, values: Any) -> dict[str, Any]:
    """Read ``METHOD.option=value``; an option that stands more than once takes all values."""
    found: dict[str, dict[str, Any]] = {}
    for text in values:
        place, equals, value = text.partition("=")
        name, dot, option = place.partition(".")
        if not (equals and dot and option):
            raise click.BadParameter(f"{text!r} is not METHOD.option=value", context, parameter)
        if name not in registry.METHODS:
            raise click.BadParameter(f"{text!r}: no selection method {name!r}", context, parameter)
        key = option.replace("-", "_")
        kinds = {item.name: item.kind for item in registry.METHODS[name].params.options()}
        mine = found.setdefault(name, {})
        if kinds.get(key) == "flag":
            if value not in ("true", "false"):
                raise click.BadParameter(f"{text!r}: neither true nor false", context, parameter)
            mine[key] = value == "true"
        elif kinds.get(key) == "paths":
            mine.setdefault(key, []).append(value)
        else:
            mine[key] = value
    return found


@click.command("compare")
@options.paths
@click.option(
    "-n",
    "--size",
    multiple=True,
    required=True,
    metavar="N",
    help="Rows to choose: a count, or a share such as 10%. May be given several times.",
)
@click.option(
    "--methods", required=True, metavar="A,B", help="Methods, by name; see `coresift methods`."
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Seeds of each method, from --seed on. A method that does not depend on it runs once.",
)
@click.option(
    "--set",
    "params",
    multiple=True,
    metavar="METHOD.OPTION=VALUE",
    callback=_settings,
    help="An option of a method, for example kernel-thinning.kernel=laplace. May be given several "
    "times.",
)
@click.option(
    "--clusters",
    type=FOLDER,
    metavar="DIR",
    help="A clustering of the same dump: for the methods that need one, and to judge all by.  "
    "[default: a reference k-means]",
)
@options.label_option
@click.option(
    "--metrics",
    metavar="A,B",
    help="What to measure, as in `coresift evaluate`.  [default: usual]",
)
@options.near_option
@options.repeats_option("Uniform subsets of each size to compare with.")
@options.sample_option
@click.option(
    "-o",
    "--output",
    type=WRITTEN,
    metavar="OUT",
    help="Directory for compare.parquet and manifest.json, or X.parquet for one file.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier result.")
@options.input_options
@options.run_options
@options.show_options
def command(
    paths: tuple[str, ...], methods: str, metrics: str | None, as_json: bool, **values: Any
) -> None:
    """Methods side by side: the same sizes, over seeds, by every metric.

    Each selection runs as `coresift select` would, in a process of its own, on vectors that are
    decoded once. A value is marked * where it is better than that of every other method by more
    than twice the pooled standard deviation over seeds.
    """
    from coresift.api.compare import compare
    from coresift.cli import console
    from coresift.cli.comparison import show_comparison

    with options.watched(values) as progress:
        common = options.common(values, *options.INPUT, *options.RUN)
        result = compare(
            paths,
            methods=options.split_columns(methods) or [],
            metrics=options.split_columns(metrics),
            **values,
            **common,
            **progress,
        )
    facts = result.to_json()
    if as_json:
        console.show_json(facts)
        return
    show_comparison(facts)

"""coresift cluster."""

from __future__ import annotations

from typing import Any

import click

from coresift.cli import options


def _counts(_: click.Context, __: click.Parameter, value: Any) -> int | tuple[int, ...]:
    """A count, or several: separated by commas, or a list in a config file."""
    texts = value if isinstance(value, list) else str(value).split(",")
    try:
        counts = tuple(int(text) for text in texts)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a count nor several, as 100,10") from None
    for count in counts:
        if count < 1:
            raise click.BadParameter(f"{count} is not in the range x>=1.")
    return counts[0] if len(counts) == 1 else counts


@click.command("cluster")
@options.paths
@click.option(
    "-k",
    type=click.UNPROCESSED,
    callback=_counts,
    metavar="N[,N...]",
    required=True,
    help="Clusters; for a hierarchy those of each level, such as 10000,1000,100.",
)
@options.output_option("Directory to write.")
@click.option(
    "--method",
    type=click.Choice(["kmeans", "hierarchical", "bisecting", "minibatch"]),
    default="kmeans",
    show_default=True,
    help="How to cluster: by k-means; level by level, each on the centroids of the one below; by "
    "splitting the costliest cluster in two; or by batches of rows in the order of the dump.",
)
@click.option(
    "--iterations",
    type=click.IntRange(min=0),
    help="Most iterations of Lloyd's algorithm, of each split for bisecting; most passes over the "
    "rows for minibatch.  [default: 20; for minibatch 1]",
)
@click.option(
    "--tol",
    type=float,
    default=1e-4,
    show_default=True,
    help="Stop when an iteration lowers the cost by less than this share of it.",
)
@click.option(
    "--seeding",
    type=click.Choice(
        ["k-means++", "greedy-k-means++", "rs-k-means++", "afk-mc2", "k-means||", "random"]
    ),
    help="Where to start: k-means++ on a sample of rows, greedy-k-means++ on it too (several "
    "candidates for each center; slower, and better), rs-k-means++ on all rows by rejection "
    "sampling, afk-mc2 by Markov chains, k-means|| in passes over all, or random rows.  "
    "[default: k-means++; rs-k-means++ from 5,000 clusters]",
)
@click.option(
    "--seeding-rows",
    type=click.IntRange(min=1),
    help="Rows that k-means++ and greedy-k-means++ look at.  [default: 5 for each cluster, at "
    "least 5,000]",
)
@click.option(
    "--train-rows",
    default="all",
    show_default=True,
    metavar="N|all",
    help="Train on this many rows, drawn uniformly; all rows are assigned in the end.",
)
@click.option(
    "--kernel",
    type=click.Choice(["auto", "blas", "superkmeans", "faiss"]),
    default="auto",
    show_default=True,
    help="What finds the nearest centroids while training. Labels do not depend on it but for "
    "superkmeans; the last assignment is always exact.",
)
@click.option(
    "--minibatch-rows",
    type=click.IntRange(min=1),
    help="Rows of a batch.  [default: 4 for each cluster, at least 4,096]",
)
@click.option(
    "--resamples",
    type=click.IntRange(min=0),
    help="How often each level of a hierarchy is trained again on resampled points.  [default: 10]",
)
@click.option(
    "--resample-size",
    type=click.IntRange(min=1),
    help="Points taken from each cluster to train a level again.  [default: half the mean size "
    "of the level's clusters]",
)
@click.option(
    "--resampling",
    type=click.Choice(["closest", "random"]),
    help="Which points: those closest to the centroid, or random ones.  [default: closest]",
)
@options.columns_option
@options.prefix_option
@options.plan_options
@options.resume_option
@options.keep_scratch_option
@options.input_options
@options.run_options
@options.show_options
def command(
    paths: tuple[str, ...],
    as_json: bool,
    columns: str | None,
    plan: bool,
    machines: int,
    **values: Any,
) -> None:
    """Cluster the rows by k-means, or by levels of it.

    Writes centroids.parquet, assignments/, representatives.parquet (the rows nearest the
    centroids, with the columns of the input) and manifest.json.
    """
    from coresift.api.cluster import cluster
    from coresift.cli import console

    with options.watched(values) as progress:
        common = options.common(values, *options.INPUT, *options.RUN)
        held = options.split_columns(columns)
        if plan:
            _show_plan(paths, values, machines, as_json, columns=held, **common)
            return
        result = cluster(paths, columns=held, **values, **common, **progress)
    facts = result.to_json()
    if as_json:
        console.show_json(facts)
        return
    names = ("rows", "dim", "k", "kernel", "iterations", "cost", "empty_clusters")
    shown = {name.replace("_", " "): facts[name] for name in names}
    if len(result.levels) > 1:
        shown["k"] = ", ".join(f"{k:,}" for k in result.levels)
    console.show_facts({**shown, **console.measured(facts)}, result.notes)


def _show_plan(
    paths: tuple[str, ...], values: dict[str, Any], machines: int, as_json: bool, **common: Any
) -> None:
    from coresift.api.plan import plan_cluster
    from coresift.cli import console
    from coresift.clustering.request import Request

    for name in ("output", "overwrite", "resume", "keep_scratch"):
        del values[name]
    prefix = values.pop("prefix")
    request = Request.build(values.pop("k"), **values)
    found = plan_cluster(paths, request, prefix=prefix, machines=machines, **common)
    console.show_plan(found.to_json(), as_json=as_json)

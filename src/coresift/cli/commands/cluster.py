"""coresift cluster."""

from __future__ import annotations

from typing import Any

import click

from coresift.cli import options


@click.command("cluster")
@options.paths
@click.option("-k", type=click.IntRange(min=1), required=True, help="Clusters.")
@options.output_option("Directory to write.")
@click.option(
    "--method",
    type=click.Choice(["kmeans"]),
    default="kmeans",
    show_default=True,
    help="How to cluster.",
)
@click.option(
    "--iterations",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Most iterations of Lloyd's algorithm.",
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
    type=click.Choice(["k-means++", "k-means||", "random"]),
    default="k-means++",
    show_default=True,
    help="Where to start: k-means++ on a sample of rows, k-means|| in passes over all, or "
    "random rows.",
)
@click.option(
    "--seeding-rows",
    type=click.IntRange(min=1),
    help="Rows that k-means++ looks at.  [default: 5 for each cluster, at least 5,000]",
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
@options.columns_option
@options.prefix_option
@options.input_options
@options.run_options
@options.show_options
def command(paths: tuple[str, ...], as_json: bool, columns: str | None, **values: Any) -> None:
    """Cluster the rows by k-means.

    Writes centroids.parquet, assignments/, representatives.parquet (the rows nearest the
    centroids, with the columns of the input) and manifest.json.
    """
    from coresift.api.cluster import cluster
    from coresift.cli import console

    with options.watched(values) as progress:
        common = options.common(values, *options.INPUT, *options.RUN)
        result = cluster(
            paths, columns=options.split_columns(columns), **values, **common, **progress
        )
    facts = result.to_json()
    if as_json:
        console.show_json(facts)
        return
    names = ("rows", "dim", "k", "kernel", "iterations", "cost", "empty_clusters")
    shown = {name.replace("_", " "): facts[name] for name in names}
    console.show_facts({**shown, **console.measured(facts)}, result.notes)

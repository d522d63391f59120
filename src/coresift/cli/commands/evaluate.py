"""coresift evaluate."""

from __future__ import annotations

from typing import Any

import click

from coresift.cli import options
from coresift.cli.types import FOLDER, READ


@click.command("evaluate")
@click.argument("subset", type=READ)
@click.argument("more", nargs=-1, metavar="[PATH]...", type=READ)
@click.option(
    "--full",
    multiple=True,
    required=True,
    type=READ,
    metavar="PATH",
    help="The dump the subset was chosen from; further PATHs may follow.",
)
@click.option(
    "--clusters",
    type=FOLDER,
    metavar="DIR",
    help="Clustering whose centroids and clusters are used.  [default: the one the subset was "
    "chosen with, or a reference k-means]",
)
@options.label_option
@click.option(
    "--metrics",
    metavar="A,B",
    help="What to measure: names of metrics, `usual`, or `all` that what is given allows. Beside "
    "the usual ones there are p_precision, p_recall, knn_coverage, duplicates_equal, "
    "duplicates_near and, with --label, knn_accuracy.  "
    "[default: usual]",
)
@click.option(
    "--agree",
    metavar="COLUMN",
    help="Vectors of another model: adds how far both agree on the subset's rows (linear CKA, and "
    "the ten nearest rows).",
)
@options.near_option
@options.repeats_option("Uniform subsets to compare with.")
@options.sample_option
@click.option(
    "--coreset",
    is_flag=True,
    help="Look for the centers at which the weighted cost is farthest from that of all rows.",
)
@click.option(
    "--centers",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --coreset: sets of centers to look at for the subset, and for each uniform one: a "
    "quarter each are random rows, k-means++ on all rows, k-means++ on the weighted rows, and a "
    "local search from the worst.  [default: 64]",
)
@click.option(
    "-k",
    type=click.IntRange(min=1),
    metavar="K",
    help="With --coreset: centers of a set.  [default: those of the clustering]",
)
@click.option(
    "--objective",
    type=click.Choice(["kmeans", "kmedian"]),
    help="With --coreset: the cost.  [default: what the subset was selected for, or kmeans]",
)
@click.option(
    "--influence",
    is_flag=True,
    help="Do influence scores mean anything? Train a probe on --label again without rows, and "
    "compare the loss on --target with what the subset's column score says (lds, "
    "influence_effect), and with influence by each Hessian (lds_exact, ...). `select influence "
    "-n 100% --ids-only` gives all rows a score.",
)
@click.option(
    "--target",
    metavar="PATH",
    help="With --influence: the dump, with the same columns, whose mean loss is looked at.",
)
@click.option(
    "--l2",
    type=float,
    metavar="VALUE",
    help="With --influence: penalty of the probe.  [default: that of the selection, or 0.01]",
)
@click.option(
    "--subsets",
    type=click.IntRange(min=3),
    metavar="N",
    help="With --influence: random halves of the scored rows to train on.  [default: 100]",
)
@click.option(
    "--remove",
    type=click.IntRange(min=1),
    metavar="ROWS",
    help="With --influence: leave out so many rows of highest score (of lowest, where they were "
    "selected by harm).  [default: all of the subset; of more than half of all rows, the best "
    "tenth]",
)
@options.keep_scratch_option
@options.input_options
@options.run_options
@options.show_options
def command(
    subset: str, more: tuple[str, ...], full: tuple[str, ...], as_json: bool, **values: Any
) -> None:
    """How well a subset stands for the whole.

    Each metric is shown beside its mean and standard deviation over uniform subsets of the same
    size.
    """
    from coresift.api.evaluate import evaluate
    from coresift.cli import console

    with options.watched(values) as progress:
        common = options.common(values, *options.INPUT, *options.RUN)
        metrics = options.split_columns(values.pop("metrics"))
        result = evaluate(
            subset, full=[*full, *more], metrics=metrics, **values, **common, **progress
        )
    facts = result.to_json()
    if as_json:
        console.show_json(facts)
        return
    console.show_evaluation(facts)

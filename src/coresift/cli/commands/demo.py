"""coresift demo."""

from __future__ import annotations

import click


@click.command("demo")
@click.option(
    "-o",
    "--output",
    default="coresift-demo",
    show_default=True,
    metavar="DIR",
    help="Where to put the data and the results.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier demo.")
def command(output: str, overwrite: bool) -> None:
    """The main job on real bundled data.

    Writes scikit-learn's 1,797 scanned digits as a dump, then runs and prints the commands that
    inspect, cluster, select and evaluate it.
    """
    from coresift.api.demo import demo
    from coresift.cli import console
    from coresift.cli.main import run

    demo(output, overwrite=overwrite, run=run, say=console.show_text)

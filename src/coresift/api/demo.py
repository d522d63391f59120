"""The verb ``demo``: the main job on real data that a dependency bundles."""

from __future__ import annotations

import itertools
import os
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from coresift.core.errors import CoresiftError, OutputError

_FILES = 4


def demo(
    output: str | os.PathLike[str],
    *,
    overwrite: bool,
    run: Callable[[list[str]], int],
    say: Callable[[str], None],
) -> None:
    """Write the digits as a dump and run the commands on it.

    Parameters
    ----------
    output : path
        Folder for the data and the results.
    overwrite : bool
        Whether the folder may be there already.
    run : callable
        Runs a command line, without the program's name, and returns its exit code.
    say : callable
        Shows a line.

    Raises
    ------
    CoresiftError
        When the folder is there already, or a command fails.
    """
    folder = Path(output)
    if folder.exists() and not overwrite:
        raise OutputError(
            f"{folder}: exists already", hint="choose another -o, or give --overwrite"
        )
    dump = folder / "digits"
    say("# scikit-learn's 1,797 scanned digits, 8 x 8 pixels, as a dump of 4 Parquet files")
    write_digits(dump)
    again = ["--overwrite"] if overwrite else []
    clusters, subset = str(folder / "clusters"), str(folder / "subset")

    def step(why: str, *arguments: str) -> None:
        say(f"\n# {why}\n$ coresift {shlex.join(arguments)}")
        if run(list(arguments)) != 0:
            raise CoresiftError(f"the demo stopped at `coresift {arguments[0]}`")

    step("What is in it?", "inspect", str(dump))
    step(
        "Group the rows; representatives.parquet holds the row nearest each centroid.",
        "cluster", str(dump), "-k", "60", "-o", clusters, *again,
    )  # fmt: skip
    losses = str(folder / "losses.parquet")
    say(
        "\n# Ask a model for its loss on these 60 rows alone: a logistic regression that has seen"
        f"\n# a tenth of the labels. Its losses go to {losses}, one row per cluster."
    )
    write_losses(Path(clusters), dump, Path(losses))
    step(
        "Choose 10% of the rows: those the model is expected to lose on come more often.",
        "select", "sensitivity", str(dump), "--clusters", clusters, "--losses", losses,
        "-n", "10%", "-o", subset, *again,
    )  # fmt: skip
    step(
        "How well does the subset stand for the whole, beside uniform samples?",
        "evaluate", subset, "--full", str(dump), "--label", "label",
    )  # fmt: skip
    say(f"\n# The rows are in {subset}; put your own dump in the place of {dump}.")


def write_digits(folder: Path) -> None:
    """Write the digits: ``id`` text, ``label`` int64, ``embedding`` 64 float32 in [0, 1]."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    vectors = (digits.data / 16.0).astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    bounds = np.linspace(0, len(vectors), _FILES + 1).astype(int)
    for index, (start, stop) in enumerate(itertools.pairwise(bounds)):
        table = pa.table(
            {
                "id": [f"digit-{row:04d}" for row in range(start, stop)],
                "label": pa.array(digits.target[start:stop], pa.int64()),
                "embedding": pa.FixedSizeListArray.from_arrays(
                    pa.array(vectors[start:stop].reshape(-1)), vectors.shape[1]
                ),
            }
        )
        pq.write_table(table, folder / f"digits-{index}.parquet")


def write_losses(clusters: Path, dump: Path, path: Path) -> None:
    """Write the losses of a logistic regression on the representatives.

    The model is trained on every tenth row, as one would on the labels at hand.
    """
    from sklearn.linear_model import LogisticRegression

    rows = pq.read_table(dump)
    model = LogisticRegression(max_iter=1000)
    model.fit(_matrix(rows)[::10], rows.column("label").to_numpy()[::10])
    shown = pq.read_table(clusters / "representatives.parquet")
    probability = model.predict_proba(_matrix(shown))
    label = np.searchsorted(model.classes_, shown.column("label").to_numpy())
    loss = -np.log(probability[np.arange(len(label)), label])
    pq.write_table(pa.table({"cluster": shown.column("cluster"), "loss": loss}), path)


def _matrix(table: pa.Table) -> np.ndarray:
    embedding = table.column("embedding").combine_chunks()
    flat: np.ndarray = embedding.flatten().to_numpy()
    return flat.reshape(len(embedding), -1)

"""Mislabelled rows of Fashion-MNIST: influence beside the loss of the same probe.

A tenth of the labels is wrong. Rows are ranked by their loss, by what it would be had the probe
seen 1,000 clean test images too, had it not seen the row, and both, by the harm they do to the
images, and by their self-influence; the figure is the average precision of finding the wrong ones.
Then the linear datamodeling score of each Hessian, on digits.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score

from benchmarks import data
from benchmarks.harness import options, table
from coresift.api.evaluate import evaluate
from coresift.api.select import select
from coresift.core.memory import Budget
from coresift.core.progress import Silent
from coresift.engine.local import LocalEngine
from coresift.evaluation.base import Resources
from coresift.influence.examples import open_examples, read_examples
from coresift.influence.probe import Training, train
from coresift.influence.probe_curvature import KINDS, curvature
from coresift.influence.probe_scores import Factors, on_others, on_targets, own_loss, solved
from coresift.io.dump import InputOptions, open_dump
from coresift.io.labels import read_labels
from coresift.io.store import Scratch
from coresift.io.vectors import ingest

TARGET = 1_000
# rows, and the penalty: the last probe has more parameters than rows, and fits wrong labels too
CASES = ((60_000, 0.1), (60_000, 0.01), (6_000, 0.001))
QUICK = ((2_000, 0.1),)
# a Hessian as a matrix would be solved with for every row
_TOO_DEAR = ("exact", "fisher")


def flips(labels: NDArray[np.int64], how: str) -> NDArray[np.int64]:
    """Rows whose label will be wrong, and labels with those."""
    random = np.random.default_rng(0)
    count = len(labels) // 10
    if how == "two classes confused":
        # half of the T-shirts become shirts, half of the sneakers boots
        rows = random.permutation(np.flatnonzero((labels == 0) | (labels == 7)))[:count]
        wrong = np.where(labels[rows] == 0, 6, 9)
    else:
        rows = random.permutation(len(labels))[:count]
        step = 1 if how == "to the next class" else random.integers(1, 10, count)
        wrong = (labels[rows] + step) % 10
    found = labels.copy()
    found[rows] = wrong
    return found


def write(folder: Path, how: str, rows: int) -> tuple[Path, NDArray[np.bool_]]:
    """A dump with wrong labels, and which are wrong."""
    whole = pq.read_table(data.fashion()).slice(0, rows)
    labels = whole["label"].to_numpy()
    wrong = flips(labels, how)
    path = folder / f"{how}.parquet"
    place = whole.schema.get_field_index("label")
    pq.write_table(whole.set_column(place, "label", pa.array(wrong)), path)
    return path, wrong != labels


def clean(folder: Path) -> Path:
    """The first test images."""
    with gzip.open(data.FASHION / "t10k-images-idx3-ubyte.gz") as stream:
        pixels = np.frombuffer(stream.read(), np.uint8, offset=16).reshape(-1, 784)[:TARGET]
    with gzip.open(data.FASHION / "t10k-labels-idx1-ubyte.gz") as stream:
        labels = np.frombuffer(stream.read(), np.uint8, offset=8)[:TARGET]
    path = folder / "clean.parquet"
    data.write_part(path, pixels.astype(np.float32) / 255.0, labels.astype(np.int64), 0)
    return path


def one(dump: Path, wrong: NDArray[np.bool_], target: Path, l2: float) -> list[str]:
    """Average precisions by loss, by harm and by self-influence."""
    engine = LocalEngine()
    with Scratch() as scratch:
        lent = Resources(engine, Budget.default(), scratch, Silent())
        opened = open_dump([dump], InputOptions())
        points = ingest(opened, engine, lent.budget, scratch, Silent())
        labels = read_labels(opened, "label", None, engine, Silent())
        training = train(points, labels, lent.budget, 0, l2)
        examples = read_examples(
            open_examples(str(target), opened, "label"), "label", training, labels, lent
        )
        residuals = training.probe.residuals(examples.features, examples.codes)
        factors = Factors(training.probe, points, labels.codes)
        losses = training.probe.losses(training.features, training.codes)
        found = [f"{average_precision_score(wrong, losses):.4f}"]
        for kind in KINDS:
            made = curvature(kind, training, None, lent, systems=1)
            matrices = solved([(examples.features, residuals)], made, lent)
            harm = -on_targets(factors, matrices).read(0, len(wrong))[:, 0]
            found.append(f"{average_precision_score(wrong, harm):.3f}")
        for kind in KINDS:
            if kind in _TOO_DEAR:
                continue
            made = curvature(kind, training, None, lent)
            alone = -on_others(factors, made).read(0, len(wrong))[:, 0]
            found.append(f"{average_precision_score(wrong, alone):.3f}")
        made = curvature("kfac", training, None, lent)
        target_seen = [(examples.features, residuals)]
        trained = len(training.rows)
        for place, (seen, without) in enumerate(
            ((target_seen, False), ((), True), (target_seen, True)), start=1
        ):
            scores = own_loss(factors, made, trained, seen, without=without).read(0, len(wrong))
            found.insert(place, f"{average_precision_score(wrong, -scores[:, 0]):.4f}")
    engine.close()
    _tell(training)
    return found


def _tell(training: Training) -> None:
    for note in training.notes:
        print(note, flush=True)


def datamodels(work: Path, l2: float, splits: int) -> list[str]:
    """Mean and range of the linear datamodeling score of each Hessian over splits of digits."""
    loaded = load_digits()
    vectors, labels = (loaded.data / 16.0).astype(np.float32), loaded.target.astype(np.int64)
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for split in range(splits):
        order = np.random.default_rng(split).permutation(len(labels))
        pool, target = work / f"pool-{split}.parquet", work / f"target-{split}.parquet"
        for path, rows in ((pool, order[:1200]), (target, order[1200:])):
            data.write_part(path, vectors[rows], labels[rows], 0)
        chosen = work / f"chosen-{split}-{l2}.parquet"
        params: dict[str, object] = {"label": "label", "target": str(target), "l2": l2}
        select("influence", pool, size="100%", output=chosen, params=params, ids_only=True)
        told = evaluate(chosen, full=pool, label="label", influence=True, target=target, repeats=1)
        for kind, values in found.items():
            values.append(told.metrics[f"lds_{kind}"].value)
    return [
        f"{np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"
        for values in found.values()
    ]


def main() -> None:
    asked = options(__doc__, 6).parse_args()
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    target = clean(work)
    rows = []
    cases = QUICK if asked.quick else CASES
    for how in ("to any class", "to the next class", "two classes confused"):
        for count, l2 in cases:
            dump, wrong = write(work, how, count)
            rows.append([how, f"{count:,}", f"{l2:g}", *one(dump, wrong, target, l2)])
            print(rows[-1], flush=True)
    head = ["labels flipped", "rows", "l2", "loss"]
    head += [f"{how}, kfac" for how in ("target seen", "left out", "left out and target seen")]
    head += [f"harm, {kind}" for kind in KINDS]
    head += [f"self, {kind}" for kind in KINDS if kind not in _TOO_DEAR]
    table("Mislabelled rows", head, rows, keep=not asked.quick)
    splits = 1 if asked.quick else asked.repeats
    scores = [[f"{l2:g}", *datamodels(work, l2, splits)] for l2 in (0.003, 0.01, 0.03)]
    shutil.rmtree(work)
    table("Linear datamodeling score", ["l2", *KINDS], scores, keep=not asked.quick)


if __name__ == "__main__":
    main()

"""The bandit over clusters beside the exact best rows: what it keeps, and what it scores.

Fashion-MNIST, mirrored and shifted to 200,000 images of 32 principal components; the gradients of a
logistic probe that has seen 3,000 of them; the influence on the 10,000 test images. And planted
scores: each of 1,000 clusters has a mean, and its rows vary by half as much as the means do.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks import data
from benchmarks.harness import compare, coresift, measure, options, ratios, spread, table

Array = NDArray[np.float32]
COMPONENTS, CLASSES, KNOWN = 32, 10, 3000
# the setting that the others differ from by one option
USUAL = {"reward": "hits", "alpha": 0.3, "batch": 10, "diversity": 0.4, "most": "25%"}
OTHERS: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("most", ("10%", "15%", "40%", "100%")),
    ("alpha", (0, 0.1, 1, 3)),
    ("batch", (3, 30, 100)),
    ("diversity", (0, 0.25, 1)),
    ("reward", ("mean",)),
)
CURVE: list[dict[str, object]] = [{}, *({key: value} for key, many in OTHERS for value in many)]


def _images(kind: str) -> tuple[Array, NDArray[np.int64]]:
    with gzip.open(data.FASHION / f"{kind}-images-idx3-ubyte.gz") as stream:
        pixels = np.frombuffer(stream.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(data.FASHION / f"{kind}-labels-idx1-ubyte.gz") as stream:
        labels = np.frombuffer(stream.read(), np.uint8, offset=8)
    return pixels.astype(np.float32) / 255.0, labels.astype(np.int64)


def fashion(rows: int) -> tuple[Path, Path]:
    """A dump with ``gradient`` and the exact ``influence``, and the target's."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression

    pool, target = data.ROOT / f"influence-{rows}", data.ROOT / f"influence-target-{rows}"
    if pool.exists() and target.exists():
        return pool, target
    images, label = _images("train")
    views = [images, images[:, :, ::-1], np.roll(images, 1, axis=2), np.roll(images, 1, axis=1)]
    flat = np.concatenate([view.reshape(-1, 784) for view in views])[:rows]
    labels = np.tile(label, 4)[:rows]
    seen, truth = _images("t10k")
    axes = PCA(COMPONENTS, random_state=0).fit(flat[::10])
    x, checks = (axes.transform(part).astype(np.float32) for part in (flat, seen.reshape(-1, 784)))
    known = np.linspace(0, min(rows, len(images)) - 1, KNOWN).astype(np.int64)
    probe = LogisticRegression(max_iter=2000).fit(x[known], labels[known])

    def gradients(inputs: Array, classes: NDArray[np.int64]) -> Array:
        wrong = probe.predict_proba(inputs)
        wrong[np.arange(len(classes)), classes] -= 1.0
        found: Array = np.einsum("rc,rd->rcd", wrong.astype(np.float32), inputs)
        return found.reshape(len(inputs), -1)

    mine, theirs = gradients(x, labels), gradients(checks, truth)
    influence = mine.astype(np.float64) @ theirs.mean(axis=0, dtype=np.float64)
    _write(pool, {"embedding": x, "gradient": mine, "influence": influence})
    _write(target, {"embedding": checks, "gradient": theirs})
    return pool, target


def planted(rows: int, clusters: int = 1000) -> Path:
    """A dump whose clusters, of power-law sizes, have a score each, which their rows vary about."""
    pool = data.ROOT / f"planted-{rows}"
    if pool.exists():
        return pool
    random = np.random.default_rng(4)
    share = np.arange(1, clusters + 1) ** -0.5
    of = random.choice(clusters, rows, p=share / share.sum())
    x = (random.normal(size=(clusters, 16)) * 5.0)[of] + random.normal(size=(rows, 16))
    score = random.normal(size=clusters)[of] + 0.5 * random.normal(size=rows)
    _write(pool, {"embedding": x.astype(np.float32), "influence": score})
    return pool


def _write(folder: Path, columns: dict[str, NDArray[np.floating]]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
        if values.ndim == 2
        else pa.array(values)
        for name, values in columns.items()
    }
    whole = pa.table(made)
    for part, start in enumerate(range(0, len(whole), 50_000)):
        path = folder / f"emb-{part:02d}.parquet"
        pq.write_table(whole.slice(start, 50_000), path, row_group_size=4096)


@dataclass(frozen=True)
class Judged:
    """A dump with its clusters, and the exact best rows."""

    dump: Path
    clusters: Path
    score: NDArray[np.float64]
    cluster: NDArray[np.int32]
    n: int

    @classmethod
    def of(cls, dump: Path, k: int, work: Path) -> Judged:
        clusters = work / f"{dump.name}-{k}"
        measure(coresift("cluster", dump, "-k", k, "--embedding", "embedding", "-o", clusters))
        score = pq.read_table(dump, columns=["influence"])["influence"].to_numpy()
        cluster = pq.read_table(clusters / "assignments")["cluster"].to_numpy()
        return cls(dump, clusters, score, cluster, round(0.05 * len(score)))

    def kept(self, rows: NDArray[np.int64]) -> float:
        """Mean score of some rows, of that of the best."""
        return float(self.score[rows].mean() / np.sort(self.score)[-self.n :].mean())

    def entropy(self, rows: NDArray[np.int64]) -> float:
        """Entropy of their clusters."""
        share = np.unique(self.cluster[rows], return_counts=True)[1] / len(rows)
        return float(-(share * np.log(share)).sum())

    def line(self, name: str, rows: NDArray[np.int64], scored: float) -> list[str]:
        """A line of the table."""
        hit = len(np.unique(self.cluster[rows]))
        return [
            name,
            f"{scored:.0%}",
            f"{self.kept(rows):.3f}",
            f"{self.entropy(rows):.2f}",
            str(hit),
        ]

    def curve(self, work: Path, settings: list[dict[str, object]]) -> list[list[str]]:
        """A line for the exact best rows, and one for each setting."""
        best = np.argsort(-self.score)[: self.n]
        lines = [self.line("the best of all", best, 1.0)]
        for changed in settings:
            target = work / "chosen.parquet"
            target.unlink(missing_ok=True)
            flags = [f"--{key}={value}" for key, value in {**USUAL, **changed}.items()]
            command = ["select", "bandit", self.dump, "--clusters", self.clusters, "-n", "5%"]
            found = measure(
                coresift(*command, "--score", "influence", *flags, "--ids-only", "-o", target)
            )
            rows = pq.read_table(target)["row"].to_numpy()
            name = ", ".join(f"{key} {value}" for key, value in changed.items()) or "as it comes"
            share = found.facts["resolved"]["scored"] / len(self.score)
            lines.append(self.line(name, rows, share))
        return lines


def times(judged: Judged, target: Path, work: Path, repeats: int) -> list[str]:
    """Seconds of the bandit and of the exact influence, both from gradients."""
    common = ["--gradient", "gradient", "--target", target, "-n", "5%", "--ids-only", "--overwrite"]

    def bandit() -> list[str]:
        clusters = ["--clusters", judged.clusters]
        return coresift(
            "select", "bandit", judged.dump, *clusters, *common, "-o", work / "b.parquet"
        )

    def exact() -> list[str]:
        return coresift("select", "influence", judged.dump, *common, "-o", work / "e.parquet")

    found = compare({"bandit": bandit, "exact": exact}, repeats)
    mine, theirs = ([run.seconds for run in found[name]] for name in found)
    rows = pq.read_table(work / "b.parquet")["row"].to_numpy()
    scored = found["bandit"][0].facts["resolved"]["scored"] / len(judged.score)
    facts = f"{scored:.0%}", f"{judged.kept(rows):.3f}"
    return [judged.dump.name, *facts, spread(mine), spread(theirs), ratios(mine, theirs)]


def main() -> None:
    """Run it."""
    asked = options(__doc__, 3).parse_args()
    rows = 20_000 if asked.quick else 200_000
    keep = not asked.quick
    head = ["", "rows scored", "of the best mean", "entropy", "clusters"]
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        pool, target = fashion(rows)
        for k in (50,) if asked.quick else (200, 1000):
            judged = Judged.of(pool, k, work)
            settings = CURVE[:2] if asked.quick else CURVE
            table(f"Bandit, probe, k={k}", head, judged.curve(work, settings), keep=keep)
        line = times(judged, target, work, 1 if asked.quick else asked.repeats)
        names = ["", "rows scored", "of the best mean", "bandit s", "influence s", "ratio"]
        table("Bandit beside exact influence", names, [line], keep=keep)
        of_planted = Judged.of(planted(rows), 50 if asked.quick else 1000, work)
        some = [one for one in CURVE if not one or {"diversity", "reward", "alpha"} & one.keys()]
        some = CURVE[:1] if asked.quick else [*some, {"diversity": 2}]
        table("Bandit, planted", head, of_planted.curve(work, some), keep=keep)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()

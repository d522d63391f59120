"""coresift weights beside a script around pyarrow and scikit-learn, from the same subset."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import data
from benchmarks.harness import compare, coresift, measure, options, ratios, side, spread, table


def one(dump: Path, n: int, repeats: int) -> list[list[str]]:
    """Compare on one dump, with weights that were learned on ``n`` rows."""
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    subset, learned = work / "subset.parquet", work / "learned.parquet"
    measure(coresift("select", "random", dump, "-n", n, "--ids-only", "-o", subset))
    rows = pq.read_table(subset, columns=["row"])["row"]
    weight = np.random.default_rng(0).random(len(rows))
    pq.write_table(pa.table({"row": rows, "weight": weight}), learned)

    def ours(by: str) -> list[str]:
        (work / f"{by}.parquet").unlink(missing_ok=True)
        return coresift(
            *("weights", dump, "--subset", subset, "--weights", learned, "--by", by),
            *("-o", work / f"{by}.parquet"),
        )

    plain = side("nearest_weights", dump, learned, work / "plain.parquet")
    found = compare(
        {
            "nearest": lambda: ours("nearest"),
            "scikit-learn": lambda: plain,
            "kernel": lambda: ours("kernel"),
        },
        repeats,
    )
    seconds = {name: [run.seconds for run in runs] for name, runs in found.items()}
    peaks = {name: [run.peak / 1e6 for run in runs] for name, runs in found.items()}
    mine, theirs = (
        pq.read_table(work / f"{name}.parquet")["weight"].to_numpy()
        for name in ("nearest", "plain")
    )
    other = f"{np.count_nonzero(mine != theirs):,}"
    shutil.rmtree(work)
    return [
        [
            f"{dump.name}, n={n:,}, {name}",
            spread(seconds[name]),
            ratios(seconds[name], seconds["scikit-learn"]),
            spread(peaks[name], ".0f"),
            other if name == "nearest" else "",
        ]
        for name in found
    ]


def main() -> None:
    asked = options(__doc__, 5).parse_args()
    rows = one(data.little(), 100, 1) if asked.quick else one(data.mixture(), 2000, asked.repeats)
    head = ["side", "s", "share of scikit-learn's time", "peak MB", "other weights"]
    table("Weights carried to all rows", head, rows, keep=not asked.quick)


if __name__ == "__main__":
    main()

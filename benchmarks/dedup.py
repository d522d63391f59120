"""coresift select dedup beside a blocked NumPy product of all pairs, and beside semhash."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks import data
from benchmarks.harness import compare, coresift, measure, options, ratios, side, spread, table

THRESHOLD = 0.9
PROBE = 2


def main() -> None:
    asked = options(__doc__, 3).parse_args()
    dump = data.duplicates(20_000, name="duplicates-20000") if asked.quick else data.duplicates()
    repeats = 1 if asked.quick else asked.repeats
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    clusters = work / "clusters"
    measure(coresift("cluster", dump, "-k", 1000, "--metric", "cosine", "-o", clusters))
    ours = {
        "exact": [],
        "exact, clusters at hand": ["--clusters", clusters],
        f"--probe {PROBE}": ["--clusters", clusters, "--probe", PROBE],
        "--probe 0": ["--clusters", clusters, "--probe", 0],
    }

    def command(name: str) -> Callable[[], list[str]]:
        def run() -> list[str]:
            target = work / f"{name}.parquet"
            target.unlink(missing_ok=True)
            return coresift(
                *("select", "dedup", dump, "--threshold", THRESHOLD, *ours[name]),
                *("--ids-only", "-o", target),
            )

        return run

    sides = {name: command(name) for name in ours}
    for name in ("blocked_product", "semhash_dedup"):
        line = side(name, dump, THRESHOLD, work / f"{name}.npy")
        sides[name] = lambda line=line: line  # type: ignore[misc]
    found = compare(sides, repeats)
    exact = np.load(work / "blocked_product.npy")
    rows = []
    for name, runs in found.items():
        path = work / f"{name}.npy"
        dropped = np.load(path) if path.exists() else _dropped(work / f"{name}.parquet", dump)
        seconds = [run.seconds for run in runs]
        others = [[run.seconds for run in found[other]] for other in list(found)[-2:]]
        recall = len(np.intersect1d(dropped, exact)) / len(exact)
        extra = len(np.setdiff1d(dropped, exact))
        rows.append(
            [name, str(len(runs)), spread(seconds, ".1f")]
            + [ratios(seconds, other) for other in others]
            + [f"{recall:.4f}", f"{extra:,}"]
        )
    shutil.rmtree(work)
    head = ["", "runs", "s", "of NumPy's time", "of semhash's time", "recall", "wrongly dropped"]
    table(f"Duplicates at cosine {THRESHOLD}, {dump.name}", head, rows, keep=not asked.quick)


def _dropped(kept: Path, dump: Path) -> NDArray[np.int64]:
    rows = sum(pq.read_metadata(part).num_rows for part in dump.glob("*.parquet"))
    return np.setdiff1d(np.arange(rows), pq.read_table(kept, columns=["row"])["row"].to_numpy())


if __name__ == "__main__":
    main()

"""Time until coresift cluster is at the cost that faiss-cpu has after 10 iterations."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import data
from benchmarks.cluster import ITERATIONS, cost
from benchmarks.harness import Measured, coresift, measure, options, ratios, side, spread, table

SEEDING = {
    "k-means++": (),
    "greedy-k-means++, 20 rows for each center": ("--seeding", "greedy-k-means++"),
}
MOST = 20


def one(dump: Path, k: int, repeats: int) -> list[list[str]]:
    """Compare on one dump."""
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    script = side("faiss_kmeans", dump, k, ITERATIONS, work / "faiss")
    theirs = [measure(script) for _ in range(repeats)]
    wanted = cost(dump, np.load(work / "faiss.npy"))
    rows = []
    for name, given in SEEDING.items():
        rows_given = ("--seeding-rows", 20 * k) if given else ()

        def ours(iterations: int, given: tuple[object, ...] = (*given, *rows_given)) -> Measured:
            shutil.rmtree(work / "ours", ignore_errors=True)
            return measure(
                coresift(
                    *("cluster", dump, "-k", k, "--iterations", iterations, "--tol", 0),
                    *(*given, "-o", work / "ours"),
                )
            )

        needed = next((n for n in range(1, MOST) if ours(n).facts["cost"] <= wanted), MOST)
        mine = [ours(needed) for _ in range(repeats)]
        seconds, others = ([run.seconds for run in runs] for runs in (mine, theirs))
        rows.append(
            [
                f"{dump.name}, k={k:,}",
                name,
                str(repeats),
                str(needed),
                spread(seconds),
                spread(others),
                ratios(seconds, others),
                f"{mine[0].facts['cost'] / wanted:.4f}",
            ]
        )
    shutil.rmtree(work)
    return rows


def main() -> None:
    parser = options(__doc__, 1)
    parser.add_argument("-k", type=int, nargs="*", default=[1000, 4000])
    asked = parser.parse_args()
    dump, counts = (data.little(), [50]) if asked.quick else (data.mixture(), asked.k)
    rows = [row for k in counts for row in one(dump, k, asked.repeats)]
    head = ["data", "seeding", "runs", "iterations", "coresift s", "faiss-cpu s", "time ratio"]
    table("Time to faiss-cpu's cost", [*head, "cost ratio"], rows, keep=not asked.quick)


if __name__ == "__main__":
    main()

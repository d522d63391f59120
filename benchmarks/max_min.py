"""coresift select max-min: what is lost by picking from pools, beside picking from all rows."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks import data
from benchmarks.harness import coresift, measure, options, table

# the higher, the rarer is the component of the mixture that a row is from
UTILITY = "label / 200"


def one(dump: Path, n: int, pools: list[int], utility: bool) -> list[list[str]]:
    """A line for each size of pools, the first of them all rows."""
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    lines = []
    whole = 0.0
    for pool in pools:
        more = ["--utility", UTILITY] if utility else []
        target = work / f"{pool}.parquet"
        command = ("select", "max-min", dump, "-n", n, "--pool-size", pool, "--ids-only", *more)
        run = measure(coresift(*command, "-o", target))
        found = run.facts["resolved"]
        mean = found.get("utility", 0.0) / n
        worth = mean + found["distance"]
        whole = whole or worth
        lines.append(
            [
                f"{dump.name}, n={n:,}" + (f", utility {UTILITY}" if utility else ""),
                f"{pool:,}",
                f"{found.get('pools', 1)}",
                f"{run.seconds:.1f}",
                f"{run.peak / 1e6:,.0f}",
                f"{mean:.3f}" if utility else "",
                f"{found['distance']:.3f}",
                f"{worth / whole:.3f}",
            ]
        )
    shutil.rmtree(work)
    return lines


def main() -> None:
    asked = options(__doc__, 1).parse_args()
    dump = data.little() if asked.quick else data.mixture()
    n, pools = (100, [5_000, 500]) if asked.quick else (1000, [200_000, 50_000, 20_000, 5_000])
    rows = [line for utility in (False, True) for line in one(dump, n, pools, utility)]
    head = ["data", "--pool-size", "pools", "s", "peak MB", "mean utility", "least distance"]
    head.append("objective / that of one pool")
    table("Max-min from pools", head, rows, keep=not asked.quick)


if __name__ == "__main__":
    main()

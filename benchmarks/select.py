"""coresift select sensitivity, a clustering at hand, beside a bare pyarrow scan and write."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks import data
from benchmarks.harness import compare, coresift, measure, options, ratios, side, spread, table


def one(dump: Path, k: int, repeats: int) -> list[str]:
    """Compare on one dump, choosing 10% of the rows."""
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    clusters = work / "clusters"
    measure(coresift("cluster", dump, "-k", k, "--iterations", 3, "-o", clusters))

    def ours() -> list[str]:
        (work / "ours.parquet").unlink(missing_ok=True)
        return coresift(
            *("select", "sensitivity", dump, "--clusters", clusters, "-n", "10%"),
            *("-o", work / "ours.parquet"),
        )

    bare = side("scan_and_write", dump, work / "ours.parquet", work / "bare.parquet")
    found = compare({"coresift": ours, "pyarrow": lambda: bare}, repeats)
    mine, theirs = ([run.seconds for run in found[name]] for name in found)
    shutil.rmtree(work)
    return [dump.name, spread(mine), spread(theirs), ratios(mine, theirs)]


def main() -> None:
    asked = options(__doc__, 5).parse_args()
    if asked.quick:
        rows = [one(data.little(), 50, 1)]
    else:
        rows = [one(dump, 1000, asked.repeats) for dump in (data.fashion(), data.mixture())]
    head = ["data", "coresift s", "pyarrow s", "time ratio"]
    table("Select sensitivity, 10% of the rows", head, rows, keep=not asked.quick)


if __name__ == "__main__":
    main()

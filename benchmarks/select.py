"""coresift select, a clustering at hand, beside a bare pyarrow scan and write of the same rows."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks import data
from benchmarks.harness import compare, coresift, measure, options, ratios, side, spread, table

LEVELS = "1000,100,10"


def one(method: str, dump: Path, k: int | str, repeats: int) -> list[str]:
    """Compare on one dump, choosing 10% of the rows."""
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    clusters = work / "clusters"
    levels = ("--method", "hierarchical", "--resamples", 1) if "," in str(k) else ()
    measure(coresift("cluster", dump, "-k", k, "--iterations", 3, *levels, "-o", clusters))

    def ours() -> list[str]:
        (work / "ours.parquet").unlink(missing_ok=True)
        return coresift(
            *("select", method, dump, "--clusters", clusters, "-n", "10%"),
            *("-o", work / "ours.parquet"),
        )

    bare = side("scan_and_write", dump, work / "ours.parquet", work / "bare.parquet")
    found = compare({"coresift": ours, "pyarrow": lambda: bare}, repeats)
    mine, theirs = ([run.seconds for run in found[name]] for name in found)
    shutil.rmtree(work)
    return [f"{method}, {dump.name}", spread(mine), spread(theirs), ratios(mine, theirs)]


def main() -> None:
    asked = options(__doc__, 5).parse_args()
    if asked.quick:
        rows = [one("sensitivity", data.little(), 50, 1), one("balanced", data.little(), "50,5", 1)]
    else:
        large = data.mixture(1_000_000, 96, "mixture-1000000")
        rows = [
            *(
                one("sensitivity", dump, 1000, asked.repeats)
                for dump in (data.fashion(), data.mixture())
            ),
            one("balanced", large, LEVELS, asked.repeats),
        ]
    head = ["method, data", "coresift s", "pyarrow s", "time ratio"]
    table("Select 10% of the rows", head, rows, keep=not asked.quick)


if __name__ == "__main__":
    main()

"""coresift report on 200,000 rows, and on a million: time, peak memory and size of the page."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks import data
from benchmarks.harness import coresift, measure, options, spread, table


def one(dump: Path, k: int, share: str, repeats: int, memory: str) -> list[str]:
    """Report on a selection of a dump, repeatedly."""
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    clusters, subset, page = work / "clusters", work / "subset", work / "report.html"
    measure(coresift("cluster", dump, "-k", k, "-o", clusters))
    measure(coresift("select", "balanced", dump, "--clusters", clusters, "-n", share, "-o", subset))
    command = [
        *("report", subset, "-o", page, "--overwrite", "--label", "label", "--hover", "id"),
        *("--memory", memory),
    ]
    full = [measure(coresift(*command)) for _ in range(repeats)]
    bare = [measure(coresift(*command, "--no-metrics")) for _ in range(repeats)]
    size = page.stat().st_size
    facts = full[0].facts
    shutil.rmtree(work)
    return [
        dump.name,
        f"{facts['rows']:,}",
        share,
        spread([run.seconds for run in full], ".1f"),
        spread([run.seconds for run in bare], ".1f"),
        memory,
        f"{max(run.peak for run in [*full, *bare]) / 1e6:,.0f} MB",
        f"{size / 1e6:.1f} MB",
        f"{facts['points']:,}",
    ]


def main() -> None:
    asked = options(__doc__, 3).parse_args()
    if asked.quick:
        rows = [one(data.little(), 20, "10%", 1, "2GB")]
    else:
        million = data.mixture(1_000_000, 96, "mixture-1000000")
        rows = [
            one(data.mixture(), 1000, "10%", asked.repeats, "1GB"),
            one(million, 1000, "1%", asked.repeats, "1GB"),
        ]
    head = ["data", "rows", "selected", "seconds", "without metrics", "budget", "peak memory"]
    table("Report", [*head, "page", "points"], rows, keep=not asked.quick)


if __name__ == "__main__":
    main()

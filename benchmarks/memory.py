"""Peak memory and time on data 8 times as large as --memory, beside the in-memory run."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks import data
from benchmarks.harness import compare, coresift, options, ratios, spread, table

MEMORY = 512_000_000


def main() -> None:
    parser = options(__doc__, 2)
    parser.add_argument("--memory", type=int, default=MEMORY, help="bytes")
    asked = parser.parse_args()
    dim = 384
    rows = 20_000 if asked.quick else 8 * asked.memory // (4 * dim)
    dump = data.mixture(rows, dim, f"mixture-{rows}")
    work = Path(tempfile.mkdtemp(prefix="bench-"))

    def commands(name: str, *extra: object) -> dict[str, list[str]]:
        clusters = work / f"{name}-clusters"
        cluster = coresift(
            *("cluster", dump, "-k", 200, "--iterations", 5, "--tol", 0, "-o", clusters),
            *("--overwrite", *extra),
        )
        select = coresift(
            *("select", "sensitivity", dump, "--clusters", clusters, "-n", "5%"),
            *("-o", work / f"{name}-subset", "--overwrite", *extra),
        )
        return {"cluster": cluster, "select": select}

    small = commands("small", "--memory", asked.memory)
    large = commands("large")
    lines = []
    for verb in ("cluster", "select"):
        found = compare(
            {"small": lambda v=verb: small[v], "large": lambda v=verb: large[v]},  # type: ignore[misc]
            1 if asked.quick else asked.repeats,
        )
        peaks = [run.peak / asked.memory for run in found["small"]]
        times = [[run.seconds for run in found[name]] for name in ("small", "large")]
        lines.append(
            [
                verb,
                f"{rows:,} x {dim}",
                f"{asked.memory / 1e6:.0f} MB",
                spread(peaks),
                spread(times[0]),
                spread(times[1]),
                ratios(times[0], times[1]),
            ]
        )
    shutil.rmtree(work)
    head = ["verb", "data", "budget", "peak / budget", "s", "in memory s", "time ratio"]
    table("Data 8 times as large as the memory budget", head, lines, keep=not asked.quick)


if __name__ == "__main__":
    main()

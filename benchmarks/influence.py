"""coresift select influence with the Fisher, beside the two products it needs and reading.

And in little memory: these gradients, and some 8 times as large as --memory.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks import data
from benchmarks.harness import compare, coresift, measure, options, ratios, side, spread, table

MEMORY = 400_000_000
LITTLE = 512_000_000


def beyond(rows: int, dim: int, work: Path) -> list[str]:
    """Peak memory and time of gradients 8 times as large as the budget, and in memory."""
    pool = data.mixture(rows, dim, f"mixture-{rows}")
    target = data.mixture(1_000, dim, f"mixture-1000-{dim}")
    line = (
        *("select", "influence", pool, "--target", target, "--gradient", "embedding"),
        *("--hessian", "fisher", "-n", "5%", "--ids-only", "--overwrite"),
        *("-o", work / "beyond.parquet"),
    )
    small = measure(coresift(*line, "--memory", LITTLE))
    large = measure(coresift(*line))
    shape = f"{rows:,} x {dim}"
    times = [f"{small.seconds:.2f}", f"{large.seconds:.2f}", f"{small.seconds / large.seconds:.2f}"]
    return [shape, f"{LITTLE / 1e6:.0f} MB", f"{small.peak / LITTLE:.2f}", *times]


def main() -> None:
    asked = options(__doc__, 3).parse_args()
    quick = asked.quick
    rows, dim, targets, n = (5_000, 64, 50, 100) if quick else (200_000, 1_024, 1_000, 10_000)
    pool = data.mixture(rows, dim, f"mixture-{rows}-{dim}")
    target = data.mixture(targets, dim, f"mixture-{targets}-{dim}")
    work = Path(tempfile.mkdtemp(prefix="bench-"))

    def ours(aggregate: str, *more: object) -> list[str]:
        return coresift(
            *("select", "influence", pool, "--target", target, "--gradient", "embedding"),
            *("--hessian", "fisher", "--aggregate", aggregate, "-n", n, "--ids-only"),
            *("--overwrite", "-o", work / f"{aggregate}.parquet", *more),
        )

    found = compare(
        {
            "max": lambda: ours("max"),
            "mean": lambda: ours("mean"),
            "in turns": lambda: ours("round-robin"),
            "small": lambda: ours("max", "--memory", MEMORY),
            "bare": lambda: side("two_products", pool, target),
        },
        1 if quick else asked.repeats,
    )
    rows_of_8 = 20_000 if quick else 8 * LITTLE // (4 * 384)
    little = beyond(rows_of_8, 384, work)
    shutil.rmtree(work)
    bare = [run.facts["moment"] + run.facts["scores"] for run in found["bare"]]
    read = [run.facts["read"] for run in found["bare"]]
    whole = [run.processor for run in found["bare"]]
    lines = []
    for name in ("max", "mean", "in turns", "small"):
        spent = [run.facts["seconds"]["select"] for run in found[name]]
        besides = [a - b for a, b in zip(spent, read, strict=True)]
        lines.append(
            [
                f"{name}, --memory {MEMORY // 10**6}MB" if name == "small" else name,
                spread(spent),
                ratios(besides, bare),
                ratios([run.processor for run in found[name]], whole),
                spread([run.peak / 1e6 for run in found[name]], ".0f"),
            ]
        )
    lines.append(["bare products", spread(bare), "", "", ""])
    lines.append(["reading", spread(read), "", "", ""])
    head = ["targets", "s", "less reading / products", "processor s / bare process", "peak MB"]
    title = f"Influence of {rows:,} x {dim:,} gradients on {targets:,} targets with the Fisher"
    table(title, head, lines, keep=not quick)
    head = ["gradients", "budget", "peak / budget", "s", "in memory s", "time ratio"]
    table("Gradients 8 times as large as the budget", head, [little], keep=not quick)


if __name__ == "__main__":
    main()

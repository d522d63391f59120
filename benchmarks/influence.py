"""coresift select influence with the Fisher, beside the two products it needs and reading.

And in little memory: gradients several times as large as --memory.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks import data
from benchmarks.harness import compare, coresift, options, ratios, side, spread, table

MEMORY = 400_000_000


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


if __name__ == "__main__":
    main()

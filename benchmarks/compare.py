"""coresift compare: eight methods on Fashion-MNIST, three sizes and three seeds, one command."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import data
from benchmarks.harness import coresift, measure, options, table

METHODS = (
    *("random", "sensitivity", "balanced", "coreset", "k-center", "facility-location"),
    *("herding", "kernel-thinning"),
)
SIZES = (300, 1_000, 3_000)


def run(dump: Path, sizes: tuple[int, ...], k: int) -> tuple[dict[str, Any], float, int]:
    """Facts, wall seconds and peak memory of the command's own process."""
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    measure(coresift("cluster", dump, "-k", k, "-o", work / "clusters"))
    wanted = [text for size in sizes for text in ("-n", str(size))]
    found = measure(
        coresift(
            *("compare", dump, *wanted, "--methods", ",".join(METHODS), "--label", "label"),
            *("--clusters", work / "clusters", "-o", work / "compare"),
        )
    )
    shutil.rmtree(work)
    return found.facts, found.seconds, found.peak


def rows(facts: dict[str, Any], size: int) -> list[list[str]]:
    """A line for each metric."""
    lines = []
    for one in facts["standings"]:
        if one["size"] != size or one["metric"] == "probe_accuracy_full":
            continue
        megabytes = one["metric"] == "peak_rss_bytes"
        name = "peak MB" if megabytes else one["metric"]
        uniform = "" if one["random"] is None else _cell(one["random"], one["random_std"])
        cells = [
            _cell(mean / 1e6 if megabytes else mean, None if megabytes else one["std"][method])
            for method, mean in one["mean"].items()
        ]
        marked = [
            f"**{cell}**" if method == one["best"] else cell
            for cell, method in zip(cells, one["mean"], strict=True)
        ]
        lines.append([f"{name} ({one['better']})", uniform, *marked])
    return lines


def _cell(mean: float, std: float | None) -> str:
    return f"{mean:.3g}" + (f" ± {std:.1g}" if std else "")


def main() -> None:
    asked = options(__doc__, 1).parse_args()
    sizes = (20, 50, 100) if asked.quick else SIZES
    facts, seconds, peak = run(data.little() if asked.quick else data.fashion(), sizes, 100)
    for size in facts["sizes"]:
        title = f"Methods side by side on Fashion-MNIST, {size} rows"
        table(title, ["", "uniform", *METHODS], rows(facts, size), keep=not asked.quick)
    stages = ", ".join(f"{name} {value:.0f}" for name, value in facts["seconds"].items())
    print(f"One command: {seconds:.0f} s ({stages}); its own process took {peak / 1e6:.0f} MB.")


if __name__ == "__main__":
    main()

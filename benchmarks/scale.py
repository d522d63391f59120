"""Hierarchies, balanced sampling and deduplication of a dump 20 times the memory budget."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from benchmarks import data
from benchmarks.harness import coresift, measure, options, table

MEMORY = 1_000_000_000
TIMES = 20
DIM = 384


def main() -> None:
    parser = options(__doc__, 1)
    parser.add_argument("--memory", type=int, default=MEMORY, help="bytes")
    asked = parser.parse_args()
    memory = 300_000_000 if asked.quick else asked.memory
    rows = 20_000 if asked.quick else TIMES * memory // (4 * DIM)
    levels = "50,5" if asked.quick else "1000,100,10"
    dump = data.mixture(rows, DIM, f"mixture-{rows}")
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    levels_folder = work / "levels"
    commands = {
        f"cluster --method hierarchical -k {levels}": coresift(
            *("cluster", dump, "--method", "hierarchical", "-k", levels, "--iterations", 5),
            *("--train-rows", rows // 40, "--resamples", 1, "--memory", memory),
            *("-o", levels_folder),
        ),
        "select balanced -n 1%": coresift(
            *("select", "balanced", dump, "--clusters", levels_folder, "-n", "1%"),
            *("--memory", memory, "-o", work / "balanced"),
        ),
        "select dedup --threshold 0.9 --probe 0": coresift(
            *("select", "dedup", dump, "--clusters", levels_folder, "--threshold", 0.9),
            *("--probe", 0, "--memory", memory, "--ids-only", "-o", work / "distinct"),
        ),
    }
    lines = []
    for name, command in commands.items():
        run = measure(command)
        size = f"{rows:,} x {DIM}, {4 * rows * DIM / 1e9:.1f} GB"
        budget = f"{memory / 1e9:g} GB"
        lines.append([name, size, budget, f"{run.peak / memory:.2f}", f"{run.seconds:.0f}"])
        print("  " + " | ".join(lines[-1]), flush=True)
    shutil.rmtree(work)
    head = ["command", "data", "budget", "peak / budget", "s"]
    table(f"Data {TIMES} times as large as the memory budget", head, lines, keep=not asked.quick)


if __name__ == "__main__":
    main()

"""coresift select facility-location beside a plain lazy greedy, apricot and submodlib; and pools.

Both libraries run in an environment of their own, whose Python is given with --others:
python -m venv others && others/bin/pip install apricot-select submodlib-py pyarrow
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks import data
from benchmarks.harness import Measured, compare, coresift, measure, options, ratios, spread, table
from benchmarks.sides.loading import load

_STEP = 2048


def speed(
    dump: Path, n: int, libraries: dict[str, str], ours: dict[str, list[str]], repeats: int
) -> list[list[str]]:
    """Compare on one dump; ``libraries`` gives each side's Python."""
    work = Path(tempfile.mkdtemp(prefix="bench-"))

    def mine(name: str) -> Callable[[], list[str]]:
        def run() -> list[str]:
            target = work / f"{name}.parquet"
            target.unlink(missing_ok=True)
            return select(dump, n, target, ours[name])

        return run

    sides = {name: mine(name) for name in ours}
    for name, python in libraries.items():
        line = [python, "-m", "benchmarks.sides.facility", name, str(dump), str(n)]
        sides[name] = lambda line=[*line, str(work / f"{name}.npy")]: line  # type: ignore[misc]
    found = compare(sides, repeats)
    first = next(iter(ours))
    rows = []
    for name, runs in found.items():
        picks = (
            np.load(work / f"{name}.npy") if name in libraries else _rows(work / f"{name}.parquet")
        )
        rows.append(
            [dump.name, f"{n:,}", name, *_times(runs, found[first]), f"{value(dump, picks):,.1f}"]
        )
    shutil.rmtree(work)
    return rows


def pools(dump: Path, n: int, runs: dict[str, list[str]]) -> list[list[str]]:
    """What is lost by choosing from a part of the similarities, or pool by pool."""
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    rows, whole = [], 0.0
    for name, more in runs.items():
        target = work / "chosen.parquet"
        target.unlink(missing_ok=True)
        run = measure(select(dump, n, target, more))
        found = value(dump, _rows(target))
        whole = whole or found
        loss = f"{100.0 * (1.0 - found / whole):.2f}%"
        cells = [f"{run.seconds:.0f}", f"{run.peak / 1e9:.1f}", f"{found:,.1f}", loss]
        rows.append([dump.name, f"{n:,}", name, *cells])
    shutil.rmtree(work)
    return rows


def select(dump: Path, n: int, target: Path, more: list[str]) -> list[str]:
    """Command line of a run."""
    line = ("select", "facility-location", dump, "--metric", "cosine", "-n", n, "--ids-only")
    return coresift(*line, "-o", target, *more)


def value(dump: Path, picks: NDArray[np.int64]) -> float:
    """Sum over all rows of max(0, cosine) to the most similar one picked."""
    rows = load(str(dump))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    total = 0.0
    for start in range(0, len(rows), _STEP):
        best = (rows[start : start + _STEP] @ rows[picks].T).max(axis=1)
        total += float(np.maximum(best, 0.0).sum(dtype=np.float64))
    return total


def _rows(path: Path) -> NDArray[np.int64]:
    rows: NDArray[np.int64] = pq.read_table(path, columns=["row"])["row"].to_numpy()
    return rows


def _times(runs: list[Measured], ours: list[Measured]) -> list[str]:
    mine, first = [run.seconds for run in runs], [run.seconds for run in ours]
    return [spread(mine), ratios(mine, first), f"{max(run.peak for run in runs) / 1e9:.1f}"]


def main() -> None:
    parser = options(__doc__, 3)
    parser.add_argument("--others", help="Python of an environment with both libraries")
    asked = parser.parse_args()
    others = dict.fromkeys(("apricot", "submodlib"), asked.others) if asked.others else {}
    numpy = {"numpy": sys.executable}
    ours = {
        "lazy": [],
        "stochastic": ["--optimizer", "stochastic"],
        "threshold": ["--optimizer", "threshold"],
    }
    if asked.quick:
        rows = speed(data.little(), 50, {**numpy, **others}, ours, 1)
        composed = pools(data.little(), 50, {"all": [], "pools": ["--pool-size", "1000"]})
    else:
        small = data.mixture(10_000, name="mixture-10000")
        rows = speed(small, 500, {**numpy, **others}, ours, asked.repeats)
        # submodlib makes its matrix from Python lists, and would take all memory
        others.pop("submodlib", None)
        some = data.fashion(20_000)
        ours = {"lazy": ["--neighbors", "all"], "lazy, --neighbors 160": ["--neighbors", "160"]}
        rows += speed(some, 1000, {**numpy, **others}, ours, asked.repeats)
        large = data.mixture(50_000, name="mixture-50000")
        cluster = Path(tempfile.mkdtemp(prefix="bench-")) / "clusters"
        measure(coresift("cluster", large, "-k", 500, "--metric", "cosine", "-o", cluster))
        by_cluster = ["--partition", "cluster", "--clusters", str(cluster)]
        composed = pools(
            large,
            1000,
            {
                "one pool, all similarities": ["--neighbors", "all"],
                "one pool, the default (400 neighbours)": [],
                "4 pools of the dump": ["--pool-size", "12500"],
                "5 pools of the dump": ["--pool-size", "10000"],
                "5 pools of clusters": ["--pool-size", "10000", *by_cluster],
            },
        )
        shutil.rmtree(cluster.parent)
        every = {
            "one pool, all similarities": ["--pool-size", "200000", "--neighbors", "all"],
            "4 pools of the dump (default)": [],
        }
        composed += pools(data.mixture(200_000, 96, "mixture-200000-96"), 1000, every)
    head = ["data", "n", "", "s", "of ours, lazy", "peak GB", "value"]
    table("Facility location", head, rows, keep=not asked.quick)
    head = ["data", "n", "", "s", "peak GB", "value", "lost"]
    table("Facility location from pools", head, composed, keep=not asked.quick)


if __name__ == "__main__":
    main()

"""coresift select k-center beside the plain NumPy greedy, from the same first row."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks import data
from benchmarks.harness import compare, coresift, measure, options, ratios, side, spread, table
from benchmarks.sides.loading import load


def one(dump: Path, n: int, repeats: int) -> list[str]:
    """Compare on one dump."""
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    target = work / "ours.parquet"

    def ours() -> list[str]:
        target.unlink(missing_ok=True)
        return coresift("select", "k-center", dump, "-n", n, "--ids-only", "-o", target)

    measure(ours())
    first = int(_picks(target)[0])
    plain = side("plain_greedy", dump, n, first, work / "plain.npy")
    found = compare({"coresift": ours, "numpy": lambda: plain}, repeats)
    mine, theirs = ([run.seconds for run in found[name]] for name in found)
    picks = _picks(target), np.load(work / "plain.npy")
    shutil.rmtree(work)
    same = int(np.argmin(np.append(picks[0] == picks[1], False)))
    farther = "" if same == n else _farther(dump, picks[0][:same], picks[0][same], picks[1][same])
    times = spread(mine), spread(theirs), ratios(mine, theirs)
    return [dump.name, f"{n:,}", *times, f"{same:,}", farther]


def _farther(dump: Path, before: NDArray[np.int64], ours: int, theirs: int) -> str:
    """Whose row is farther from those before, in float64."""
    rows = load(str(dump)).astype(np.float64)
    far = [np.square(rows[before] - rows[row]).sum(axis=1).min() for row in (ours, theirs)]
    whose = "coresift" if far[0] >= far[1] else "NumPy"
    return f"{whose}, by {abs(far[0] / far[1] - 1.0):.0e} of the square"


def _picks(path: Path) -> NDArray[np.int64]:
    """Rows in the order they were chosen."""
    chosen = pq.read_table(path, columns=["row", "rank"])
    rows: NDArray[np.int64] = chosen["row"].to_numpy()[np.argsort(chosen["rank"].to_numpy())]
    return rows


def main() -> None:
    asked = options(__doc__, 3).parse_args()
    if asked.quick:
        rows = [one(data.little(), 50, 1)]
    else:
        rows = [one(dump, 1000, asked.repeats) for dump in (data.mixture(), data.fashion())]
    head = ["data", "n", "coresift s", "NumPy s", "time ratio", "same picks from the first"]
    head.append("then farther in float64")
    table("Greedy k-center", head, rows, keep=not asked.quick)


if __name__ == "__main__":
    main()

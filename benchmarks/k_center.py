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
    same = int(np.argmin(np.append(_picks(target) == np.load(work / "plain.npy"), False)))
    shutil.rmtree(work)
    return [dump.name, f"{n:,}", spread(mine), spread(theirs), ratios(mine, theirs), f"{same:,}"]


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
    table("Greedy k-center", head, rows, keep=not asked.quick)


if __name__ == "__main__":
    main()

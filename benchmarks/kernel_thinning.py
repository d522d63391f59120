"""coresift select kernel-thinning and herding beside goodpoints, and uniform rows.

The distance is the exact MMD between the chosen rows, equal in weight, and all, by the Gaussian
kernel with the median heuristic that both sides are given.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import coresift as library
from benchmarks import data
from benchmarks.harness import Measured, claim, coresift, measure, options, side, spread, table
from benchmarks.sides.loading import load

_TILE = 1024
_UNIFORM = 20
_HERDED = 20_000


class Judge:
    """The exact distance of some rows of a dump from all."""

    def __init__(self, rows: NDArray[np.float32], scale: float) -> None:
        self._rows = rows.astype(np.float64)
        self._squares = np.square(self._rows).sum(axis=1)
        self._factor = -0.5 / scale**2
        every = np.arange(len(rows))
        starts = range(0, len(rows), _TILE)
        means = [self._kernel(every[i : i + _TILE], every).mean(axis=1) for i in starts]
        self._mean = np.concatenate(means)

    def _kernel(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.float64]:
        squared = -2.0 * (self._rows[left] @ self._rows[right].T)
        squared += self._squares[left][:, None] + self._squares[right]
        kernel: NDArray[np.float64] = np.exp(self._factor * squared)
        return kernel

    def mmd(self, chosen: NDArray[np.int64]) -> float:
        square = self._kernel(chosen, chosen).mean() - 2.0 * self._mean[chosen].mean()
        return float(np.sqrt(max(0.0, square + self._mean.mean())))

    def uniform(self, n: int) -> list[float]:
        random = np.random.default_rng(0)
        draws = (random.choice(len(self._rows), n, replace=False) for _ in range(_UNIFORM))
        return [self.mmd(rows) for rows in draws]


def _chosen(path: Path) -> NDArray[np.int64]:
    if path.suffix == ".npy":
        rows: NDArray[np.int64] = np.load(path)
    else:
        rows = pq.read_table(path, columns=["row"])["row"].to_numpy()
    return rows


def beside(dump: Path, n: int, seeds: int, slow: int) -> list[list[str]]:
    """MMD and seconds of whole processes: over so many seeds, of slow sides over fewer."""
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    ours, theirs = work / "ours.parquet", work / "theirs.npy"

    def mine(method: str, *more: object) -> Callable[[int], tuple[list[str], Path]]:
        def command(seed: int) -> tuple[list[str], Path]:
            ours.unlink(missing_ok=True)
            line = coresift("select", method, dump, "-n", n, "--bandwidth", scale, *more)
            return [*line, "--seed", str(seed), "--ids-only", "-o", str(ours)], ours

        return command

    def other(how: object) -> Callable[[int], tuple[list[str], Path]]:
        return lambda seed: (side("goodpoints_thinning", dump, how, scale, seed, theirs), theirs)

    rows = load(str(dump))
    scale = _median(rows)
    judge = Judge(rows, scale)
    sides = {
        "goodpoints, g=0": (other(0), seeds),
        "goodpoints, g=1": (other(1), seeds),
        "coresift `--compress 1`": (mine("kernel-thinning", "--compress", 1), seeds),
        "goodpoints, g=3": (other(3), slow),
        "coresift": (mine("kernel-thinning"), seeds),
        "coresift `--variant plus`": (mine("kernel-thinning", "--variant", "plus"), slow),
        "goodpoints, g=4": (other(4), slow),
        # a product of all rows with one at a time: half an hour for the larger dump
        "goodpoints herding": (other("herding"), 1 if len(rows) <= _HERDED else 0),
        "coresift herding": (mine("herding", "--pool-size", len(rows)), 1),
    }
    found: dict[str, list[tuple[float, Measured]]] = {name: [] for name in sides}
    for seed in range(seeds):
        for name, (command, times) in sides.items():
            if seed < times:
                line, target = command(seed)
                claim(max((run.peak for _, run in found[name]), default=0))
                run = measure(line)
                found[name].append((judge.mmd(_chosen(target)), run))
                print(f"  {name}: {run.seconds:.2f} s, {found[name][-1][0]:.4f}", flush=True)
    shutil.rmtree(work)
    uniform = judge.uniform(n)
    base = statistics.mean(uniform)
    size = f"{len(rows):,} to {n:,}"
    lines = [[size, "uniform", f"{len(uniform)}", spread(uniform, ".4f"), "1.00", ""]]
    for name, runs in found.items():
        if not runs:
            continue
        values = [value for value, _ in runs]
        seconds = spread([run.seconds for _, run in runs])
        part = f"{statistics.mean(values) / base:.2f}"
        lines.append([size, name, f"{len(runs)}", spread(values, ".4f"), part, seconds])
    return lines


def _median(rows: NDArray[np.float32]) -> float:
    from scipy.spatial.distance import pdist

    some = np.random.default_rng(0).choice(len(rows), min(1000, len(rows)), replace=False)
    return float(np.median(pdist(rows[some].astype(np.float64))))


def rate(dim: int, sizes: list[int], seeds: int) -> list[str]:
    """Slopes of log MMD over log n, where n^2 normal points become n."""
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    scale = float(np.sqrt(2.0 * dim))
    ways: dict[str, tuple[str, dict[str, Any]]] = {
        "target": ("kernel-thinning", {}),
        "power": ("kernel-thinning", {"variant": "power"}),
        "plus": ("kernel-thinning", {"variant": "plus"}),
        "target, --no-swap": ("kernel-thinning", {"no_swap": True}),
        "plus, --no-swap": ("kernel-thinning", {"variant": "plus", "no_swap": True}),
        "herding": ("herding", {}),
    }
    logs: dict[str, list[float]] = {name: [] for name in (*ways, "uniform")}
    for n in sizes:
        values: dict[str, list[float]] = {name: [] for name in logs}
        for seed in range(seeds):
            random = np.random.default_rng([seed, n, dim])
            rows = random.normal(size=(n * n, dim)).astype(np.float32)
            column = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), dim)
            pq.write_table(pa.table({"embedding": column}), work / "points.parquet")
            judge = Judge(rows, scale)
            for name, (method, more) in ways.items():
                done = library.select(
                    method,
                    str(work / "points.parquet"),
                    size=n,
                    output=work / "chosen.parquet",
                    seed=seed,
                    overwrite=True,
                    params={"bandwidth": scale, "pool_size": n * n, **more},
                )
                # the slopes are only about this kernel and this variant
                assert done.params["bandwidth"] == scale
                assert all(done.params[key] == value for key, value in more.items())
                values[name].append(judge.mmd(_chosen(work / "chosen.parquet")))
            values["uniform"].append(statistics.mean(judge.uniform(n)))
        for name, some in values.items():
            logs[name].append(float(np.mean(np.log(some))))
            print(f"  d={dim} n={n} {name}: {np.exp(logs[name][-1]):.4f}", flush=True)
    shutil.rmtree(work)
    slopes = [np.polyfit(np.log(sizes), values, 1)[0] for values in logs.values()]
    last = [np.exp(values[-1] - logs["uniform"][-1]) for values in logs.values()]
    cells = [f"{slope:.2f} ({share:.2f})" for slope, share in zip(slopes, last, strict=True)]
    return [f"{dim}", *cells]


def composed(dump: Path, n: int, pools: list[int]) -> list[list[str]]:
    """What choosing pool by pool loses."""
    work = Path(tempfile.mkdtemp(prefix="bench-"))
    rows = load(str(dump))
    scale = _median(rows)
    judge = Judge(rows, scale)
    base = statistics.mean(judge.uniform(n))
    lines = []
    for pool in (len(rows), *pools):
        cells = [f"{pool:,}"]
        for method in ("kernel-thinning", "herding"):
            target = work / f"{method}-{pool}.parquet"
            line = coresift("select", method, dump, "-n", n, "--bandwidth", scale)
            run = measure([*line, "--pool-size", str(pool), "--ids-only", "-o", str(target)])
            value = judge.mmd(_chosen(target))
            cells += [f"{value:.4f}", f"{value / base:.2f}", f"{run.seconds:.1f}"]
        print("  " + ", ".join(cells), flush=True)
        lines.append(cells)
    shutil.rmtree(work)
    return lines


def main() -> None:
    parser = options(__doc__, 10)
    parts = ("beside", "rate", "pools")
    parser.add_argument("--only", choices=parts, help="one of the tables")
    asked = parser.parse_args()
    wanted = parts if asked.only is None else (asked.only,)
    keep = not asked.quick
    little = data.mixture(1024, 16, "mixture-1024") if asked.quick else None
    if "beside" in wanted:
        head = ["rows", "method", "seeds", "MMD", "of uniform's", "seconds"]
        if little is not None:
            lines = beside(little, 32, 1, 1)
        else:
            lines = beside(data.mixture(16_384, 384, "mixture-16384"), 128, asked.repeats, 10)
            lines += beside(data.mixture(65_536, 384, "mixture-65536"), 256, asked.repeats, 1)
        table("Kernel thinning", head, lines, keep=keep)
    if "rate" in wanted:
        sizes, seeds = ([4, 8, 16], 1) if asked.quick else ([8, 16, 32, 64, 128], 5)
        unswapped = ["target, `--no-swap`", "plus, `--no-swap`"]
        head = ["dimensions", "target", "power", "plus", *unswapped, "herding", "uniform"]
        slopes = [rate(dim, sizes, seeds) for dim in (2, 10)]
        table("Rate of kernel thinning", head, slopes, keep=keep)
    if "pools" in wanted:
        if little is not None:
            lines = composed(little, 32, [256])
        else:
            dump = data.mixture(65_536, 384, "mixture-65536")
            lines = composed(dump, 256, [16_384, 4_096, 1_024])
        columns = ["MMD", "of uniform's", "s"]
        thinning, herding = ([f"{name} {c}" for c in columns] for name in ("thinning", "herding"))
        table("Kernel thinning by pools", ["--pool-size", *thinning, *herding], lines, keep=keep)


if __name__ == "__main__":
    main()

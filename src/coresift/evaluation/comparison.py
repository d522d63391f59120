"""What a comparison of methods found: runs, their metrics, and what stands out."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from coresift.evaluation.base import Metric
from coresift.evaluation.margin import FACTOR, best

TABLE = "compare.parquet"
SCHEMA = pa.schema(
    [
        ("method", pa.string()),
        ("size", pa.int64()),
        ("seed", pa.int64()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("random", pa.float64()),
        ("random_std", pa.float64()),
        ("better", pa.string()),
        ("seconds", pa.float64()),
        ("peak_rss_bytes", pa.int64()),
    ]
)


@dataclass(frozen=True)
class MethodRun:
    """One method at one size from one seed.

    Attributes
    ----------
    method : str
        The method.
    size : int
        Rows asked for.
    seed : int
        The seed.
    rows : int
        Rows chosen.
    seconds : float
        Of the selection, without reading and decoding the vectors.
    peak_rss_bytes : int
        Largest memory of its process.
    metrics : dict of str to Metric
        By name, each beside its mean over uniform subsets of the size.
    """

    method: str
    size: int
    seed: int
    rows: int
    seconds: float
    peak_rss_bytes: int
    metrics: dict[str, Metric]


@dataclass(frozen=True)
class Standing:
    """A metric, or a cost, of all methods at one size.

    Attributes
    ----------
    size : int
        Rows asked for.
    metric : str
        Its name; ``seconds`` and ``peak_rss_bytes`` too.
    better : {"higher", "lower"}
        What is better.
    mean : dict of str to float
        Of each method, over its seeds.
    std : dict of str to float or None
        Sample standard deviation over seeds; 0 of a method that does not depend on the seed, None
        where it is not known.
    random, random_std : float or None
        Of uniform subsets; None for costs.
    best : str or None
        The method that is better than each other by more than the spread, see
        :func:`coresift.evaluation.margin.best`; None where none stands out, and for costs.
    """

    size: int
    metric: str
    better: str
    mean: dict[str, float]
    std: dict[str, float | None]
    random: float | None = None
    random_std: float | None = None
    best: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Several methods at the same sizes.

    Attributes
    ----------
    rows_full : int
        Rows there were to choose from.
    methods : tuple of str
        In the order they were given.
    sizes : tuple of int
        Rows asked for.
    seeds : tuple of int
        Seeds; a method that does not depend on them ran from the first.
    repeats : int
        Uniform subsets of each size.
    runs : tuple of MethodRun
        By size, method and seed.
    standings : tuple of Standing
        By size, in the order of the metrics.
    margin : float
        How much larger than the pooled standard deviation a margin is that counts.
    label, clusters : str or None
        Column of classes, and the clustering used.
    notes : tuple of str
        What was sampled, skipped or replaced.
    seconds : dict of str to float
        By stage, and in ``total``.
    peak_rss_bytes : int
        Largest memory of this process; those of the selections are apart.
    output : str or None
        Where the result is.
    """

    rows_full: int
    methods: tuple[str, ...]
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    repeats: int
    runs: tuple[MethodRun, ...]
    standings: tuple[Standing, ...]
    margin: float
    label: str | None
    clusters: str | None
    notes: tuple[str, ...]
    seconds: dict[str, float]
    peak_rss_bytes: int
    output: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON holds them."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


def standings(runs: Sequence[MethodRun], fixed: frozenset[str]) -> tuple[Standing, ...]:
    """Put the methods side by side; those of ``fixed`` do not depend on the seed."""
    found = []
    for size in dict.fromkeys(run.size for run in runs):
        some = [run for run in runs if run.size == size]
        for name, metric in some[0].metrics.items():
            values = _by_method([(run.method, run.metrics[name].value) for run in some])
            found.append(
                Standing(
                    size,
                    name,
                    metric.better,
                    *_spread(values, fixed),
                    random=metric.random,
                    random_std=metric.random_std,
                    best=best(values, metric.better, FACTOR, fixed),
                )
            )
        for name in ("seconds", "peak_rss_bytes"):
            # what a run costs varies for any method
            costs = _by_method([(run.method, float(getattr(run, name))) for run in some])
            found.append(Standing(size, name, "lower", *_spread(costs, frozenset())))
    return tuple(found)


def _by_method(pairs: Sequence[tuple[str, float]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for method, value in pairs:
        found.setdefault(method, []).append(value)
    return found


def _spread(
    values: dict[str, list[float]], fixed: frozenset[str]
) -> tuple[dict[str, float], dict[str, float | None]]:
    """Mean and standard deviation of each method."""
    mean = {method: statistics.mean(some) for method, some in values.items()}
    std: dict[str, float | None] = {}
    for method, some in values.items():
        known = 0.0 if method in fixed else None
        std[method] = statistics.stdev(some) if len(some) > 1 else known
    return mean, std


def table_of(runs: Sequence[MethodRun]) -> pa.Table:
    """One row for each run and metric, see :data:`SCHEMA`."""
    rows = [
        {
            "method": run.method,
            "size": run.size,
            "seed": run.seed,
            "metric": name,
            "seconds": run.seconds,
            "peak_rss_bytes": run.peak_rss_bytes,
            **asdict(metric),
        }
        for run in runs
        for name, metric in run.metrics.items()
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def runs_of(table: pa.Table) -> tuple[MethodRun, ...]:
    """Read what :func:`table_of` made; it does not tell rows chosen, so that they are the size.

    Raises
    ------
    ValueError
        When it is not such a table.
    """
    if not table.schema.equals(SCHEMA) or not table.num_rows:
        raise ValueError("not the columns of a comparison, or no rows")
    found: dict[tuple[str, int, int], MethodRun] = {}
    for row in table.to_pylist():
        key = row["method"], row["size"], row["seed"]
        if key not in found:
            found[key] = MethodRun(*key, row["size"], row["seconds"], row["peak_rss_bytes"], {})
        metric = Metric(row["value"], row["random"], row["random_std"], row["better"])
        found[key].metrics[row["metric"]] = metric
    runs = tuple(found.values())
    if any(run.metrics.keys() != runs[0].metrics.keys() for run in runs):
        raise ValueError("runs with other metrics than the first")
    methods = [{run.method for run in runs if run.size == size} for size in {r.size for r in runs}]
    if any(some != methods[0] for some in methods):
        raise ValueError("sizes with other methods than the first")
    return runs

"""What ``cluster`` is asked for: a method and its options, checked together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self, Unpack

from coresift.clustering.bisecting import fit_bisecting
from coresift.clustering.hierarchical import HierarchyParams, Level, fit_levels
from coresift.clustering.kmeans import FitOptions, KMeans, KMeansParams, fit
from coresift.clustering.minibatch import fit_minibatch
from coresift.clustering.points import Points
from coresift.core.errors import ParameterError

METHODS = ("kmeans", "hierarchical", "bisecting", "minibatch")
_ITERATIONS = {"minibatch": 1}


@dataclass(frozen=True)
class Request:
    """A clustering that is asked for.

    Attributes
    ----------
    method : str
        One of :data:`METHODS`.
    params : KMeansParams
        Of the rows' own level.
    hierarchy : HierarchyParams or None
        The levels; None for all methods but ``hierarchical``.
    minibatch_rows : int or None
        As given to ``minibatch``.
    """

    method: str
    params: KMeansParams
    hierarchy: HierarchyParams | None = None
    minibatch_rows: int | None = None

    @classmethod
    def build(
        cls,
        k: int | Sequence[int],
        *,
        method: str = "kmeans",
        iterations: int | None = None,
        tol: float = 1e-4,
        seeding: str | None = None,
        seeding_rows: int | None = None,
        train_rows: int | str | None = None,
        kernel: str = "auto",
        minibatch_rows: int | None = None,
        **levels: int | str | None,
    ) -> Self:
        """Check options; ``levels`` are those of :class:`HierarchyParams` that were given.

        Raises
        ------
        ParameterError
            Naming the option that is out of bounds, or that belongs to another method.
        """
        if method not in METHODS:
            raise ParameterError(f"--method {method!r} is not one of {', '.join(METHODS)}")
        given = {name: value for name, value in levels.items() if value is not None}
        hierarchy = _hierarchy(k, method, given)
        if minibatch_rows is not None and method != "minibatch":
            raise ParameterError(
                "--minibatch-rows is an option of --method minibatch", hint="leave it out"
            )
        params = KMeansParams(
            k if isinstance(k, int) else k[0],
            _ITERATIONS.get(method, 20) if iterations is None else iterations,
            tol,
            seeding,
            seeding_rows,
            _train_rows(train_rows),
            kernel,
        )
        params.check()
        return cls(method, params, hierarchy, minibatch_rows)

    def require_rows(self, rows: int) -> None:
        """Refuse more clusters than rows.

        Raises
        ------
        ParameterError
            Naming both.
        """
        if self.params.k > rows:
            raise ParameterError(
                f"-k {self.params.k:,} is more than the {rows:,} rows",
                hint=f"ask for at most {rows:,} clusters",
            )

    def told(self) -> dict[str, Any]:
        """All of it, by the names of the options."""
        params = self.params
        told: dict[str, Any] = {**asdict(params), "train_rows": params.train_rows or "all"}
        if self.minibatch_rows is not None:
            told["minibatch_rows"] = self.minibatch_rows
        if self.hierarchy is not None:
            told.update(asdict(self.hierarchy), k=list(self.hierarchy.levels))
            del told["levels"]
        return told

    def fit(self, points: Points, **run: Unpack[FitOptions]) -> tuple[KMeans, tuple[Level, ...]]:
        """Train; the second are the levels above the rows' own."""
        if self.hierarchy is not None:
            return fit_levels(points, self.params, self.hierarchy, **run)
        if self.method == "bisecting":
            return fit_bisecting(points, self.params, **run), ()
        if self.method == "minibatch":
            return fit_minibatch(points, self.params, self.minibatch_rows, **run), ()
        return fit(points, self.params, **run), ()


def _hierarchy(
    k: int | Sequence[int], method: str, given: dict[str, Any]
) -> HierarchyParams | None:
    counts = (k,) if isinstance(k, int) else tuple(k)
    if method == "hierarchical":
        hierarchy = HierarchyParams(counts, **given)
        hierarchy.check()
        return hierarchy
    if len(counts) > 1:
        raise ParameterError(
            f"-k {','.join(str(count) for count in counts)} is several levels, and --method "
            f"{method} has one",
            hint="add --method hierarchical",
        )
    for name in given:
        raise ParameterError(
            f"--{name.replace('_', '-')} is an option of --method hierarchical",
            hint="add --method hierarchical, or leave it out",
        )
    return None


def _train_rows(value: int | str | None) -> int | None:
    if value is None or value == "all":
        return None
    try:
        return int(value)
    except ValueError:
        raise ParameterError(
            f"--train-rows {value!r} is neither a count nor 'all'",
            hint="write --train-rows 1000000 or --train-rows all",
        ) from None

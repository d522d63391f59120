"""k-means over a dump: seeding, iterations, and the kernel that runs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.chains import seed_by_chains
from coresift.clustering.kernels import choose_kernel, make_kernel
from coresift.clustering.lloyd import Lloyd
from coresift.clustering.points import Points, Sample, require_squarable, sample_rows
from coresift.clustering.projection import Projection
from coresift.clustering.rejection import seed_by_rejection
from coresift.clustering.rounds import seed_by_rounds
from coresift.clustering.seeding import (
    LARGE_K,
    SEEDINGS,
    default_seeding_rows,
    seed_at_random,
    seed_by_sample,
)
from coresift.core.errors import ParameterError
from coresift.core.memory import Budget
from coresift.core.progress import Progress
from coresift.engine.base import Engine
from coresift.io.store import RowStore, Scratch

_PROJECTION_ROWS = 2048


@dataclass(frozen=True)
class KMeansParams:
    """What k-means is told; each attribute is the option of the same name.

    Attributes
    ----------
    k : int
        Clusters.
    iterations : int
        Most iterations of Lloyd's algorithm.
    tol : float
        Stop when an iteration lowers the cost by less than this share of it.
    seeding : str or None
        ``k-means++`` or ``greedy-k-means++`` (on a sample of rows), ``rs-k-means++``,
        ``afk-mc2``, ``k-means||`` or ``random``; None is k-means++, and from 5,000 clusters on
        rs-k-means++, which needs no sample, unless ``seeding_rows`` says how large one is.
    seeding_rows : int or None
        Rows that the first two look at; by default 5 for each cluster, at least 5,000.
    train_rows : int or None
        Train on this many rows, drawn uniformly; None trains on all.
    kernel : str
        ``auto``, ``blas``, ``superkmeans`` or ``faiss``.
    """

    k: int
    iterations: int = 20
    tol: float = 1e-4
    seeding: str | None = None
    seeding_rows: int | None = None
    train_rows: int | None = None
    kernel: str = "auto"

    @property
    def seeded_by(self) -> str:
        """The seeding that is used."""
        if self.seeding is not None:
            return self.seeding
        large = self.k >= LARGE_K and self.seeding_rows is None
        return "rs-k-means++" if large else "k-means++"

    def check(self) -> None:
        """Refuse values out of bounds.

        Raises
        ------
        ParameterError
            Naming the option.
        """
        for name, value, least in (
            ("-k", self.k, 1),
            ("--iterations", self.iterations, 0),
            ("--seeding-rows", self.seeding_rows, 1),
            ("--train-rows", self.train_rows, 1),
        ):
            if value is not None and value < least:
                raise ParameterError(f"{name} {value} is not at least {least}")
        if not 0.0 <= self.tol < 1.0:
            raise ParameterError(f"--tol {self.tol:g} is not in [0, 1)")
        if self.seeded_by not in SEEDINGS:
            raise ParameterError(f"--seeding {self.seeding!r} is not one of {', '.join(SEEDINGS)}")
        if self.train_rows is not None and self.train_rows < self.k:
            raise ParameterError(
                f"--train-rows {self.train_rows:,} is less than the {self.k:,} clusters",
                hint="train on at least k rows",
            )


@dataclass(frozen=True)
class KMeans:
    """A trained k-means.

    Attributes
    ----------
    centroids : ndarray of float32, shape (k, dim)
        Centroids.
    costs : tuple of float
        Cost over the training rows at each iteration; it never rises.
    converged : bool
        Whether it stopped before the last iteration.
    repaired : int
        Empty clusters that were given a new centroid on the way.
    labels : RowStore or None
        Labels of all rows under ``centroids``, as :class:`coresift.clustering.lloyd.Lloyd`
        keeps them; None when it was trained on a sample or by a kernel that is not certified.
    kernel : str
        What found the nearest centroids.
    notes : tuple of str
        What was sampled.
    """

    centroids: NDArray[np.float32]
    costs: tuple[float, ...]
    converged: bool
    repaired: int
    labels: RowStore | None
    kernel: str
    notes: tuple[str, ...] = field(default=())

    def save(self, scratch: Scratch, name: str) -> None:
        """Remember all but the labels."""
        scratch.save(
            name,
            centroids=self.centroids,
            costs=self.costs,
            converged=self.converged,
            repaired=self.repaired,
            kernel=self.kernel,
            notes=np.array(self.notes, np.str_),
        )

    @classmethod
    def load(cls, scratch: Scratch, name: str) -> Self | None:
        """What an interrupted run saved, if any."""
        saved = scratch.load(name)
        if saved is None:
            return None
        return cls(
            saved["centroids"],
            tuple(saved["costs"].tolist()),
            bool(saved["converged"]),
            int(saved["repaired"]),
            None,
            str(saved["kernel"]),
            tuple(saved["notes"].tolist()),
        )


def working_bytes(rows: int, dim: int, params: KMeansParams, workers: int) -> int:
    """Estimate of the memory that training needs beside the vectors.

    Parameters
    ----------
    rows, dim : int
        Shape of the data.
    params : KMeansParams
        What will run.
    workers : int
        Tasks at the same time.
    """
    centers = 44 * params.k * dim
    runs = workers * ((64 << 20) + 24 * min(params.k, 8192) * dim)
    seeding = 0
    if params.seeded_by in ("k-means++", "greedy-k-means++"):
        seeding = 4 * min(rows, params.seeding_rows or default_seeding_rows(params.k)) * dim
    return max(centers + runs, seeding + runs) + 4 * rows


class FitOptions(TypedDict):
    """What :func:`fit` is lent."""

    spherical: bool
    device: str
    seed: int
    engine: Engine
    budget: Budget
    scratch: Scratch
    progress: Progress


@dataclass(frozen=True)
class Start:
    """Where training begins.

    Attributes
    ----------
    training : Points
        The rows to train on.
    centroids : ndarray of float32, shape (k, dim)
        Seeds.
    projection : Projection
        Directions to compare rows in.
    notes : tuple of str
        What was sampled.
    """

    training: Points
    centroids: NDArray[np.float32]
    projection: Projection
    notes: tuple[str, ...]


def require_rows(points: Points, params: KMeansParams) -> None:
    """Refuse fewer rows than clusters, and values too large to be squared.

    Raises
    ------
    ParameterError
        Naming what was found.
    """
    if params.k > points.count:
        raise ParameterError(
            f"-k {params.k:,} is more than the {points.count:,} rows",
            hint=f"ask for at most {points.count:,} clusters",
        )
    require_squarable(points.bound)


def training_rows(
    points: Points, params: KMeansParams, run: FitOptions
) -> tuple[Points, tuple[str, ...]]:
    """The rows to train on, all or a sample, and a note of it."""
    if params.train_rows is None or params.train_rows >= points.count:
        return points, ()
    rows = sample_rows(points, params.train_rows, run["seed"], "train")
    sample = Sample(points, rows, run["budget"], run["scratch"])
    return sample, (f"trained on {sample.count:,} of {points.count:,} rows, drawn uniformly",)


def begin(points: Points, params: KMeansParams, **run: Unpack[FitOptions]) -> Start:
    """Check what is asked, and find the rows to train on and the seeds; see :func:`fit`."""
    params.check()
    require_rows(points, params)
    run["budget"].require(44 * params.k * points.dim, f"k-means with k={params.k:,}")
    training, notes = training_rows(points, params, run)
    sample = training.take(sample_rows(training, _PROJECTION_ROWS, 0, "projection"))
    projection = Projection.suited_to(sample, params.k)
    saved = run["scratch"].load("seeds")
    if saved is None:
        seeds, seeded = _seed(training, params, projection, run)
        run["scratch"].save("seeds", centroids=seeds, notes=np.array(seeded, np.str_))
    else:
        seeds, seeded = saved["centroids"], tuple(saved["notes"].tolist())
    return Start(training, seeds, projection, (*notes, *seeded))


def fit(points: Points, params: KMeansParams, **run: Unpack[FitOptions]) -> KMeans:
    """Train k-means.

    Parameters
    ----------
    points : Points
        All rows.
    params : KMeansParams
        What to do.
    spherical : bool
        Keep centroids at norm 1; the rows must be.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    seed : int
        The run's seed.
    engine, budget, scratch, progress
        The run's resources.

    Raises
    ------
    ParameterError
        When there are fewer rows than clusters, or values too large to be squared.
    ResourceError
        When the budget does not hold what has to be in memory.
    """
    params.check()
    choice = choose_kernel(params.kernel, run["device"])
    start = begin(points, params, **run)
    training, budget, scratch = start.training, run["budget"], run["scratch"]
    kernel = make_kernel(
        choice, training, params.k, start.projection, run["engine"], budget, scratch
    )
    held = training.rows * 4 < budget.left() // 2
    labels = [
        scratch.rows(name, training.rows, 1, np.dtype(np.int32), held=held)
        for name in (("labels", "labels-2") if scratch.keeps_rows else ("labels",))
    ]
    lloyd = Lloyd(
        training,
        kernel,
        labels,
        spherical=run["spherical"],
        seed=run["seed"],
        engine=run["engine"],
        scratch=scratch,
        progress=run["progress"],
    )
    state = lloyd.run(start.centroids, params.iterations, params.tol)
    notes = start.notes
    if state.repaired:
        repaired = f"{state.repaired:,} empty clusters were given a new centroid while training"
        notes = (*notes, repaired)
    return KMeans(
        state.centroids,
        tuple(state.costs),
        state.converged,
        state.repaired,
        lloyd.labels(state.step) if training is points and kernel.certified else None,
        kernel.name,
        notes,
    )


def _seed(
    points: Points, params: KMeansParams, projection: Projection, run: FitOptions
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Seeds, and notes of what was not looked at."""
    k, seed, engine, budget = params.k, run["seed"], run["engine"], run["budget"]
    seeding = params.seeded_by
    if seeding == "random":
        return seed_at_random(points, k, seed), ()
    if seeding in ("k-means++", "greedy-k-means++"):
        rows = max(k, params.seeding_rows or default_seeding_rows(k))
        greedy = seeding == "greedy-k-means++"
        note = f"{seeding} looked at {rows:,} of {points.count:,} rows, drawn uniformly"
        centers = seed_by_sample(
            points, k, rows, seed, projection, engine, budget, run["progress"], greedy=greedy
        )
        return centers, (note,) if rows < points.count else ()
    lent = (points, k, seed, projection, engine, run["scratch"], budget, run["progress"])
    if seeding == "k-means||":
        return seed_by_rounds(*lent), ()
    if seeding == "afk-mc2":
        return seed_by_chains(*lent), ()
    centers, uniform = seed_by_rejection(*lent)
    note = f"{uniform:,} seeds were drawn uniformly, no proposal being accepted"
    return centers, (note,) if uniform else ()

"""Hierarchical k-means with resampling.

Vo et al., "Automatic Data Curation for Self-Supervised Learning: A Clustering-Based Approach",
2024, section 3. The first level is k-means on the rows, each further one k-means on the
centroids of the level below. Centroids of k-means follow the density of its points; k-means on
as many points of each cluster, once more and again, spreads them over the support instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.assign import Assigning
from coresift.clustering.kmeans import FitOptions, KMeans, KMeansParams, fit
from coresift.clustering.points import Held, Points, Sample
from coresift.clustering.resampling import RESAMPLINGS, resampled
from coresift.core.errors import ParameterError
from coresift.io.store import Scratch


@dataclass(frozen=True)
class HierarchyParams:
    """What hierarchical k-means is told beside :class:`KMeansParams`.

    Attributes
    ----------
    levels : tuple of int
        Clusters of each level, the level of the rows first.
    resamples : int
        How often each level is trained again on resampled points.
    resample_size : int or None
        Points taken from each cluster; by default half the mean size of the level's clusters.
    resampling : str
        ``closest`` points of each cluster to its centroid, or ``random`` ones.
    """

    levels: tuple[int, ...]
    resamples: int = 10
    resample_size: int | None = None
    resampling: str = "closest"

    def check(self) -> None:
        """Refuse values out of bounds.

        Raises
        ------
        ParameterError
            Naming the option.
        """
        text = ",".join(str(k) for k in self.levels)
        if len(self.levels) < 2:
            raise ParameterError(
                f"-k {text} is one level, and --method hierarchical needs several",
                hint="give the clusters of each level, such as -k 10000,1000,100",
            )
        if any(above >= below for below, above in zip(self.levels, self.levels[1:], strict=False)):
            raise ParameterError(
                f"-k {text}: each level must have fewer clusters than the one below it",
                hint="give the level of the rows first, such as -k 10000,1000,100",
            )
        if self.resamples < 0:
            raise ParameterError(f"--resamples {self.resamples} is not at least 0")
        if self.resample_size is not None and self.resample_size < 1:
            raise ParameterError(f"--resample-size {self.resample_size} is not at least 1")
        if self.resampling not in RESAMPLINGS:
            raise ParameterError(
                f"--resampling {self.resampling!r} is not one of {', '.join(RESAMPLINGS)}"
            )


@dataclass(frozen=True)
class Level:
    """A level above the rows' own.

    Attributes
    ----------
    centroids : ndarray of float32, shape (k, dim)
        Its centroids.
    parent : ndarray of int32, shape (k of the level below,)
        Cluster of each cluster of the level below.
    cost : ndarray of float64, shape (k,)
        Sum of squared distances from the centroids of the level below.
    """

    centroids: NDArray[np.float32]
    parent: NDArray[np.int32]
    cost: NDArray[np.float64]


def fit_levels(
    points: Points,
    params: KMeansParams,
    hierarchy: HierarchyParams,
    **run: Unpack[FitOptions],
) -> tuple[KMeans, tuple[Level, ...]]:
    """Train all levels.

    Parameters
    ----------
    points : Points
        All rows.
    params : KMeansParams
        How each level is trained; ``k`` and ``train_rows`` are the first level's.
    hierarchy : HierarchyParams
        The levels.
    **run
        See :func:`coresift.clustering.kmeans.fit`.

    Returns
    -------
    model : KMeans
        The level of the rows.
    levels : tuple of Level
        Those above it, from below.

    Raises
    ------
    ParameterError
        When there are fewer rows than clusters.
    """
    hierarchy.check()
    model = below = _fit_level(points, params, hierarchy, 1, run)
    levels = []
    for number, k in enumerate(hierarchy.levels[1:], start=2):
        held = Held(below.centroids)
        told = replace(params, k=k, train_rows=None)
        above = _fit_level(held, told, hierarchy, number, run)
        totals = Assigning(held, above.centroids, None, run["engine"], run["progress"])
        parent = np.concatenate([part.cluster for part in totals])
        levels.append(Level(above.centroids, parent, totals.cost))
        notes = tuple(f"level {number}: {note}" for note in above.notes)
        model = replace(model, notes=(*model.notes, *notes))
        below = above
    return model, tuple(levels)


def _fit_level(
    points: Points,
    params: KMeansParams,
    hierarchy: HierarchyParams,
    number: int,
    run: FitOptions,
) -> KMeans:
    scratch = run["scratch"].step(f"level-{number}")
    size = hierarchy.resample_size or points.count // (2 * params.k)
    # one point of each cluster is as many points as clusters
    steps = hierarchy.resamples if size > 1 else 0
    done = steps
    while not (saved := KMeans.load(scratch, f"model-{done}")) and done:
        done -= 1
    model = saved or fit(points, params, **_lent(run, scratch.step("train")))
    for step in range(done, steps):
        part = _lent(run, scratch.step(f"resample-{step}"))
        purpose = f"resample/{number}/{step}"
        rows = resampled(points, model, size, hierarchy.resampling, purpose, part)
        if len(rows) < params.k:
            steps = step
            break
        sample = Sample(points, rows, run["budget"], run["scratch"])
        again = fit(sample, replace(params, train_rows=None), **part)
        model = replace(again, labels=None, notes=model.notes, costs=model.costs + again.costs)
        model.save(scratch, f"model-{step + 1}")
        part["scratch"].clear()
    if steps:
        taken = f"trained again {steps} times on {size:,} points of each cluster"
        model = replace(model, notes=(*model.notes, taken))
    elif hierarchy.resamples:
        model = replace(model, notes=(*model.notes, "not resampled, its clusters being too small"))
    return model


def _lent(run: FitOptions, scratch: Scratch) -> FitOptions:
    return {**run, "scratch": scratch}

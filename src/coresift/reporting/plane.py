"""The plane that shows most of the data: the first two principal directions, exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.mean import mean_of
from coresift.clustering.points import Points
from coresift.evaluation.base import Resources, grid


@dataclass(frozen=True)
class Plane:
    """Two orthonormal directions through the mean.

    Attributes
    ----------
    mean : ndarray of float64, shape (dim,)
        The origin.
    axes : ndarray of float64, shape (dim, 2)
        The directions of most variance, the first first. Of either sign the one is taken whose
        largest element is positive. A direction that the data does not have is zero.
    shares : tuple of float
        Share of the variance along each.
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    shares: tuple[float, float]

    @classmethod
    def fit(cls, points: Points, resources: Resources) -> Plane:
        """Eigenvectors of the covariance of all rows, in two passes.

        Products of runs on a grid fixed by the dimensions are added in their order, so that
        batches, threads and files do not show.
        """
        from scipy.linalg import eigh

        dim = points.dim
        mean = mean_of(points, resources.engine, resources.progress).astype(np.float64)

        def task(run: tuple[int, int]) -> tuple[int, NDArray[np.float64]]:
            _, block = points.read(*run)
            centred = block - mean
            return run[1] - run[0], centred.T @ centred

        scatter = np.zeros((dim, dim))
        with resources.progress.stage("pca", points.rows) as stage:
            for done, part in resources.engine.map(task, grid(points)):
                scatter += part
                stage.advance(done)
        found = min(2, dim)
        values, vectors = eigh(scatter, subset_by_index=[dim - found, dim - 1])
        axes, kept = np.zeros((dim, 2)), np.zeros(2)
        axes[:, :found], kept[:found] = vectors[:, ::-1], values[::-1]
        total = float(np.trace(scatter))
        # what is left of no variance at all is rounding
        axes[:, kept <= 1e-12 * total] = 0.0
        axes *= np.where(axes[np.abs(axes).argmax(axis=0), [0, 1]] < 0.0, -1.0, 1.0)
        shares = np.maximum(kept, 0.0) / total if total > 0.0 else np.zeros(2)
        return cls(mean, axes, (float(shares[0]), float(shares[1])))

    def project(self, points: Points, resources: Resources) -> NDArray[np.float32]:
        """Coordinates of each row by its id, shape (ids, 2); NaN where a row is left out."""
        found = np.full((points.rows, 2), np.nan, np.float32)

        def task(run: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
            rows, block = points.read(*run)
            return rows, ((block - self.mean) @ self.axes).astype(np.float32)

        with resources.progress.stage("project", points.rows) as stage:
            for rows, some in resources.engine.map(task, grid(points)):
                found[rows] = some
                stage.advance(len(rows))
        return found


def workspace_bytes(dim: int, workers: int) -> int:
    """What the fit holds beside the rows: products under way and waiting, and their sum."""
    return 8 * dim * dim * (2 * workers + 3)

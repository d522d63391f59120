"""Which code finds the nearest centroids during training: BLAS, superkmeans or faiss."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.bounds import nearest_again
from coresift.clustering.centers import Centers
from coresift.clustering.moves import Moves, group_count, grouped
from coresift.clustering.nearest import nearest
from coresift.clustering.points import Points
from coresift.clustering.projection import Projection
from coresift.core.errors import MissingExtraError, ParameterError, ResourceError
from coresift.core.memory import Budget
from coresift.engine.base import Engine
from coresift.io.store import RowStore, Scratch

_LABEL_BYTES = 4
KERNELS = ("auto", "blas", "superkmeans", "faiss")

Labels = NDArray[np.int32]
Search = Callable[[int, NDArray[np.float32], Labels | None], Labels]


class Kernel(Protocol):
    """A way to find nearest centroids.

    Attributes
    ----------
    name : str
        One of :data:`KERNELS`.
    certified : bool
        Whether labels are those of a float64 search; if not, the kernel trains only.
    """

    name: str
    certified: bool

    def search(self, centroids: NDArray[np.float32]) -> Search:
        """Prepare centroids.

        The result labels the rows of a run, given its start and the labels before, if any.
        """


class Blas:
    """Products of projected rows, kept between iterations where the budget allows.

    Parameters
    ----------
    points : Points
        The rows.
    k : int
        Centroids.
    projection : Projection
        Directions to project on.
    engine : Engine
        Where centroids are prepared.
    budget : Budget
        What may be held.
    scratch : Scratch
        Where the rest goes.
    """

    name = "blas"
    certified = True

    def __init__(
        self,
        points: Points,
        k: int,
        projection: Projection,
        engine: Engine,
        budget: Budget,
        scratch: Scratch,
    ) -> None:
        groups = group_count(k)
        self._projection = projection
        self._engine = engine
        self._before: Centers | None = None
        self._groups: NDArray[np.int32] | None = None
        # what was made is resident when it is written: till then it does not show in the budget
        left = budget.left() - _LABEL_BYTES * points.rows
        size = points.rows * 4 * (1 + groups)
        held = size < left // 2
        kind = np.dtype(np.float32)
        self._bounds = scratch.rows(None, points.rows, 1 + groups, kind, held=held)
        left -= size if held else 0
        self._kept: RowStore | None = None
        size = points.rows * projection.width * 4
        if projection.basis is not None and size < left // 2:
            self._kept = scratch.rows(None, points.rows, projection.width, kind, held=True)

    def search(self, centroids: NDArray[np.float32]) -> Search:
        """Prepare centroids."""
        centers = Centers.prepare(centroids, self._projection, self._engine)
        before, self._before = self._before, centers
        moves = None
        if before is not None:
            if self._groups is None:
                self._groups = grouped(centroids)
            moves = Moves.between(before, centers, self._groups, self._engine)

        def labels(start: int, block: NDArray[np.float32], before: Labels | None) -> Labels:
            stop = start + len(block)
            projected = self._project(start, stop, block, first=before is None)
            bounds = self._bounds.read(start, stop)
            if before is None or moves is None:
                # far from where the rows are, a projection without a tail rules out too little
                whole = centers if self._projection.tail else centers.in_full
                found = nearest(block, whole, projected if whole is centers else None, bounds[:, 0])
                bounds[:, 1:] = 0.0
            else:
                found = nearest_again(block, centers, projected, before, bounds, moves)
            self._bounds.write(start, bounds)
            return found

        return labels

    def _project(
        self, start: int, stop: int, block: NDArray[np.float32], *, first: bool
    ) -> NDArray[np.float32] | None:
        if self._kept is None:
            return None
        if first:
            self._kept.write(start, self._projection.rows(block))
        kept: NDArray[np.float32] = self._kept.read(start, stop)
        return kept


class Superkmeans:
    """The extra ``fast``: superkmeans's assignment, float32 and so not certified."""

    name = "superkmeans"
    certified = False

    def __init__(self) -> None:
        if importlib.util.find_spec("superkmeans") is None:
            raise MissingExtraError("superkmeans", "fast", "--kernel superkmeans")
        self._local = threading.local()

    def __reduce__(self) -> tuple[type[Superkmeans], tuple[()]]:
        """Each process has models of its own."""
        return Superkmeans, ()

    def search(self, centroids: NDArray[np.float32]) -> Search:
        """Prepare centroids."""
        from superkmeans import SuperKMeans

        def labels(_: int, block: NDArray[np.float32], __: Labels | None) -> Labels:
            model = getattr(self._local, "model", None)
            if model is None:
                model = self._local.model = SuperKMeans(*centroids.shape, n_threads=1)
            found: Labels = model.assign(np.ascontiguousarray(block), centroids).astype(np.int32)
            return found

        return labels


class Faiss:
    """The extra ``gpu``: faiss's flat search, certified by the margin of the runner-up.

    Parameters
    ----------
    gpus : int
        GPUs to spread the rows over; 0 searches with faiss on the CPU, which serves to test
        this path where there is no GPU.
    """

    name = "faiss"
    certified = True

    def __init__(self, gpus: int) -> None:
        self._faiss = _import_faiss()
        self._gpus = gpus
        self._resources = [self._faiss.StandardGpuResources() for _ in range(gpus)]

    def __reduce__(self) -> tuple[type[Faiss], tuple[int]]:
        """Each process has an index, and GPUs, of its own."""
        return Faiss, (self._gpus,)

    def search(self, centroids: NDArray[np.float32]) -> Search:
        """Prepare centroids."""
        centers = Centers.prepare(centroids)
        projection = centers.projection
        index = _Index(self, np.ascontiguousarray(centroids - projection.origin))

        def labels(_: int, block: NDArray[np.float32], __: Labels | None) -> Labels:
            shifted = np.ascontiguousarray(block - projection.origin)
            squared, found = index.search(shifted, min(2, len(centroids)))
            label: Labels = found[:, 0].astype(np.int32)
            if len(centroids) > 1:
                squares = np.einsum("ij,ij->i", shifted, shifted)
                error = 4.0 * projection.slack(squares, centers.reach)
                unsure = np.flatnonzero(squared[:, 1] - squared[:, 0] <= error)
                if len(unsure):
                    label[unsure] = nearest(block[unsure], centers)
            return label

        return labels

    def index(self, points: NDArray[np.float32]) -> Any:
        """Build an index on the GPUs, if there are any."""
        faiss = self._faiss
        index = faiss.IndexFlatL2(points.shape[1])
        if self._gpus == 1:
            index = faiss.index_cpu_to_gpu(self._resources[0], 0, index)
        elif self._gpus > 1:
            options = faiss.GpuMultipleClonerOptions()
            options.shard = False
            index = faiss.index_cpu_to_gpu_multiple_py(self._resources, index, options)
        index.add(points)
        return index


class _Index:
    """An index that is built where it is first searched."""

    def __init__(self, faiss: Faiss, points: NDArray[np.float32]) -> None:
        self._faiss = faiss
        self._points = points
        self._lock = threading.Lock()
        self._built: Any = None

    def __reduce__(self) -> tuple[type[_Index], tuple[Faiss, NDArray[np.float32]]]:
        return _Index, (self._faiss, self._points)

    def search(self, rows: NDArray[np.float32], count: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Squared distances and numbers of the nearest points."""
        with self._lock:
            if self._built is None:
                self._built = self._faiss.index(self._points)
            squared, found = self._built.search(rows, count)
        return squared, found


def _import_faiss() -> Any:
    if importlib.util.find_spec("faiss") is None:
        raise MissingExtraError("faiss-gpu", "gpu", "--kernel faiss")
    import faiss

    return faiss


def gpu_count() -> int:
    """GPUs that faiss can use; 0 without faiss-gpu."""
    # faiss is slow to import: not where there is no driver that it could use
    driver = Path("/dev/dxg").exists() or any(Path("/dev").glob("nvidia*"))
    if not driver or importlib.util.find_spec("faiss") is None:
        return 0
    import faiss

    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0


@dataclass(frozen=True)
class Choice:
    """The kernel and device that a run will use.

    Attributes
    ----------
    kernel : str
        ``blas``, ``superkmeans`` or ``faiss``.
    gpus : int
        GPUs that it uses.
    """

    kernel: str
    gpus: int


def choose_kernel(kernel: str, device: str) -> Choice:
    """Turn ``--kernel`` and ``--device`` into what will be used here.

    Raises
    ------
    ParameterError
        When they contradict each other.
    ResourceError
        When ``--device cuda`` finds no GPU.
    MissingExtraError
        When the kernel's package is not installed.
    """
    if kernel not in KERNELS:
        raise ParameterError(f"--kernel {kernel!r} is not one of {', '.join(KERNELS)}")
    if device == "cuda" and kernel in ("blas", "superkmeans"):
        raise ParameterError(
            f"--kernel {kernel} runs on the CPU and --device cuda asks for a GPU",
            hint="leave out one of them",
        )
    if kernel == "superkmeans":
        Superkmeans()
        return Choice("superkmeans", 0)
    if kernel == "blas" or (kernel == "auto" and device == "cpu"):
        return Choice("blas", 0)
    gpus = 0 if device == "cpu" else gpu_count()
    if device == "cuda":
        _import_faiss()
        if not gpus:
            raise ResourceError(
                "--device cuda: faiss finds no GPU it can use",
                hint="`coresift doctor` shows what is there; --device cpu runs without one",
            )
    if kernel == "faiss":
        _import_faiss()
        return Choice("faiss", gpus)
    return Choice("faiss", gpus) if gpus else Choice("blas", 0)


def make_kernel(
    choice: Choice,
    points: Points,
    k: int,
    projection: Projection,
    engine: Engine,
    budget: Budget,
    scratch: Scratch,
) -> Kernel:
    """Build the chosen kernel for these points."""
    if choice.kernel == "superkmeans":
        return Superkmeans()
    if choice.kernel == "faiss":
        return Faiss(choice.gpus)
    return Blas(points, k, projection, engine, budget, scratch)

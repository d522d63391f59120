"""Lloyd's algorithm over runs of rows, with exact sums.

Lloyd, "Least Squares Quantization in PCM", IEEE Transactions on Information Theory 28, 1982.
Every iteration is one ordered map over the runs. Sums are kept up by the rows that changed
their cluster; being exact (:mod:`coresift.core.exact`), they do not remember the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.distances import squared_distances
from coresift.clustering.kernels import Kernel, Search
from coresift.clustering.points import Points
from coresift.clustering.sums import ClusterSums, moved_rows
from coresift.core import randomness
from coresift.core.exact import Quantum
from coresift.core.progress import Progress
from coresift.engine.base import Engine
from coresift.io.store import RowStore, Scratch

_REPAIRS = 10
_STEP = 256


@dataclass
class Training:
    """The state of a run of Lloyd's algorithm.

    Attributes
    ----------
    centroids : ndarray of float32, shape (k, dim)
        Centroids.
    step : int
        Assignments that were finished.
    costs : list of float
        Cost of each iteration's labels under the centroids they were found with.
    counts : ndarray of int64, shape (k,)
        Rows of each cluster by the last labels.
    repaired : int
        Empty clusters that were given a new centroid.
    converged : bool
        Whether it stopped before the last iteration was used up.
    """

    centroids: NDArray[np.float32]
    step: int = 0
    costs: list[float] = field(default_factory=list)
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    repaired: int = 0
    converged: bool = False


@dataclass(frozen=True)
class _Pass:
    rows: int
    sums: ClusterSums
    changed: int
    squares: float

    def merged(self, after: _Pass) -> _Pass:
        """Take in the rows that follow."""
        return _Pass(
            self.rows + after.rows,
            self.sums.merged(after.sums),
            self.changed + after.changed,
            self.squares + after.squares,
        )


class Lloyd:
    """Iterations over some points.

    Parameters
    ----------
    points : Points
        Rows to train on.
    kernel : Kernel
        Finds nearest centroids.
    labels : sequence of RowStore of int32, width 1
        Room for the labels by position; rows of a run come first in its positions. If there are
        two they take turns, so that an interrupted assignment can be done again.
    spherical : bool
        Whether centroids are scaled to norm 1 (Dhillon and Modha, "Concept Decompositions for
        Large Sparse Text Data Using Clustering", 2001); rows must be.
    seed : int
        The run's seed, for the repair of empty clusters.
    engine, scratch, progress : Engine, Scratch, Progress
        Where to run, to remember how far it is, and to report.
    """

    def __init__(
        self,
        points: Points,
        kernel: Kernel,
        labels: Sequence[RowStore],
        *,
        spherical: bool,
        seed: int,
        engine: Engine,
        scratch: Scratch,
        progress: Progress,
    ) -> None:
        self._points = points
        self._kernel = kernel
        self._stores = labels
        self._spherical = spherical
        self._seed = seed
        self._engine = engine
        self._scratch = scratch
        self._progress = progress
        self._unsearched = 0
        self._quantum = Quantum.covering(points.bound, points.count)
        self._square_quantum = Quantum.covering(points.bound**2, points.count)
        self._squares: float | None = None
        self._last: Training | None = None

    def run(self, centroids: NDArray[np.float32], iterations: int, tol: float) -> Training:
        """Iterate from ``centroids`` until the cost falls by less than a share ``tol`` of it.

        The last step is always an assignment to the centroids returned, whose empty clusters
        were repaired as long as there are rows to give them.
        """
        state = self._resumed() or Training(centroids)
        state.counts = np.zeros(len(centroids), np.int64)
        sums = np.zeros((len(centroids), self._points.dim))
        while True:
            self._remember(state)
            iterating = state.step < iterations
            name = f"iteration {state.step + 1} of {iterations}" if iterating else "final iteration"
            changed = self._assign(state, sums, name)
            state.step += 1
            if not iterating:
                state.costs.pop()
                if state.step == iterations + _REPAIRS or not self._repair(state):
                    break
            elif changed == 0 or self._settled(state.costs, tol):
                state.converged = True
                break
            else:
                state.centroids = self._moved(state, sums)
                self._repair(state)
        return state

    def labels(self, step: int) -> RowStore:
        """Labels after so many assignments."""
        return self._stores[step % len(self._stores)]

    def _remember(self, state: Training) -> None:
        now = replace(state, costs=list(state.costs))
        keeps = self._scratch.keeps_rows
        # where labels are not kept, the assignment that they come from is done again
        kept, self._last = now if keeps else self._last or now, now
        self._scratch.save(
            "training",
            [self.labels(state.step)] if keeps else [],
            step=kept.step,
            centroids=kept.centroids,
            costs=kept.costs,
            repaired=kept.repaired,
        )

    def _resumed(self) -> Training | None:
        """The state before the assignment that was interrupted; sums and counts are made anew."""
        saved = self._scratch.load("training")
        if saved is None:
            return None
        state = Training(saved["centroids"], int(saved["step"]), saved["costs"].tolist())
        state.repaired = int(saved["repaired"])
        return state

    def _reached(self, step: int) -> int:
        """Positions that an interrupted assignment has labelled."""
        saved = self._scratch.load("labelled")
        return int(saved["stop"]) if saved is not None and int(saved["step"]) == step else 0

    @staticmethod
    def _settled(costs: Sequence[float], tol: float) -> bool:
        return len(costs) > 1 and costs[-2] - costs[-1] < tol * costs[-2]

    def _assign(self, state: Training, sums: NDArray[np.float64], stage_name: str) -> int:
        """Label every row, bring sums and counts up to date and append the cost."""
        search: Search = self._kernel.search(state.centroids)
        first = self._squares is None
        stores = self.labels(state.step), self.labels(state.step + 1)
        reached = self._reached(state.step) if first else 0
        unknown = first and not self._scratch.keeps_rows
        # rows that were not searched in this process have no bounds to search them by
        unsearched, self._unsearched = self._unsearched, reached

        def task(run: tuple[int, int]) -> _Pass:
            start = run[0]
            _, block = self._points.read(*run)
            span = start, start + len(block)
            before = none = np.full(len(block), -1, np.int32)
            if state.step and not unknown:
                before = stores[0].read(*span)[:, 0].astype(np.int32)
            if run[1] <= reached:
                after = stores[1].read(*span)[:, 0].astype(np.int32)
            else:
                after = search(start, block, None if first or start < unsearched else before)
                stores[1].write(start, after[:, None])
            changed = int(np.count_nonzero(before != after))
            squares = 0.0
            if first:
                before = none
                origin = np.zeros((1, block.shape[1]), np.float32)
                norms = squared_distances(block, origin, np.zeros(len(block), np.int32))
                squares = self._square_quantum.sum(norms)
            moved = moved_rows(block, before, after, self._quantum)
            return _Pass(run[1] - start, moved, changed, squares)

        changed = stop = 0
        squares = 0.0
        with self._progress.stage(stage_name, self._points.rows) as stage:
            for result in self._engine.map(task, self._points.runs(), _Pass.merged):
                result.sums.add_to(sums, state.counts)
                changed += result.changed
                squares += result.squares
                stage.advance(result.rows)
                stop += result.rows
                if self._scratch.due or stop == self._points.rows:
                    self._scratch.save("labelled", [stores[1]], step=state.step, stop=stop)
        if first:
            self._squares = self._square_quantum.value(squares)
        state.costs.append(self._cost(state, sums))
        return changed

    def _cost(self, state: Training, sums: NDArray[np.float64]) -> float:
        """Sum of |x - c|^2, from sum |x|^2 - 2 sum c . s + sum n |c|^2."""
        assert self._squares is not None

        def task(start: int) -> tuple[float, float]:
            part = slice(start, start + _STEP)
            wide = state.centroids[part].astype(np.float64)
            cross = float((wide * sums[part]).sum(axis=1).sum())
            return cross, float(((wide * wide).sum(axis=1) * state.counts[part]).sum())

        found = list(self._engine.driver.map(task, range(0, len(sums), _STEP)))
        cross, norms = sum(part[0] for part in found), sum(part[1] for part in found)
        return max(0.0, self._squares - 2.0 * self._quantum.value(cross) + norms)

    def _moved(self, state: Training, sums: NDArray[np.float64]) -> NDArray[np.float32]:
        """Means of the clusters; an empty one stays where it is."""
        moved = np.empty_like(state.centroids)

        def task(start: int) -> None:
            part = slice(start, start + _STEP)
            counts = state.counts[part, None]
            means = sums[part] * (self._quantum.unit / np.maximum(counts, 1))
            if self._spherical:
                norms = np.sqrt(np.square(means).sum(axis=1, keepdims=True))
                means /= np.where(norms > 0.0, norms, 1.0)
            moved[part] = np.where(counts > 0, means, state.centroids[part])

        for _ in self._engine.driver.map(task, range(0, len(sums), _STEP)):
            pass
        return moved

    def _repair(self, state: Training) -> bool:
        """Move empty clusters' centroids to rows drawn by D^2; False when there are none."""
        empty = np.flatnonzero(state.counts == 0)
        if not len(empty):
            return False
        rows = self._draw_far(state, len(empty))
        if not len(rows):
            return False
        vectors = self._points.take(np.sort(rows))[np.argsort(np.argsort(rows))]
        centroids = state.centroids.copy()
        centroids[empty[: len(rows)]] = vectors
        state.centroids = centroids
        state.repaired += len(rows)
        return True

    def _draw_far(self, state: Training, size: int) -> NDArray[np.int64]:
        """Rows with the smallest exponential keys of rate D^2: a draw without replacement."""
        purpose = f"empty/{state.step - 1}"
        store = self.labels(state.step)

        def task(run: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
            rows, block = self._points.read(*run)
            labels = store.read(run[0], run[0] + len(block))[:, 0].astype(np.int32)
            squared = squared_distances(block, state.centroids, labels)
            far = np.flatnonzero(squared > 0.0)
            keys = -np.log(randomness.uniform(self._seed, purpose, rows[far])) / squared[far]
            order = np.lexsort((rows[far], keys))[:size]
            return rows[far][order], keys[order]

        parts = list(self._engine.map(task, self._points.runs()))
        rows = np.concatenate([part[0] for part in parts])
        keys = np.concatenate([part[1] for part in parts])
        return rows[np.lexsort((rows, keys))[:size]]

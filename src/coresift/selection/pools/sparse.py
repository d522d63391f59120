"""Coverage by the most similar rows of each row only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.engine.base import Engine
from coresift.selection.pools.coverage import SPAN, Coverage, consecutive, spans
from coresift.selection.pools.neighbours import most_similar
from coresift.selection.pools.similarity import Rows, Similarity


class Sparse(Coverage):
    """The similarity of each row to the most similar ones; the others count as 0.

    Lindgren, Wu and Dimakis, "Leveraging Sparsity for Efficient Submodular Data Summarization",
    NIPS 2016: with some multiple of rows / chosen rows neighbours little is lost.
    """

    def __init__(
        self,
        similarity: Similarity,
        rows: Rows,
        weight: NDArray[np.float64],
        engine: Engine,
        neighbours: int,
    ) -> None:
        super().__init__(weight)
        from scipy.sparse import csr_array

        found, units = most_similar(similarity, rows, neighbours, engine)
        starts = np.arange(0, found.size + 1, max(1, found.shape[1]))
        by_row = csr_array((units.ravel(), found.ravel(), starts), (len(rows), len(rows)))
        # by the row that covers
        turned = by_row.tocsc()
        turned.eliminate_zeros()
        self._covered: NDArray[np.int32] = turned.indices
        self._units: NDArray[np.float32] = turned.data
        self._starts = turned.indptr.astype(np.int64)

    def column(self, place: int) -> NDArray[np.float32]:
        """Similarity of a row to all, in units."""
        found = np.zeros(len(self), np.float32)
        part = slice(*self._starts[place : place + 2])
        found[self._covered[part]] = self._units[part]
        return found

    def gains(self, some: NDArray[np.int64], least: float = -np.inf) -> NDArray[np.float64]:  # noqa: ARG002
        """What each of some rows would add now, in units."""
        starts, lengths = self._starts[some], self._starts[some + 1] - self._starts[some]
        owner = np.repeat(np.arange(len(some)), lengths)
        place = consecutive(starts, lengths)
        covered = self._covered[place]
        over = np.maximum(self._units[place] - self.best[covered], 0.0)
        gained = over * self.weight[covered]
        found: NDArray[np.float64] = np.bincount(owner, gained, len(some)).astype(np.float64)
        return found

    def all_gains(self) -> NDArray[np.float64]:
        """What each row would add now, in units."""
        parts = [np.arange(span.start, span.stop) for span in spans(len(self), SPAN)]
        return np.concatenate([self.gains(part) for part in parts])

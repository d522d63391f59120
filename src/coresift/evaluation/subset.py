"""A subset on disk: row ids and weights, and where they come from."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.evaluation.base import RowSet
from coresift.io.rowfile import RowFile
from coresift.io.vectors import Vectors


class SubsetFile(RowFile):
    """A selection, or any Parquet with row ids, and perhaps weights."""

    @property
    def weight_column(self) -> str | None:
        """Name of the column of weights; None without one."""
        return self._added("weight")

    @property
    def score_column(self) -> str | None:
        """Name of the column of scores; None without one."""
        return self._added("score")

    def _added(self, what: str) -> str | None:
        name = self._prefix + what
        return name if name in self.dump.schema.names else None

    def read(self, vectors: Vectors, full: str) -> RowSet:
        """Read rows and weights, and check them against the full data.

        Parameters
        ----------
        vectors : Vectors
            The full data's kept rows.
        full : str
            The full data's name, for messages.

        Raises
        ------
        InputError
            When a row is not among the kept ones, or stands twice; when a weight is null,
            negative or not finite, or all are zero.
        """
        ids = self.ids(vectors.kept, vectors.rows, full)
        order = np.argsort(ids, kind="stable")
        ids = ids[order]
        name = self.weight_column
        if name is None:
            return RowSet(ids, np.full(len(ids), vectors.count / len(ids)))
        weights = self.column(name)
        if not (pa.types.is_integer(weights.type) or pa.types.is_floating(weights.type)):
            raise InputError(f"{self.path}: column {name!r} is {weights.type}, not a number")
        weight = self.numbers(weights, name, pa.float64()).astype(np.float64)[order]
        wrong = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0.0)))
        if len(wrong):
            raise InputError(
                f"{self.path}: weight {weight[wrong[0]]:g} of row {ids[wrong[0]]} is not a finite "
                "number of at least 0"
            )
        if not weight.any():
            raise InputError(f"{self.path}: all weights are 0")
        return RowSet(ids, weight)

    def scores(self) -> NDArray[np.float64] | None:
        """Scores of the rows in the order of their ids; None where there are none."""
        name = self.score_column
        if name is None:
            return None
        values = self.column(name).cast(pa.float64())
        ids = self.numbers(self.column(self.row_column), self.row_column, pa.int64())
        return np.asarray(values.to_numpy(), np.float64)[np.argsort(ids, kind="stable")]

    def finite_scores(self) -> NDArray[np.float64] | None:
        """Scores as :meth:`scores` reads them, each of them a number.

        Raises
        ------
        InputError
            When one is null or not finite.
        """
        name = self.score_column
        if name is None:
            return None
        kind = self.dump.schema.field(name).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise InputError(f"{self.path}: column {name!r} is {kind}, not a number")
        found = self.scores()
        assert found is not None
        wrong = np.flatnonzero(~np.isfinite(found))
        if len(wrong):
            ids = self.numbers(self.column(self.row_column), self.row_column, pa.int64())
            raise InputError(
                f"{self.path}: the score of row {np.sort(ids)[wrong[0]]} is null or not finite"
            )
        return found

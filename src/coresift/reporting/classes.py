"""How many rows of each class there are, before a selection and after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.engine.base import Engine
from coresift.evaluation.base import RowSet
from coresift.io.dump import Dump
from coresift.io.labels import Labels
from coresift.reporting.rows import texts_of

_NAME = 80
MOST_SHOWN = 40


@dataclass(frozen=True)
class Class:
    """One class; shares are of all rows that have a class.

    Attributes
    ----------
    name : str
        The value.
    rows, chosen : int
        Rows of it in the full data and in the selection.
    share, chosen_share, weighted_share : float
        Its share of each, and of the weights.
    """

    name: str
    rows: int
    chosen: int
    share: float
    chosen_share: float
    weighted_share: float


@dataclass(frozen=True)
class Classes:
    """The classes of the label column.

    Attributes
    ----------
    column : str
        Its name.
    names : tuple of str
        Of all classes, by code.
    codes : ndarray of int32, shape (ids,)
        Class of each row of the dump; -1 for none.
    shown : tuple of Class
        The largest, the largest first.
    others : int
        Classes that are not among them.
    missing : int
        Rows without a class.
    weighted : bool
        Whether the selection's weights differ, so that their shares are worth a column.
    """

    column: str
    names: tuple[str, ...]
    codes: NDArray[np.int32]
    shown: tuple[Class, ...]
    others: int
    missing: int
    weighted: bool

    @classmethod
    def of(
        cls, dump: Dump, column: str, labels: Labels, chosen: RowSet | None, engine: Engine
    ) -> Classes:
        """Count classes; their names are read at the first row of each."""
        codes = labels.codes
        found, first = np.unique(codes, return_index=True)
        first = first[found >= 0]
        order = np.argsort(first)
        text = texts_of(dump, first[order].astype(np.int64), column, _NAME, engine)
        names = [""] * labels.classes
        for place, name in zip(order.tolist(), text, strict=True):
            names[place] = name
        before = labels.count
        after = np.zeros(labels.classes, np.int64)
        mass = np.zeros(labels.classes)
        weighted = False
        if chosen is not None:
            mine = codes[chosen.rows]
            good = mine >= 0
            after = np.bincount(mine[good], minlength=labels.classes).astype(np.int64)
            mass += np.bincount(mine[good], chosen.weight[good], minlength=labels.classes)
            weighted = float(np.ptp(chosen.weight)) > 0.0
        shares = [part / max(1e-300, float(part.sum())) for part in (before, after, mass)]
        largest = np.argsort(-before, kind="stable")[:MOST_SHOWN].tolist()
        shown = tuple(
            Class(names[i], int(before[i]), int(after[i]), *(float(part[i]) for part in shares))
            for i in largest
        )
        others = labels.classes - len(shown)
        return cls(column, tuple(names), codes, shown, others, labels.missing, weighted)

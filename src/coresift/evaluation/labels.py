"""How evenly a set holds the classes of rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from coresift.evaluation.base import RowSet, Values
from coresift.io.labels import Labels


def balance(labels: Labels, sets: Sequence[RowSet]) -> Values:
    """Entropy in nats of each set's classes, and the smallest class's share.

    Rows are counted, whatever they weigh; a class that a set lacks has a share of 0.
    """
    entropy = np.zeros(len(sets))
    least = np.zeros(len(sets))
    for index, rows_of in enumerate(sets):
        codes = labels.codes[rows_of.rows]
        counts = np.bincount(codes[codes >= 0], minlength=labels.classes)
        shares = counts / max(1, counts.sum())
        least[index] = shares.min()
        shares = shares[shares > 0.0]
        # adding 0 turns the -0 of a single class into 0
        entropy[index] = 0.0 - float((shares * np.log(shares)).sum()) + 0.0
    return {"label_entropy": entropy, "label_min_share": least}

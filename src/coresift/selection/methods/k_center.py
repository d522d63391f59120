"""Greedy k-center: again and again the row that is farthest from all chosen ones.

Gonzalez, "Clustering to Minimize the Maximum Intercluster Distance", Theoretical Computer
Science 38, 1985: the largest distance of a row to its nearest chosen one is at most twice the
least that any choice of as many rows can have. In active learning: Sener and Savarese, "Active
Learning for Convolutional Neural Networks: A Core-Set Approach", ICLR 2018. With a share of
outliers: Ding, Yu and Wang, "Greedy Strategy Works for k-Center Clustering with Outliers and
Coreset Construction", ESA 2019, where one row is drawn from the (1 + epsilon) z farthest, z being
the outliers; epsilon is 1 here.
"""

from __future__ import annotations

import numpy as np

from coresift.clustering.points import sample_rows
from coresift.core.errors import ParameterError
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.selection.base import Context, Data
from coresift.selection.params.k_center import KCenterParams
from coresift.selection.pools.cover import cover, working_bytes
from coresift.selection.pools.farthest import Weigh


def select(
    data: Data,
    size: Size | None,
    params: KCenterParams,
    context: Context,
    weigh: Weigh | None = None,
) -> Selection:
    """Choose rows so that no row is far from all of them.

    ``score`` is the distance of a row from those chosen before it (of the first, when nothing is
    given, infinite), ``rank`` the order, ``weight`` how many rows have it as their nearest, each
    counted by ``weigh`` where that is given.
    """
    if size is None:
        raise ParameterError("k-center needs a size", hint="give -n 5000 or -n 10%")
    # more than there is, told before the dump is read
    most = size.resolve(data.rows) + len(data.given(params.given, None))
    outliers = int(params.outliers * data.rows)
    points = data.points(context, working_bytes(data.rows, data.dim, most, outliers))
    given = data.given(params.given, points.kept)
    n = size.resolve(points.count - len(given))
    start = np.empty(0, np.int64)
    if not len(given):
        start = sample_rows(points, 1, context.seed, "k-center")
    return cover(points, given, start, n, context, int(params.outliers * points.count), weigh)

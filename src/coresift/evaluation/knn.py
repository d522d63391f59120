"""A nearest-neighbour probe: how well the classes of a set's rows tell those of rows held out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.centers import Centers
from coresift.clustering.neighbors import neighbors
from coresift.clustering.points import Points
from coresift.evaluation.base import Resources, RowSet, Values
from coresift.evaluation.probe import held_out
from coresift.io.labels import Labels

NEIGHBOURS = 5
MOST_ROWS, MOST_TESTED = 20_000, 5_000
_PURPOSE = "evaluate/knn"
_TILE = 512


def knn_accuracy(
    points: Points, sets: Sequence[RowSet], labels: Labels, resources: Resources
) -> tuple[Values, tuple[str, ...]]:
    """Accuracy on rows held out of a vote of the five nearest rows of each set.

    A vote counts what its row weighs; of classes with equal votes the one with the nearest row
    wins. The rows held out are those of the linear probe, or 5,000 of them; a set votes with its
    other rows, or with 20,000 of them. A set with no such row is never right.

    Parameters
    ----------
    points : Points
        All rows.
    sets : sequence of RowSet
        What to judge.
    labels : Labels
        Classes.
    resources : Resources
        The run's resources.

    Returns
    -------
    values : Values
        ``knn_accuracy``; none where no row is held out.
    notes : tuple of str
        What was sampled.
    """
    seed = resources.seed
    known = points.kept_rows()
    known = known[labels.codes[known] >= 0]
    out = known[held_out(known, seed)]
    if not len(out):
        return {}, ("no knn_accuracy: no row fell into the hold-out",)
    tested = RowSet(out, np.ones(len(out))).at_most(MOST_TESTED, seed, _PURPOSE).rows
    notes = []
    if len(tested) < len(out):
        notes.append(f"knn_accuracy: tested on {len(tested):,} of {len(out):,} rows held out")
    block = points.take(tested)
    found = np.zeros(len(sets))
    with resources.progress.stage("knn", len(sets)) as stage:
        for index, rows_of in enumerate(sets):
            use = (labels.codes[rows_of.rows] >= 0) & ~held_out(rows_of.rows, seed)
            use &= rows_of.weight > 0.0
            voters = RowSet(rows_of.rows[use], rows_of.weight[use])
            if index == 0 and len(voters.rows) > MOST_ROWS:
                notes.append(f"knn_accuracy: {MOST_ROWS:,} of the subset's rows, drawn uniformly")
            voters = voters.at_most(MOST_ROWS, seed, _PURPOSE)
            told = vote(block, points.take(voters.rows), voters, labels, resources)
            found[index] = np.count_nonzero(told == labels.codes[tested]) / len(tested)
            stage.advance(1)
    return {"knn_accuracy": found}, tuple(notes)


def vote(
    block: NDArray[np.float32],
    vectors: NDArray[np.float32],
    voters: RowSet,
    labels: Labels,
    resources: Resources,
) -> NDArray[np.int32]:
    """Class of each row of the block, shape (m,), by its nearest voters; -1 without any."""
    if not len(vectors):
        return np.full(len(block), -1, np.int32)
    centers = Centers.prepare(vectors)
    count = min(NEIGHBOURS, len(vectors))
    codes = labels.codes[voters.rows]

    def task(start: int) -> NDArray[np.int32]:
        near = neighbors(block[start : start + _TILE], centers, count)[0]
        classes = codes[near]
        # what each neighbour's class has from all neighbours; of equals argmax takes the nearest
        same = classes[:, :, None] == classes[:, None, :]
        votes = (same * voters.weight[near][:, None, :]).sum(axis=2)
        return np.take_along_axis(classes, votes.argmax(axis=1)[:, None], axis=1)[:, 0]

    return np.concatenate(list(resources.engine.driver.map(task, range(0, len(block), _TILE))))

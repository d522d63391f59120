"""Quad: a bandit over clusters, which scores few rows and chooses the best of them.

Zhang et al., "Harnessing Diversity for Important Data Selection in Pretraining Large Language
Models", ICLR 2025, and its official code. As there, clusters of high confidence bound are drawn
from in small batches (10 rows), the rows drawn are scored, and it ends when as many rows as are
wanted reach a threshold (0.002 there, for one model's influence). Different is that the
official code then takes 20,000 rows of a cluster of which 10 were scored, where here each row that
is chosen was scored itself; that the 50 best clusters of a round are drawn from once each, where
here one may be drawn from several times (:meth:`coresift.selection.arms.Bandit.draw`); that
clusters do not pass their reward on to those near them; and that ``most`` bounds the work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.saved import SavedClustering
from coresift.core.errors import InputError, ParameterError
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.selection.armrows import ArmRows
from coresift.selection.arms import Bandit, Rule, entropy
from coresift.selection.base import Context, Data
from coresift.selection.params.bandit import BanditParams, RuleParams

# the score of rows, ascending; NaN of a row that has none
Scorer = Callable[[NDArray[np.int64]], NDArray[np.float64]]

_MULTIPLE = 5
_ROUNDS = 32
# of the rows that may be scored: ids, clusters, scores and copies of them while they are sorted
_ROW_BYTES = 150


def select(data: Data, size: Size | None, params: BanditParams, context: Context) -> Selection:
    """Choose rows of high score out of few that are scored.

    ``score`` is the influence or score, ``rank`` the order in which rows are chosen (see
    :meth:`coresift.selection.arms.Bandit.choose`), ``weight`` 1.
    """
    clustering = context.clustering
    if clustering is None:
        raise ParameterError(
            "bandit needs a clustering", hint="run `coresift cluster`, give --clusters DIR"
        )
    if size is None:
        raise ParameterError("bandit needs a size", hint="give -n 5000 or -n 10%")
    n = size.resolve(clustering.rows)
    most = _most(params, n, clustering.rows)
    context.budget.require(most * _ROW_BYTES, f"scores of {most:,} rows")
    step = int(params.per_round or max(params.batch, -(-most // _ROUNDS)))
    scorer = _scorer(data, params, context)
    bandit = Bandit(clustering.size, rule(params, n / clustering.rows))
    order = ArmRows(clustering, context.seed)
    drawn = np.empty(0, np.int64)
    rounds = 0
    with context.progress.stage("draw", most) as stage:
        while len(drawn) < most and not _enough(bandit, params.threshold, n):
            rows = order.rows(bandit.draw(min(step, most - len(drawn))))
            places = len(drawn) + np.argsort(rows)
            drawn = np.concatenate([drawn, rows])
            bandit.tell(places, scorer(drawn[places]))
            rounds += 1
            stage.advance(len(rows))
    picked = Picked.of(bandit, drawn, n, params, params.threshold)
    return picked.selection(
        clustering,
        resolved={"rounds": rounds, "per_round": step, "most": most},
        verb="scored",
    )


def rule(params: RuleParams, share: float) -> Rule:
    """How arms are judged; ``share`` is that of the rows to be chosen."""
    top = Size.parse(params.top).share if params.top is not None else None
    return Rule(
        alpha=params.alpha,
        batch=int(params.batch),
        reward=params.reward,
        top=share if top is None else float(top),
    )


@dataclass(frozen=True)
class Picked:
    """Rows that were chosen of those that were told a score.

    Attributes
    ----------
    bandit : Bandit
        What they were chosen from.
    rows : ndarray of int64, shape (n,)
        Row ids, best first.
    places : ndarray of int64, shape (n,)
        Their places among all draws.
    notes : tuple of str
        What else is to be said.
    """

    bandit: Bandit
    rows: NDArray[np.int64]
    places: NDArray[np.int64]
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        bandit: Bandit,
        drawn: NDArray[np.int64],
        n: int,
        params: RuleParams,
        threshold: float | None = None,
    ) -> Picked:
        """Choose n rows.

        Raises
        ------
        InputError
            When fewer have a score.
        """
        told = bandit.told
        if n > len(told):
            raise InputError(
                f"size {n:,} is more than the {len(told):,} rows that have a score",
                hint=f"ask for at most {len(told):,} with -n, or have more rows scored",
            )
        places = bandit.choose(n, drawn, params.diversity, threshold)
        notes: tuple[str, ...] = ()
        if threshold is not None:
            below = int(np.count_nonzero(bandit.score[places] < threshold))
            if below:
                notes = (
                    f"only {n - below:,} of the rows scored reach --threshold {threshold:g}: "
                    f"{below:,} below it were taken too",
                )
        return cls(bandit, drawn[places], places, notes)

    def selection(
        self, clustering: SavedClustering, *, resolved: dict[str, float | int | str], verb: str
    ) -> Selection:
        """The rows with what is known of them."""
        bandit, n = self.bandit, len(self.rows)
        order = np.argsort(self.rows)
        rank = np.empty(n, np.int32)
        rank[:] = np.arange(n)
        cluster = bandit.arm[self.places]
        scored = len(bandit.told)
        spread, clusters = entropy(cluster), len(np.unique(cluster))
        occupied = int(np.count_nonzero(clustering.size))
        exhausted = int(np.count_nonzero((bandit.drawn == clustering.size) & (bandit.drawn > 0)))
        notes = [
            f"{scored:,} of {clustering.rows:,} rows were {verb} ({scored / clustering.rows:.1%})",
            f"{clusters:,} of {occupied:,} clusters were chosen from, with an entropy of "
            f"{spread:.2f} of at most {np.log(occupied):.2f}",
        ]
        if exhausted:
            notes.append(f"{exhausted:,} clusters were drawn from to their last row")
        return Selection(
            self.rows[order],
            np.ones(n),
            clustering.rows,
            score=bandit.score[self.places][order],
            cluster=cluster[order].astype(np.int32),
            rank=rank[order],
            resolved={"scored": scored, **resolved, "clusters": clusters, "entropy": spread},
            notes=(*notes, *self.notes),
        )


def _most(params: BanditParams, n: int, rows: int) -> int:
    """The most rows to score."""
    if params.most is None:
        return min(rows, _MULTIPLE * n)
    most = Size.parse(params.most).resolve(rows, flag="--most")
    if most < n:
        raise ParameterError(
            f"--most {params.most} lets {most:,} rows be scored, and -n asks for {n:,}",
            hint="each row that is chosen is scored first",
        )
    return most


def _enough(bandit: Bandit, threshold: float | None, n: int) -> bool:
    return threshold is not None and int(np.count_nonzero(bandit.score >= threshold)) >= n


def _scorer(data: Data, params: BanditParams, context: Context) -> Scorer:
    """What gives rows their score."""
    if params.score is None:
        raise ParameterError("bandit needs a score", hint="give --score EXPR")
    return data.lazy(params.score, "--score", context).take

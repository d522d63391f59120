"""Quad: a bandit over clusters, which scores few rows and chooses the best of them.

Zhang et al., "Harnessing Diversity for Important Data Selection in Pretraining Large Language
Models", ICLR 2025, and its official code. As there, clusters of high confidence bound are drawn
from in small batches (10 rows), the rows drawn are scored, and it ends when as many rows as are
wanted reach a threshold (0.002 there, for one model's influence). Different is that the
official code then takes 20,000 rows of a cluster of which 10 were scored, where here each row that
is chosen was scored itself; that the 50 best clusters of a round are drawn from once each, where
here one may be drawn from several times (:mod:`coresift.selection.influences.arms`); that clusters
do not pass their reward on to those near them; that ``most`` bounds the work; and, unless
``--reward mean`` is given, that a cluster is judged by how many of its rows are among the best, not
by their mean: rows are chosen one by one here, and a cluster of high mean may have few of the best.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coresift.clustering.saved import SavedClustering
from coresift.core.errors import InputError, ParameterError
from coresift.core.selection import Selection
from coresift.core.size import Size
from coresift.influence.scores import together
from coresift.selection.base import Context, Data
from coresift.selection.influences.armrows import ArmRows
from coresift.selection.influences.arms import Bandit, Rule, entropy
from coresift.selection.influences.influenced import Resolved, open_influence
from coresift.selection.params.bandit import BanditParams, RuleParams
from coresift.selection.reading.joins import plural

_MULTIPLE = 5
_ROUNDS = 32
# of the rows that may be scored: ids, clusters, scores and copies of them while they are sorted
_ROW_BYTES = 150
# rows whose gradients are held at the same time
_TOGETHER = 2048


def select(data: Data, size: Size | None, params: BanditParams, context: Context) -> Selection:
    """Choose rows of high score out of few that are scored.

    ``score`` is the influence or score, ``rank`` the order in which rows are chosen (see
    :meth:`coresift.selection.influences.arms.Bandit.choose`), ``weight`` 1.
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
    source = _Source.open(data, params, context)
    bandit = Bandit(clustering.size, rule(params, n / clustering.rows))
    order = ArmRows(clustering, context.seed)
    drawn = np.empty(0, np.int64)
    rounds = 0
    with context.progress.stage("draw", most) as stage:
        while len(drawn) < most and not _enough(bandit, params.threshold, n):
            rows = order.rows(bandit.draw(min(step, most - len(drawn))))
            places = len(drawn) + np.argsort(rows)
            drawn = np.concatenate([drawn, rows])
            bandit.tell(places, source.score(drawn[places]))
            rounds += 1
            stage.advance(len(rows))
    resolved = {**source.resolved, "rounds": rounds, "per_round": step, "most": most}
    found = chosen(bandit, drawn, n, params, clustering, resolved, params.threshold)
    notes = [*source.notes, *found.notes]
    without = len(drawn) - len(bandit.told)
    if without:
        notes.append(f"{plural(without, 'row')} drawn without a gradient left out")
    return replace(found, notes=tuple(notes))


def rule(params: RuleParams, share: float) -> Rule:
    """How arms are judged; ``share`` is that of the rows to be chosen."""
    top = Size.parse(params.top).share if params.top is not None else None
    return Rule(
        alpha=params.alpha,
        batch=int(params.batch),
        reward=params.reward,
        top=share if top is None else float(top),
    )


def chosen(
    bandit: Bandit,
    drawn: NDArray[np.int64],
    n: int,
    params: RuleParams,
    clustering: SavedClustering,
    resolved: Resolved,
    threshold: float | None = None,
) -> Selection:
    """Choose of the rows that have a score, whoever gave it.

    Parameters
    ----------
    bandit : Bandit
        The draws.
    drawn : ndarray of int64, shape (m,)
        Ids of the rows drawn.
    n : int
        How many to choose.
    params : RuleParams
        The options.
    clustering : SavedClustering
        The arms.
    resolved : dict
        What else the run set itself.
    threshold : float, optional
        Rows that reach it come first.

    Raises
    ------
    InputError
        When fewer rows have a score.
    """
    scored = len(bandit.told)
    if n > scored:
        raise InputError(
            f"size {n:,} is more than the {scored:,} rows that have a score",
            hint=(f"ask for at most {scored:,} with -n, or " if scored else "")
            + "have more rows scored",
        )
    places = bandit.choose(n, drawn, params.diversity, threshold)
    score, cluster = bandit.score[places], bandit.arm[places]
    spread, clusters = entropy(cluster), len(np.unique(cluster))
    occupied = int(np.count_nonzero(clustering.size))
    notes = [
        f"{scored:,} of {clustering.rows:,} rows were scored ({scored / clustering.rows:.1%})",
        f"{clusters:,} of {occupied:,} clusters were chosen from, with an entropy of {spread:.2f} "
        f"of at most {np.log(occupied):.2f}",
    ]
    never = int(np.count_nonzero((bandit.drawn == 0) & (clustering.size > 0)))
    if never:
        notes.append(f"{plural(never, 'cluster')} never drawn from: the smallest")
    exhausted = int(np.count_nonzero((bandit.drawn == clustering.size) & (bandit.drawn > 0)))
    if exhausted:
        notes.append(f"{plural(exhausted, 'cluster')} drawn from to the last row")
    below = 0 if threshold is None else int(np.count_nonzero(score < threshold))
    if below:
        notes.append(
            f"{n - below:,} rows that reach --threshold {threshold:g} were found, and {below:,} "
            "below it were taken too"
        )
    rows = drawn[places]
    order = np.argsort(rows)
    return Selection(
        rows[order],
        np.ones(n),
        clustering.rows,
        score=score[order],
        cluster=cluster[order].astype(np.int32),
        rank=order.astype(np.int32),
        resolved={"scored": scored, **resolved, "clusters": clusters, "entropy": spread},
        notes=tuple(notes),
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


@dataclass(frozen=True)
class _Source:
    """What gives rows their score: NaN where a row has none; and what is to be told of it."""

    score: Callable[[NDArray[np.int64]], NDArray[np.float64]]
    resolved: Resolved
    notes: list[str]

    @classmethod
    def open(cls, data: Data, params: BanditParams, context: Context) -> _Source:
        if params.score is not None:
            return cls(data.lazy(params.score, "--score", context).take, {}, [])
        opened = open_influence(data, params, context, lazily=True)

        def score(rows: NDArray[np.int64]) -> NDArray[np.float64]:
            found = np.empty(len(rows))
            for start in range(0, len(rows), _TOGETHER):
                some = slice(start, start + _TOGETHER)
                found[some] = together(opened.influence.take(rows[some]), params.how)
            return found

        return cls(score, opened.resolved, opened.notes)

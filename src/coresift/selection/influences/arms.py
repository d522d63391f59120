"""The bandit of Quad: which clusters to draw rows from next, by what was seen of them so far.

Zhang et al., "Harnessing Diversity for Important Data Selection in Pretraining Large Language
Models", ICLR 2025. Clusters are the arms. An arm is drawn from by its score

    CS_i = mean reward of i + alpha sigma sqrt(2 ln(sum_j T_j) / T_i),

where T_i counts the rows drawn from i. The official code writes the bound in units of the influence
(alpha = 0.0001 where influences are about 0.002), so that its alpha means something for one model
only. Here sigma, the standard deviation of rewards within an arm, makes alpha a pure number: UCB1
(Auer et al., 2002) for such rewards is alpha = 1.

Nothing here reads rows or draws at random: the bandit names places in each arm, whose order is
given elsewhere. What it does next is a function of the draws so far and of the scores told for
them, whoever computes these, and in whatever order they were told.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Rule:
    """How arms are judged.

    Attributes
    ----------
    alpha : float
        Weight of the upper confidence: 0 goes by the rewards seen alone.
    batch : int
        Rows drawn from an arm at a time.
    reward : {"hits", "mean"}
        What of a row rewards its arm: whether it is among the best ``top`` of all rows, or its
        score, as in the paper.
    top : float
        See ``reward``; in (0, 1].
    """

    alpha: float
    batch: int
    reward: str
    top: float


class Pull(NamedTuple):
    """Places ``start`` to ``stop`` of an arm."""

    arm: int
    start: int
    stop: int


class Bandit:
    """The arms, the rows drawn from them and the scores told for these.

    Parameters
    ----------
    sizes : ndarray of int64, shape (k,)
        Rows of each arm; an empty arm is never drawn from.
    rule : Rule
        How arms are judged.
    arm : ndarray of int64, shape (m,), optional
        Arm of each row drawn before, in the order of the draws.
    score : ndarray of float64, shape (m,), optional
        Their scores; NaN where none was told.
    """

    def __init__(
        self,
        sizes: NDArray[np.int64],
        rule: Rule,
        arm: NDArray[np.int64] | None = None,
        score: NDArray[np.float64] | None = None,
    ) -> None:
        self.sizes = sizes
        self.rule = rule
        self.arm = np.empty(0, np.int64) if arm is None else arm
        self.score = np.full(len(self.arm), np.nan) if score is None else score.copy()
        self.drawn = np.bincount(self.arm, minlength=len(sizes))

    @property
    def left(self) -> int:
        """Rows not drawn yet."""
        return int(self.sizes.sum() - self.drawn.sum())

    @property
    def told(self) -> NDArray[np.int64]:
        """Which of the rows drawn have a score."""
        return np.flatnonzero(~np.isnan(self.score))

    def tell(self, places: NDArray[np.int64], scores: NDArray[np.float64]) -> None:
        """Take the scores of some of the rows drawn, named by their places among all draws."""
        self.score[places] = scores

    def draw(self, rows: int) -> list[Pull]:
        """Draw rows, a batch at a time from the arm of highest ``CS``; fewer where there are fewer.

        Arms that were never drawn from come first, the largest of them foremost. Rewards are only
        known up to the call: within it a batch lowers the bound of its arm by its T alone, as
        Desautels et al. (2014) do for scores that come in batches. Ties go to the arm least drawn
        from, then to the first.
        """
        pulls: list[Pull] = []
        before = len(self.arm)
        missing = min(rows, self.left)
        fresh = np.flatnonzero((self.drawn == 0) & (self.sizes > 0))
        for arm in fresh[np.argsort(-self.sizes[fresh], kind="stable")].tolist():
            if missing > 0:
                missing -= self._pull(arm, missing, pulls)
        if missing > 0:
            mean, width = self.beliefs()
            spread = self.rule.alpha * width * np.sqrt(2.0 * np.log(self.drawn.sum()))

            def bound(arm: int) -> tuple[float, int, int]:
                drawn = int(self.drawn[arm])
                return -float(mean[arm] + spread / np.sqrt(drawn)), drawn, arm

            heap = [bound(arm) for arm in np.flatnonzero(self.drawn < self.sizes).tolist()]
            heapq.heapify(heap)
            while missing > 0:
                arm = heapq.heappop(heap)[2]
                missing -= self._pull(arm, missing, pulls)
                if self.drawn[arm] < self.sizes[arm]:
                    heapq.heappush(heap, bound(arm))
        arms = [np.full(pull.stop - pull.start, pull.arm, np.int64) for pull in pulls]
        self.arm = np.concatenate([self.arm, *arms])
        self.score = np.append(self.score, np.full(len(self.arm) - before, np.nan))
        return pulls

    def _pull(self, arm: int, most: int, pulls: list[Pull]) -> int:
        start = int(self.drawn[arm])
        stop = min(start + min(self.rule.batch, most), int(self.sizes[arm]))
        self.drawn[arm] = stop
        pulls.append(Pull(arm, start, stop))
        return stop - start

    def beliefs(self) -> tuple[NDArray[np.float64], float]:
        """Mean reward of each arm, and the standard deviation of rewards within arms.

        An arm of which nothing was told is taken to be as all rows told; before anything was,
        all arms are alike.
        """
        told = self.told
        if not len(told):
            return np.zeros(len(self.sizes)), 1.0
        arm, score = self._by_arm(told)
        reward = score
        if self.rule.reward == "hits":
            reward = (score >= self.level()).astype(np.float64)
        return _means(arm, reward, len(self.sizes))

    def level(self) -> float:
        """The score that a share ``top`` of all rows reach, as far as can be told.

        Each row told stands for as many as its arm has for each row told of it.
        """
        arm, score = self._by_arm(self.told)
        stands_for = (self.sizes / np.maximum(np.bincount(arm, minlength=len(self.sizes)), 1))[arm]
        order = np.argsort(-score, kind="stable")
        above = np.cumsum(stands_for[order])
        place = int(np.searchsorted(above, self.rule.top * above[-1]))
        return float(score[order[min(place, len(order) - 1)]])

    def choose(
        self, n: int, rows: NDArray[np.int64], diversity: float, threshold: float | None = None
    ) -> NDArray[np.int64]:
        """The n best rows told, best first, as places among all draws.

        The paper favours clusters that were chosen from less often by the T_i of their bound. Here
        the j-th best row of a cluster is lifted by ``diversity`` sigma sqrt((n/k) / j), which falls
        with the rows chosen of it, as the bound does: by ``diversity`` standard deviations within
        clusters where the cluster has its even share n/k.

        Parameters
        ----------
        n : int
            How many; no more than were told.
        rows : ndarray of int64, shape (m,)
            Ids of the rows drawn; ties go to the lowest.
        diversity : float
            0 takes the best, wherever they are.
        threshold : float, optional
            Rows that reach it come before all others.
        """
        told = self.told
        told = told[np.lexsort((rows[told], -self.score[told], self.arm[told]))]
        arm, score = self.arm[told], self.score[told]
        _, width = _means(arm, score, len(self.sizes))
        counts = np.bincount(arm, minlength=len(self.sizes))
        nth = np.arange(len(arm)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
        share = n / np.count_nonzero(self.sizes)
        value = score + diversity * width * np.sqrt(share / nth)
        behind = np.zeros(len(told), np.bool_) if threshold is None else score < threshold
        return told[np.lexsort((rows[told], -value, behind))[:n]]

    def _by_arm(self, told: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Arm and score of rows, arm by arm: sums do not depend on when scores were told."""
        told = told[np.argsort(self.arm[told], kind="stable")]
        return self.arm[told], self.score[told]


def _means(
    arm: NDArray[np.int64], reward: NDArray[np.float64], arms: int
) -> tuple[NDArray[np.float64], float]:
    """Mean of each arm, that of all where it has no row, and the deviation within arms."""
    # a power of two, exact, so that neither sums nor squares overflow
    scale = math.ldexp(1.0, math.frexp(float(np.abs(reward).max()))[1] - 1)
    reward = reward / scale
    counts = np.bincount(arm, minlength=arms)
    mean = np.bincount(arm, reward, minlength=arms) / np.maximum(counts, 1)
    within = float(np.square(reward - mean[arm]).sum())
    freedom = len(arm) - int(np.count_nonzero(counts))
    width = np.sqrt(within / freedom) if freedom and within else float(np.std(reward))
    return np.where(counts > 0, mean, np.mean(reward)) * scale, float(width) * scale


def entropy(arm: NDArray[np.integer]) -> float:
    """Entropy, in nats, of the clusters of some rows: ln k where k have as many each."""
    share = np.unique(arm, return_counts=True)[1] / max(1, len(arm))
    return float(-(share * np.log(share)).sum()) + 0.0

"""Which of several methods is best by a metric, where that is more than chance."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

FACTOR = 2.0


def best(
    values: Mapping[str, Sequence[float]],
    better: str,
    factor: float = FACTOR,
    fixed: frozenset[str] = frozenset(),
) -> str | None:
    """Method whose mean is better than each other's by more than the spread over seeds.

    The difference of the means must be larger than ``factor`` times the pooled standard
    deviation sqrt((s^2 + t^2) / 2) of the two, with every other method and not only the second.

    Parameters
    ----------
    values : mapping of str to sequence of float
        A metric's values over seeds, by method.
    better : {"higher", "lower"}
        What is better.
    factor : float
        How much larger than the spread a margin must be.
    fixed : frozenset of str
        Methods whose rows do not depend on the seed: one value of theirs has no spread. That of
        any other method is not known from one value, and nothing is better than it for certain.

    Returns
    -------
    str or None
        None where no method stands out.
    """
    if len(values) < 2:
        return None
    spread: dict[str, float] = {}
    for name, found in values.items():
        known = len(found) > 1 or name in fixed
        spread[name] = statistics.stdev(found) if len(found) > 1 else (0.0 if known else math.inf)
    mean = {name: statistics.mean(found) for name, found in values.items()}
    first = (max if better == "higher" else min)(mean, key=lambda name: mean[name])
    for name in values:
        pooled = math.sqrt((spread[first] ** 2 + spread[name] ** 2) / 2.0)
        if name != first and not abs(mean[first] - mean[name]) > factor * pooled:
            return None
    return first

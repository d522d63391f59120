"""The table of ``evaluate`` in words: what a metric means, and whether its value is remarkable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coresift.evaluation.base import Metric

# a value within so many deviations of uniform subsets is like theirs
_REMARKABLE = 2.0
# of the value itself: less than that is how sums were rounded
_ROUNDING = 1e-9

MEANING = {
    "kmeans_cost_error_mean": "how far the weighted k-means cost is off, on average over centers",
    "kmeans_cost_error_max": "the same at the worst centers that were tried",
    "coreset_error_mean": "how far the weighted cost is off at centers that were searched for",
    "coreset_error_max": "the same at the worst of these centers",
    "coverage_mean": "distance from a row to the nearest selected one, on average",
    "coverage_max": "the same for the row that is farthest from all selected ones",
    "mmd": "distance of the weighted selection from all rows, as distributions (Gaussian kernel)",
    "clusters_hit": "share of the clusters that hold a selected row",
    "label_entropy": "how evenly the selected rows are spread over the classes, in nats",
    "label_min_share": "share of the class that has the fewest selected rows",
    "probe_accuracy": "accuracy of a linear classifier that learned from the selection",
    "probe_accuracy_full": "accuracy of the same classifier when it learns from all rows",
    "p_precision": "how likely a selected row lies where other rows do; low with outliers",
    "p_recall": "how likely a row lies where selected rows do",
    "knn_coverage": "share of rows with a selected row as near as their fifth neighbour",
    "sliced_wasserstein": "how far mass moves from the weighted selection to all rows, in the mean "
    "over directions",
    "vendi_score": "effective number of different selected rows, by their cosines",
    "duplicates_equal": "share of selected rows that are equal to another one",
    "duplicates_near": "share of selected rows with another one very near",
    "knn_accuracy": "accuracy on rows held out, of a vote of the five nearest selected rows",
    "agree_cka": "how alike another model sees the selected rows (linear CKA)",
    "agree_jaccard": "share of a selected row's ten neighbours that another model agrees on",
    "influence_effect": "what leaving the highest scores out does to the loss of the target",
    "lds": "how the scores of random halves rank with the loss after training on them",
    "lds_exact": "the same of a probe's influence, by its Hessian",
    "lds_kfac": "the same by the Hessian's Kronecker factors",
    "lds_fisher": "the same by the empirical Fisher",
    "lds_diagonal": "the same by the diagonal of the Hessian",
    "lds_identity": "the same without a Hessian",
    "lds_kernel": "the same by the pseudo-NTK",
}


@dataclass(frozen=True)
class Line:
    """One metric.

    Attributes
    ----------
    name, meaning : str
        Its name, and what it is in a few words; may be empty.
    value, uniform, deviation : str
        Of the selection, and of uniform subsets with their deviation; empty for a single one.
    better : str
        ``higher`` or ``lower``.
    verdict : str
        ``better``, ``worse`` or ``alike``: beside uniform subsets.
    """

    name: str
    meaning: str
    value: str
    uniform: str
    deviation: str
    better: str
    verdict: str


def lines(metrics: Mapping[str, Metric]) -> tuple[Line, ...]:
    """Each metric as a line of the table."""
    return tuple(_line(name, metric) for name, metric in metrics.items())


def _line(name: str, metric: Metric) -> Line:
    return Line(
        name=name,
        meaning=MEANING.get(name, ""),
        value=f"{metric.value:.4g}",
        uniform=f"{metric.random:.4g}",
        deviation="" if metric.random_std is None else f"{metric.random_std:.2g}",
        better=metric.better,
        verdict=_verdict(metric),
    )


def _verdict(metric: Metric) -> str:
    lead = metric.value - metric.random
    if metric.better == "lower":
        lead = -lead
    if metric.random_std is None:
        return "alike"
    # where uniform subsets do not differ, rounding is no lead
    if abs(lead) <= max(_REMARKABLE * metric.random_std, _ROUNDING * abs(metric.random)):
        return "alike"
    return "better" if lead > 0.0 else "worse"

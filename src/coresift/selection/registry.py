"""The selection methods, at a glance. Nothing heavy is imported before a method is run."""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Literal, cast

from coresift.core.errors import ParameterError
from coresift.selection.params.draw import RANDOM

if TYPE_CHECKING:
    from coresift.selection.base import Select
    from coresift.selection.option import Params


@dataclass(frozen=True)
class Method:
    """What there is to know of a method without running it.

    Attributes
    ----------
    name : str
        As on the command line.
    summary : str
        One line.
    paper : str
        Where it comes from; empty when it needs no reference.
    needs : tuple of str
        What the user must bring: ``clustering``, ``score``, ``probabilities`` (as the vectors), a
        ``target``.
    streaming : bool
        Whether it works at any number of rows within the memory budget.
    adds : tuple of str
        Columns it adds to the input's.
    adds_with_clusters : tuple of str
        Those it adds besides where it is given a clustering that it could do without.
    size : {"required", "optional", "none"}
        Whether it takes ``-n``.
    takes : tuple of str
        What the user may bring: ``clustering``, ``losses``.
    either : tuple of str
        Of which the user must bring one, besides: ``score``, ``gradients``, ``labels``.
    random : bool
        Whether its result depends on the seed, unless options say otherwise.
    random_with : dict
        By name, the choices of an option with which it does where it else does not.
    reads : tuple of str
        What it reads before it writes: ``vectors``, ``gradients``, ``columns``, ``pairs`` of
        vectors or, as often as it stands here, ``assignments``.
    """

    name: str
    summary: str
    paper: str
    needs: tuple[str, ...]
    streaming: bool
    adds: tuple[str, ...] = ("row", "weight")
    adds_with_clusters: tuple[str, ...] = ()
    size: Literal["required", "optional", "none"] = "required"
    takes: tuple[str, ...] = ()
    either: tuple[str, ...] = ()
    random: bool = True
    random_with: dict[str, tuple[str, ...]] = field(default_factory=dict)
    reads: tuple[str, ...] = ("vectors",)

    @property
    def params(self) -> type[Params]:
        """Its options: ``KCenterParams`` of ``params/k_center.py``."""
        title = "".join(word.capitalize() for word in self.name.split("-"))
        return cast("type[Params]", getattr(self._module("params"), f"{title}Params"))

    def load(self) -> Select:
        """Import the method: ``select`` of ``methods/k_center.py``."""
        return cast("Select", self._module("methods").select)

    def _module(self, package: str) -> ModuleType:
        name = self.name.replace("-", "_")
        return importlib.import_module(f"coresift.selection.{package}.{name}")

    def added(self, *, clustered: bool) -> tuple[str, ...]:
        """Columns it adds, with a clustering or without."""
        return (*self.adds, *self.adds_with_clusters) if clustered else self.adds

    def to_json(self) -> dict[str, object]:
        """Return the fields that ``coresift methods --json`` shows."""
        return {
            "name": self.name,
            "summary": self.summary,
            "paper": self.paper,
            "needs": list(self.needs),
            "needs_one_of": list(self.either),
            "streaming": self.streaming,
        }


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            name="balanced",
            summary="Hierarchical balanced sampling: clusters share the rows evenly, level by "
            "level, so that rare concepts are kept.",
            paper="Vo et al., Automatic Data Curation for Self-Supervised Learning: A "
            "Clustering-Based Approach, 2024",
            needs=("clustering",),
            streaming=True,
            reads=("assignments",),
            adds=("row", "weight", "cluster"),
        ),
        Method(
            name="bandit",
            summary="Quad: rows are drawn from the clusters that promise most, and only their "
            "influence, or score, is computed.",
            paper="Zhang et al., Harnessing Diversity for Important Data Selection in Pretraining "
            "Large Language Models, ICLR 2025",
            needs=("clustering",),
            either=("score", "gradients", "labels"),
            streaming=True,
            takes=("target",),
            reads=(*("assignments",) * 3, "gradients"),
            adds=("row", "weight", "score", "cluster", "rank"),
        ),
        Method(
            name="coreset",
            summary="A weighted coreset: its k-means, k-median or k-center cost is near that of "
            "all rows for any centers.",
            paper="Bachem et al., Practical Coreset Constructions for Machine Learning, 2017, and "
            "Scalable k-Means Clustering via Lightweight Coresets, KDD 2018; Cohen-Addad et al., A "
            "New Coreset Framework for Clustering, STOC 2021; Huang et al., On Coresets for "
            "Clustering in Small Dimensional Euclidean Spaces, ICML 2023",
            needs=(),
            streaming=True,
            takes=("clustering",),
            reads=("vectors", *("assignments",) * 6),
        ),
        Method(
            name="dedup",
            summary="Semantic deduplication: of rows nearer to each other than a threshold, one "
            "is kept.",
            paper="Abbas et al., SemDeDup: Data-Efficient Learning at Web-Scale Through Semantic "
            "Deduplication, 2023",
            needs=(),
            streaming=True,
            reads=("vectors", "pairs"),
            size="none",
            takes=("clustering",),
            random=False,
        ),
        Method(
            name="facility-location",
            summary="Facility location: rows that all others are most similar to one of.",
            paper="Nemhauser, Wolsey and Fisher, An Analysis of Approximations for Maximizing "
            "Submodular Set Functions, 1978; Mirzasoleiman et al., Distributed Submodular "
            "Maximization: Identifying Representative Elements in Massive Data, NeurIPS 2013",
            needs=(),
            streaming=True,
            adds=("row", "weight", "score", "rank"),
            takes=("clustering",),
            random=False,
            random_with={"optimizer": ("stochastic",)},
        ),
        Method(
            name="herding",
            summary="Kernel herding: again and again the row that brings the mean of those chosen "
            "nearest to the mean of all, as a kernel sees them.",
            paper="Chen, Welling and Smola, Super-Samples from Kernel Herding, UAI 2010",
            needs=(),
            streaming=True,
            adds=("row", "weight", "score", "rank"),
            takes=("clustering",),
            # but for the rows that the bandwidth is measured on, where there are over 1,000
            random=False,
        ),
        Method(
            name="influence",
            summary="Influence: the rows that training on helps a target most, or harms it, by "
            "their gradients and its.",
            paper="Koh and Liang, Understanding Black-box Predictions via Influence Functions, "
            "ICML 2017; Pruthi et al., Estimating Training Data Influence by Tracing Gradient "
            "Descent, NeurIPS 2020; Xia et al., LESS: Selecting Influential Data for Targeted "
            "Instruction Tuning, ICML 2024; Martens and Grosse, Optimizing Neural Networks with "
            "Kronecker-factored Approximate Curvature, ICML 2015",
            needs=("target",),
            either=("gradients", "labels"),
            streaming=True,
            adds=("row", "weight", "score", "rank"),
            size="optional",
            adds_with_clusters=("cluster",),
            reads=("gradients",),
            takes=("clustering",),
            # but for --hessian-rows, whose rows are drawn
            random=False,
            random_with={"draw": RANDOM},
        ),
        Method(
            name="k-center",
            summary="Greedy k-center: again and again the row farthest from those chosen, so that "
            "no row is far from all of them.",
            paper="Gonzalez, Clustering to Minimize the Maximum Intercluster Distance, 1985; Sener "
            "and Savarese, Active Learning for Convolutional Neural Networks: A Core-Set Approach, "
            "ICLR 2018",
            needs=(),
            streaming=True,
            adds=("row", "weight", "score", "rank"),
        ),
        Method(
            name="kernel-thinning",
            summary="Kernel thinning: all rows halved again and again so that each half resembles "
            "the other, in near-linear time, and then exchanged for better ones.",
            paper="Dwivedi and Mackey, Kernel Thinning, JMLR 2024, and Generalized Kernel "
            "Thinning, ICLR 2022; Shetty, Dwivedi and Mackey, Distribution Compression in "
            "Near-Linear Time, ICLR 2022",
            needs=(),
            streaming=True,
            adds=("row", "weight", "rank"),
            takes=("clustering",),
        ),
        Method(
            name="max-min",
            summary="GIST: rows of high utility, or any, whose least distance from each other is "
            "large.",
            paper="Fahrbach et al., GIST: Greedy Independent Set Thresholding for Max-Min "
            "Diversification with Submodular Utility, NeurIPS 2025",
            needs=(),
            streaming=True,
            adds=("row", "weight", "score", "rank"),
            takes=("clustering",),
            random=False,
        ),
        Method(
            name="probability-coverage",
            summary="PCoreSet: k-center in the space of predicted probabilities, from a few rows "
            "of each class.",
            paper="Kang et al., PCoreSet: Effective Active Learning through Knowledge Distillation "
            "from Vision-Language Models, 2025",
            needs=("probabilities",),
            streaming=True,
            adds=("row", "weight", "score", "rank"),
        ),
        Method(
            name="prototypes",
            summary="Hard or easy rows, by their distance to the nearest centroid, with a floor "
            "for each cluster or class.",
            paper="Sorscher et al., Beyond Neural Scaling Laws: Beating Power Law Scaling via "
            "Data Pruning, NeurIPS 2022",
            needs=("clustering",),
            streaming=True,
            reads=("assignments",) * 3,
            adds=("row", "weight", "score", "cluster", "rank"),
            size="optional",
            random=False,
            random_with={"draw": RANDOM},
        ),
        Method(
            name="random",
            summary="Uniform without replacement, or stratified by a column.",
            paper="",
            needs=(),
            streaming=True,
        ),
        Method(
            name="semantic-compression",
            summary="Semantic compression: rows that cover the others, or what is relevant to "
            "queries, and differ from each other.",
            paper="Raja and Vats, Beyond Nearest Neighbors: Semantic Compression and "
            "Graph-Augmented Retrieval for Enhanced Vector Search, 2025",
            needs=(),
            streaming=True,
            adds=("row", "weight", "score", "rank"),
            takes=("clustering",),
            random=False,
        ),
        Method(
            name="sensitivity",
            summary="Clustering-based sensitivity sampling: rows by the loss of their cluster "
            "and their distance to its centroid, with weights that keep sums unbiased.",
            paper="Axiotis et al., Data-Efficient Learning via Clustering-Based Sensitivity "
            "Sampling: Foundation Models and Beyond, ICML 2024",
            needs=("clustering",),
            streaming=True,
            reads=("assignments",) * 6,
            takes=("losses",),
            adds=("row", "weight", "score", "cluster"),
        ),
        Method(
            name="stochastic",
            summary="Stochastic batch acquisition: rows at random, the more likely the higher they "
            "score or rank.",
            paper="Kirsch et al., Stochastic Batch Acquisition: A Simple Baseline for Deep Active "
            "Learning, TMLR 2023",
            needs=("score",),
            streaming=True,
            reads=("vectors", "columns"),
            adds=("row", "weight", "score", "rank"),
            size="optional",
        ),
        Method(
            name="top-k",
            summary="The rows of highest or lowest score, over all or per group, or drawn by it.",
            paper="",
            needs=("score",),
            streaming=True,
            reads=("vectors", "columns"),
            adds=("row", "weight", "score", "rank"),
            size="optional",
            random=False,
            random_with={"draw": RANDOM},
        ),
    )
}


def find(name: str) -> Method:
    """Return the method of a name.

    Raises
    ------
    ParameterError
        When there is none.
    """
    method = METHODS.get(name)
    if method is None:
        near = difflib.get_close_matches(name, METHODS, 1)
        raise ParameterError(
            f"no selection method {name!r}",
            hint=f"did you mean {near[0]}?" if near else f"the methods are {', '.join(METHODS)}",
        )
    return method

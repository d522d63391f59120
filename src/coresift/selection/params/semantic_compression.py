"""Options of ``semantic-compression``."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.core.errors import ParameterError
from coresift.selection.option import option
from coresift.selection.params.similarity import SimilarityParams


@dataclass(frozen=True)
class SemanticCompressionParams(SimilarityParams):
    """Options of ``semantic-compression``."""

    lambda_: float = option(
        "How much the mean distance of two chosen rows, 1 - similarity, counts beside the mean "
        "coverage of a row; both lie between 0 and 1.",
        kind="number",
        default=0.1,
        minimum=0.0,
        metavar="NUMBER",
    )
    around: str | None = option(
        "Queries: a dump of vectors from the same model. Rows then count by their relevance to "
        "them, and not all alike.",
        kind="path",
        metavar="PATH",
    )
    neighbors: float = option(
        "With --around: how many rows are the neighbours of a query, and of a row in the graph.",
        kind="number",
        default=10.0,
        minimum=1,
        metavar="ROWS",
    )
    blend: float = option(
        "With --around: share of the relevance that comes from the graph; the rest is similarity "
        "to the query, of its neighbours.",
        kind="number",
        default=0.5,
        minimum=0.0,
        maximum=1.0,
        metavar="SHARE",
    )
    damping: float = option(
        "With --around: how likely a walk on the graph goes on to a neighbour rather than back to "
        "those of the query.",
        kind="number",
        default=0.85,
        minimum=0.0,
        maximum=0.99,
        metavar="SHARE",
    )

    def check(self) -> None:
        """Refuse neighbours that are not whole, and options of queries that are not there."""
        super().check()
        if self.neighbors != int(self.neighbors):
            raise ParameterError(f"--neighbors {self.neighbors:g} is not a whole number")
        for item in self.options():
            value = getattr(self, item.field)
            if (
                self.around is None
                and item.field in ("neighbors", "blend", "damping")
                and value != item.default
            ):
                raise ParameterError(
                    f"{item.flag} is about queries, and there are none", hint="add --around PATH"
                )

"""Options of methods that go by how similar rows are."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.selection.option import option
from coresift.selection.params.pool import PoolParams


@dataclass(frozen=True)
class SimilarityParams(PoolParams):
    """What methods take that go by how similar rows are."""

    similarity: str | None = option(
        "How similar two rows are. cosine: the cosine of their vectors, 0 where it is negative. "
        "gaussian: exp(-distance^2 / (2 h^2)), h being the median distance of two rows. Default: "
        "cosine under --metric cosine, else gaussian.",
        choices=("cosine", "gaussian"),
    )

    def kind(self, cosine: bool) -> str:
        """Which similarity is meant, under ``--metric cosine`` or not."""
        return self.similarity or ("cosine" if cosine else "gaussian")

"""Options of methods that pick from rows in memory, and from larger dumps pool by pool."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.core.errors import ParameterError
from coresift.selection.option import option
from coresift.selection.params.given import GivenParams


@dataclass(frozen=True)
class PoolParams(GivenParams):
    """How many rows are picked from at once, and what they have in common."""

    pool_size: float | None = option(
        "Most rows to pick from at once. Larger dumps are cut into pools; what is picked from "
        "each is picked from again. It bounds memory and time, and can change the rows that are "
        "chosen.",
        kind="number",
        minimum=2,
        metavar="ROWS",
    )
    partition: str = option(
        "What the rows of a pool have in common: their place in the dump, or their clusters in "
        "--clusters.",
        default="shard",
        choices=("shard", "cluster"),
    )

    def check(self) -> None:
        """Refuse a pool size that is not whole."""
        super().check()
        if self.pool_size is not None and self.pool_size != int(self.pool_size):
            raise ParameterError(f"--pool-size {self.pool_size:g} is not a whole number")

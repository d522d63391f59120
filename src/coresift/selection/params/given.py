"""Options of methods that choose rows for how they cover the data together."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.selection.option import Params, option


@dataclass(frozen=True)
class GivenParams(Params):
    """What methods take that choose rows for how they cover the data together."""

    given: str | None = option(
        "Rows that are held already, such as a labelled set: an earlier selection from this dump, "
        "or any Parquet with a column `row`. They cover what is near them and are not chosen "
        "again.",
        kind="path",
        metavar="SUBSET",
    )

"""Which worker an item belongs to: the one that has the rows where it starts."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from coresift.distributed.rows import cuts_of
from coresift.io.dump import Shard


def place(items: Sequence[object], workers: int) -> list[int]:
    """Worker of each item.

    Runs of rows, shards and first rows go where these rows are; anything else is dealt out in
    equal runs.
    """
    spans = [_span(item) for item in items]
    known = [span for span in spans if span is not None]
    if len(known) < len(items):
        known = [(index, index + 1) for index in range(len(items))]
    end = max(stop for _, stop in known)
    cuts = cuts_of(end, workers)
    return [min(workers - 1, bisect.bisect_right(cuts, start) - 1) for start, _ in known]


def _span(item: object) -> tuple[int, int] | None:
    if isinstance(item, Shard):
        return item.span
    if isinstance(item, int):
        return item, item + 1
    if isinstance(item, tuple) and len(item) >= 2 and all(isinstance(part, int) for part in item):
        start, stop = item[:2]
        return (start, stop) if 0 <= start < stop else None
    return None

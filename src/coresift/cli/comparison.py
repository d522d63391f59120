"""The tables of ``coresift compare``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from coresift.cli.console import show_facts, show_table
from coresift.core.size import format_bytes


def show_comparison(facts: Mapping[str, Any]) -> None:
    """Print what ``compare`` found: a table for each size, and a method for each column."""
    for size in facts["sizes"]:
        total = facts["rows_full"]
        show_facts({"rows": f"{size:,}" + (f" of {total:,}" if total is not None else "")})
        rows = []
        for one in facts["standings"]:
            if one["size"] != size:
                continue
            form = format_bytes if one["metric"] == "peak_rss_bytes" else "{:.4g}".format
            uniform = "" if one["random"] is None else _spread(one["random"], one["random_std"])
            found = [
                _spread(mean, one["std"][method], form) + (" *" if method == one["best"] else "")
                for method, mean in one["mean"].items()
            ]
            rows.append([one["metric"], one["better"], uniform, *found])
        show_table(["metric", "better", "uniform", *facts["methods"]], rows)
    output = {} if facts["output"] is None else {"output": facts["output"]}
    marked = (
        f"* better than every other method by more than {facts['margin']:g} times the pooled "
        "standard deviation"
    )
    show_facts(output, [marked, *facts["notes"]])


def _spread(mean: float, std: float | None, form: Callable[[float], str] = "{:.4g}".format) -> str:
    """A mean and its standard deviation, where that is known and there is any."""
    return form(mean) + (f" \u00b1 {std:.2g}" if std and form != format_bytes else "")

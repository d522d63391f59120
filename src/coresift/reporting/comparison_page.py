"""A comparison of methods as one page that needs nothing else."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from coresift.evaluation.margin import FACTOR
from coresift.reporting.comparison import Sides
from coresift.reporting.template import render


def comparison_page(content: Sides) -> str:
    """Write the page, see :func:`coresift.reporting.template.render`."""
    return render(
        "compare",
        _data(content),
        content=content,
        figures=content.figures,
        tables=content.tables,
        methods=content.titles,
        margin=f"{FACTOR:g}",
        facts=_facts(content),
    )


def _facts(content: Sides) -> dict[str, str]:
    """What stands under the title."""
    made = content.provenance
    return {
        "methods": f"{len(content.methods):,}",
        "sizes": ", ".join(f"{size:,}" for size in content.sizes),
        "seeds": ", ".join(map(str, content.seeds)),
        "uniform subsets": str(made.params.get("repeats", "")),
        "rows of the input": f"{made.fingerprint['rows']:,}",
        "version": made.version,
    }


def _data(content: Sides) -> dict[str, Any]:
    return {
        "methods": content.titles,
        "sizes": sorted(content.sizes),
        "log": content.log,
        "figures": [
            {name: value for name, value in asdict(figure).items() if name not in ("meaning",)}
            for figure in content.figures
        ],
    }

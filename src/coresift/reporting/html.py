"""The report as one page that needs nothing else: styles, scripts, data and library in it."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coresift.reporting.content import Content
from coresift.reporting.drawn import Layout
from coresift.reporting.metrics import lines
from coresift.reporting.template import render, share

# of the packed data that texts under the pointer may take, once packed
_TEXT_BYTES = 4_000_000
_LEAST_TEXT = 24
_ROUNDED = 12


def page(content: Content) -> str:
    """Write the page, see :func:`coresift.reporting.template.render`."""
    return render(
        "page",
        _data(content),
        content=content,
        lines=lines(content.metrics),
        facts=_facts(content),
    )


def _facts(content: Content) -> dict[str, str]:
    """What stands under the title."""
    made = content.provenance
    drawn = content.drawn
    facts = {"rows": f"{drawn.all_rows:,}"}
    if content.is_selection:
        part = drawn.all_chosen / max(1, drawn.all_rows)
        facts = {"selected": f"{drawn.all_chosen:,} of {drawn.all_rows:,} rows ({share(part)})"}
    facts["method"] = made.method
    facts["clusters"] = f"{len(content.clusters.size):,}"
    facts["dimensions"] = f"{content.dim:,}"
    facts["seed"] = str(made.seed)
    facts["version"] = made.version
    return facts


def _data(content: Content) -> dict[str, Any]:
    return {
        "selection": content.is_selection,
        "points": _points(content),
        "layouts": [_layout(layout) for layout in content.layouts],
        "density": None
        if content.density is None
        else "data:image/png;base64," + base64.b64encode(content.density).decode(),
        "colourings": [
            {
                "key": item.key,
                "title": item.title,
                "scale": item.scale,
                "codes": _bytes(item.codes),
                "names": item.names,
                "about": item.about,
            }
            for item in content.colourings
        ],
        "distributions": [
            {
                "title": item.title,
                "edges": _floats(item.edges),
                "spreads": [
                    {"name": part.name, "role": part.role, "shares": _floats(part.shares)}
                    for part in item.spreads
                ],
            }
            for item in content.distributions
        ],
        "sizes": _sizes(content),
    }


def _points(content: Content) -> dict[str, Any]:
    rows, clusters, facts = content.drawn.rows, content.clusters, content.facts
    classes = content.classes
    found: dict[str, Any] = {
        "steps": _bytes(np.diff(rows, prepend=0).astype("<u4")),
        "chosen": _bytes(content.drawn.chosen.astype(np.uint8)),
        "cluster": _bytes(clusters.label[rows].astype("<u4")),
        "distance": _short(clusters.distance[rows]),
        "weight": None if facts.weight is None else _short(facts.weight),
        "score": None if facts.score is None else _short(facts.score),
        "label": None,
        "names": [],
        "column": "",
        "text": None if facts.text is None else fitting(facts.text),
    }
    if classes is not None:
        used, codes = np.unique(classes.codes[rows], return_inverse=True)
        names = ["" if code < 0 else classes.names[code] for code in used.tolist()]
        found.update(label=_bytes(codes.astype("<u4")), names=names, column=classes.column)
    return found


def fitting(texts: list[str]) -> list[str]:
    """Texts cut so short that all of them fit into their part of the page."""
    limit = max(map(len, texts), default=0)
    for _ in range(4):
        size = len(gzip.compress(json.dumps(texts).encode(), 6))
        if size <= _TEXT_BYTES or limit <= _LEAST_TEXT:
            break
        limit = max(_LEAST_TEXT, int(0.9 * limit * _TEXT_BYTES / size))
        texts = [text if len(text) <= limit else text[: limit - 1] + "\u2026" for text in texts]
    return texts


def _layout(layout: Layout) -> dict[str, Any]:
    return {
        "name": layout.name,
        "x": _bytes(layout.x.astype("<i2")),
        "y": _bytes(layout.y.astype("<i2")),
        "box": layout.box,
        "axes": layout.axes,
        "about": layout.about,
        "points": layout.points,
        "chosen": layout.chosen,
    }


def _sizes(content: Content) -> dict[str, Any]:
    """Share of the rows and of the selected rows of each cluster, the largest cluster first."""
    clusters = content.clusters
    order = np.argsort(-clusters.size, kind="stable")
    found = {
        "clusters": order.tolist(),
        "rows": _floats(clusters.size[order] / max(1, int(clusters.size.sum()))),
        "chosen": None,
    }
    if clusters.chosen is not None:
        total = max(1, int(clusters.chosen.sum()))
        found["chosen"] = _floats(clusters.chosen[order] / total)
    return found


def _bytes(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _short(values: NDArray[np.floating]) -> str:
    """Float32 of three digits: what is not there compresses well."""
    bits = values.astype("<f4").view("<u4")
    half = np.uint32(1 << (_ROUNDED - 1))
    finite = np.isfinite(values)
    kept = np.where(finite, bits + half, bits) >> np.uint32(_ROUNDED) << np.uint32(_ROUNDED)
    return _bytes(kept.astype("<u4"))


def _floats(values: NDArray[np.floating]) -> list[float]:
    return [float(f"{value:.5g}") for value in values.tolist()]

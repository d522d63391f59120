"""What all pages are made by: templates, styles, scripts and packed data, in one file."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from importlib import resources
from typing import Any

from coresift.core.size import format_bytes


def render(name: str, data: dict[str, Any], **shown: Any) -> str:
    """Write a page that needs nothing else.

    Whatever comes from the dump is put into the page as text: by the template, which escapes all,
    or in packed data, which the script shows as text. Should a piece of it be taken for a script
    even so, the page's policy lets none run but its own, and no request leave.

    Parameters
    ----------
    name : str
        Of the template, and of its script.
    data : dict
        What the script is given, as JSON holds it.
    **shown
        What the template is given.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    folder = resources.files("coresift.reporting") / "page"
    own = "\n".join((folder / f"{part}.js").read_text() for part in ("shared", name))
    scripts = {"plotly": get_plotlyjs(), "script": own}
    for title, script in scripts.items():
        # a policy knows a script by its exact text, which ends at the first closing tag
        assert "</script" not in script.lower(), title
    environment = Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        loader=FunctionLoader(lambda part: (folder / part).read_text()),
    )
    environment.filters.update(number=_number, count=_count, share=share, size=format_bytes)
    return environment.get_template(f"{name}.html.j2").render(
        hashes=[_hash(script) for script in scripts.values()],
        style=(folder / "page.css").read_text(),
        data=_packed(data),
        **scripts,
        **shown,
    )


def share(value: float) -> str:
    """A part of a whole, in percent."""
    percent = 100.0 * value
    return f"{percent:.1f}%" if percent >= 0.1 or percent == 0.0 else "< 0.1%"


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _count(value: int) -> str:
    return f"{value:,}"


def _number(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _packed(data: dict[str, Any]) -> str:
    """JSON, compressed without a time stamp, in base64."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()

"""The map as one picture, by matplotlib: for a page of documentation, a slide or a chat."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from coresift.reporting.colours import GREY, Colouring
from coresift.reporting.content import Content
from coresift.reporting.drawn import ABSENT, Layout

HUES = (
    *("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"),
    *("#8d6bd1", "#a6a51f", "#c2334d", "#17a2b8", "#a0705a", "#5d9c3f"),
)
_STEPS = ("#f2b48c", "#e98a5a", "#d6613a", "#b53f2b", "#842b2f", "#4d1d31")
SOFT = "#59626d"
_ACCENT, _REST = "#b93c0c", "#9aa3ad"
_LONG = 28
# selected points that are so many are drawn smaller
_CROWD = 10_000


def save_picture(content: Content, colouring: Colouring, layout: Layout, path: Path) -> None:
    """Draw the map with a legend.

    Parameters
    ----------
    content : Content
        The report.
    colouring : Colouring
        What points are coloured by.
    layout : Layout
        Where they lie.
    path : Path
        A PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    there = layout.x != ABSENT
    x, y = layout.x.astype(np.float32), layout.y.astype(np.float32)
    left, right, bottom, top = layout.box
    if content.density is not None and layout is content.layouts[0]:
        _behind(axes, content.density)
    small = 1.0 if content.drawn.all_rows > 60_000 else 3.0
    crowded = layout.chosen > _CROWD
    for chosen in (False, True):
        for code in (GREY, *range(len(colouring.names))):
            some = there & (colouring.codes == code) & (content.drawn.chosen == chosen)
            if some.any():
                axes.scatter(
                    x[some],
                    y[some],
                    s=small * (1.0 if not chosen else 2.0 if crowded else 4.0),
                    c=shade(colouring, code),
                    alpha=_alpha(content, chosen=chosen, crowded=crowded),
                    linewidths=0.3 if chosen and not crowded else 0.0,
                    edgecolors="white",
                    rasterized=True,
                )
    axes.set(xlim=(-33_000, 33_000), ylim=(-33_000, 33_000), xticks=[], yticks=[])
    axes.set_box_aspect((top - bottom) / (right - left))
    axes.set_xlabel(plain(layout.axes[0]), color=SOFT)
    axes.set_ylabel(plain(layout.axes[1]), color=SOFT)
    axes.spines[:].set_color("#dfe3e8")
    axes.set_title(_title(content), loc="left", fontsize=12)
    _legend(axes, colouring)
    figure.savefig(path, format="png", metadata={"Software": None})


def _alpha(content: Content, *, chosen: bool, crowded: bool) -> float:
    if not content.is_selection:
        return 0.7
    return (0.6 if crowded else 0.95) if chosen else 0.4


def shade(colouring: Colouring, code: int) -> str:
    """Colour of a code on white."""
    if code == GREY:
        return _REST
    if colouring.scale == "selection":
        return _ACCENT
    if colouring.scale == "hues":
        return HUES[code % len(HUES)]
    last = len(colouring.names) - 1
    return _STEPS[round(code / last * (len(_STEPS) - 1)) if last else -1]


def _behind(axes: object, density: bytes) -> None:
    import io

    from PIL import Image

    picture = np.asarray(Image.open(io.BytesIO(density)).convert("RGBA"))
    reach = 32_767
    axes.imshow(picture, extent=(-reach, reach, -reach, reach), aspect="auto", zorder=0)  # type: ignore[attr-defined]


def _legend(axes: object, colouring: Colouring) -> None:
    from matplotlib.lines import Line2D

    names = {code: _short(name) for code, name in enumerate(colouring.names)}
    rest = {"selection": "not selected", "steps": "no value"}.get(colouring.scale, "others")
    if (colouring.codes == GREY).any():
        names[GREY] = rest
    dots = [
        Line2D([], [], linestyle="", marker="o", color=shade(colouring, code), label=plain(name))
        for code, name in names.items()
    ]
    axes.legend(  # type: ignore[attr-defined]
        handles=dots,
        title=plain(_short(colouring.title)),
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
        alignment="left",
    )


def _title(content: Content) -> str:
    drawn = content.drawn
    rows = f"{drawn.all_rows:,} rows"
    if content.is_selection:
        rows = f"{drawn.all_chosen:,} of {rows}, {content.provenance.method}"
    return plain(f"{_short(content.name)}: {rows}")


def _short(text: str) -> str:
    return text if len(text) <= _LONG else text[: _LONG - 1] + "\u2026"


def plain(text: str) -> str:
    """Text that is not read as mathematics."""
    return text.replace("$", r"\$")

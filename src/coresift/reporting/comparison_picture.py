"""The curves of a comparison as one picture, by matplotlib."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coresift.core.size import format_bytes
from coresift.reporting.comparison import Figure, Sides
from coresift.reporting.picture import HUES, SOFT, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ACROSS = 3
_WIDE, _HIGH = 4.0, 2.6
_MARKS = "osD^Pv*"
_GREY = "#8b949e"
_LONG = 28


def save_curves(content: Sides, path: Path) -> None:
    """Draw a figure for each metric and cost, with one legend.

    Parameters
    ----------
    content : Sides
        The report.
    path : Path
        A PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Sheet

    figures = content.figures
    across = min(_ACROSS, len(figures))
    down = math.ceil(len(figures) / across)
    sheet = Sheet(
        figsize=(_WIDE * across, _HIGH * down + 0.8), dpi=150, layout="constrained",
        facecolor="white",
    )  # fmt: skip
    FigureCanvasAgg(sheet)
    places = sheet.subplots(down, across, squeeze=False).flatten()
    for axes, figure in zip(places, figures, strict=False):
        _draw(axes, content, figure)
    for axes in places[len(figures) :]:
        axes.set_visible(False)
    handles, names = places[0].get_legend_handles_labels()
    sheet.legend(handles, names, loc="outside upper left", ncols=min(5, len(names)), frameon=False)
    sheet.savefig(path, format="png", metadata={"Software": None})


def _draw(axes: Axes, content: Sides, figure: Figure) -> None:
    sizes = sorted(content.sizes)
    alone = len(sizes) == 1
    along = [-0.5, len(content.methods) - 0.5] if alone else [float(size) for size in sizes]
    if figure.random is not None and figure.random_std is not None:
        middle = _known(figure.random) * (2 if alone else 1)
        spread = [value or 0.0 for value in figure.random_std] * (2 if alone else 1)
        low = [value - more for value, more in zip(middle, spread, strict=True)]
        high = [value + more for value, more in zip(middle, spread, strict=True)]
        (axes.fill_betweenx if alone else axes.fill_between)(
            along, low, high, color=_GREY, alpha=0.2, linewidth=0
        )
        drawn = (middle, along) if alone else (along, middle)
        axes.plot(*drawn, color=_GREY, linestyle="--", label="uniform subsets")
    for place, (name, mean, std) in enumerate(
        zip(content.titles, figure.mean, figure.std, strict=True)
    ):
        spread = [value or 0.0 for value in std]
        style: dict[str, Any] = {
            "color": HUES[place % len(HUES)],
            "marker": _MARKS[place % len(_MARKS)],
            "markersize": 5,
            "capsize": 2,
            "label": plain(name if len(name) <= _LONG else name[: _LONG - 1] + "\u2026"),
        }
        if alone:
            axes.errorbar(_known(mean), [place], xerr=spread, linestyle="", **style)
        else:
            dash = "-" if place < len(HUES) else ":"
            axes.errorbar(along, _known(mean), yerr=spread, linestyle=dash, **style)
    _label(axes, content, figure, alone=alone)


def _label(axes: Axes, content: Sides, figure: Figure, *, alone: bool) -> None:
    axes.set_title(f"{plain(figure.metric)} ({figure.better} is better)", loc="left", fontsize=9)
    values = axes.xaxis if alone else axes.yaxis
    if figure.log:
        (axes.set_xscale if alone else axes.set_yscale)("log")
    if figure.metric == "peak_rss_bytes":
        values.set_major_formatter(lambda value, _: format_bytes(value))
    if alone:
        if not figure.log:
            axes.locator_params(axis="x", nbins=5)
        axes.set(ylim=(len(content.methods) - 0.5, -0.5), yticks=[])
    else:
        if content.log:
            axes.set_xscale("log")
        axes.set_xticks(
            sorted(content.sizes), [f"{size:,}" for size in sorted(content.sizes)], minor=False
        )
        axes.minorticks_off()
    axes.tick_params(labelsize=8, colors=SOFT)
    axes.spines[:].set_color("#dfe3e8")


def _known(values: tuple[float | None, ...]) -> list[float]:
    return [math.nan if value is None else value for value in values]

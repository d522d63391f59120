"""A report on a comparison in a real browser, from disk, with the network off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pyarrow.parquet as pq
import pytest

import coresift
from tests.reporting.browser import HOSTILE, MARKS, NARROW, WIDE, Opened
from tests.reporting.results import Comparisons, as_hostile

pytestmark = MARKS

METHODS = ["random", "k-center", "herding"]
FIGURES = ["coverage_max", "mmd", "label_entropy", "seconds", "peak_rss_bytes"]


@pytest.fixture(scope="module")
def path(comparisons: Comparisons) -> Path:
    target = comparisons.folder / "report.html"
    coresift.report_comparison(comparisons.two, output=target)
    return target


@pytest.fixture(scope="module")
def opened(browser: Any, path: Path) -> Iterator[Opened]:
    found = Opened(browser, path, WIDE, "light")
    yield found
    found.context.close()


def drawn(opened: Opened, place: int) -> dict[str, dict[str, Any]]:
    """Curves of a figure by name, without the edges of the band."""
    found = opened.page.evaluate(
        """place => document.getElementById(`curve-${place}`).data.filter(t => t.role !== "band")
          .map(t => ({name: t.name, x: t.x, y: t.y, seen: t.visible,
                      std: (t.error_y ?? t.error_x)?.array, dash: t.line?.dash}))""",
        place,
    )
    return {curve["name"]: curve for curve in found}


def test_it_opens_from_disk_without_network_and_complaint(opened: Opened) -> None:
    assert opened.said == []
    assert [url for url in opened.asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert not opened.page.locator("#trouble").is_visible()
    titles = opened.page.locator("figcaption code").all_text_contents()
    assert titles == FIGURES


def test_values_are_those_of_the_comparison(opened: Opened, comparisons: Comparisons) -> None:
    rows = pq.read_table(comparisons.two / "compare.parquet").to_pylist()
    for place, metric in enumerate(FIGURES):
        cost = place > 2
        column = metric if cost else "value"
        some = [row for row in rows if row["metric"] == (FIGURES[0] if cost else metric)]
        curves = drawn(opened, place)
        assert list(curves) == [*([] if cost else ["uniform"]), *METHODS]
        for method in METHODS:
            values = [
                [row[column] for row in some if (row["method"], row["size"]) == (method, size)]
                for size in (20, 120)
            ]
            assert [len(each) for each in values] == [1 if method == "herding" else 2] * 2
            assert curves[method]["x"] == [20, 120]
            assert curves[method]["y"] == pytest.approx([fmean(each) for each in values])
            spread = [stdev(each) if len(each) > 1 else 0.0 for each in values]
            assert curves[method]["std"] == pytest.approx(spread)
        if not cost:
            uniform = {row["size"]: row["random"] for row in some}
            assert curves["uniform"]["y"] == pytest.approx([uniform[20], uniform[120]])
            assert curves["uniform"]["dash"] == "dash"


def test_the_best_is_marked_as_compare_marks_it(opened: Opened, comparisons: Comparisons) -> None:
    found = coresift.report_comparison(comparisons.two).content.standings
    assert {one.best for one in found} > {None, "k-center"}
    for place, size in enumerate((20, 120)):
        table = opened.page.locator("table.sides").nth(place)
        heads = table.locator("thead th").all_text_contents()
        lines = table.locator("tbody tr").all()
        standings = [one for one in found if one.size == size]
        for one, line in zip(standings, lines, strict=True):
            cells = line.locator("th, td").all()
            marked = {
                head: str(cell.text_content())
                for head, cell in zip(heads, cells, strict=True)
                if "best" in str(cell.get_attribute("class"))
            }
            assert list(marked) == ([] if one.best is None else [one.best])
            for method, text in marked.items():
                assert text.startswith(f"{one.mean[method]:.4g}\u00a0*")


def test_the_legend_hides_a_method_in_all_figures(opened: Opened) -> None:
    button = opened.page.get_by_role("button", name="k-center", exact=True)
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "false"
    assert opened.page.evaluate("document.activeElement.textContent") == "k-center"
    for place in range(len(FIGURES)):
        seen = {name: curve["seen"] for name, curve in drawn(opened, place).items()}
        assert seen.pop("k-center") is False
        assert all(seen.values())
    button.click()
    opened.page.get_by_role("button", name="uniform subsets").click()
    assert [curve["seen"] for curve in drawn(opened, 0).values()] == [False, True, True, True]
    opened.page.get_by_role("button", name="uniform subsets").click()
    assert all(curve["seen"] for curve in drawn(opened, 0).values())


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
@pytest.mark.parametrize("sizes", ["two", "one"])
def test_readable_at_any_width_in_light_and_dark(
    browser: Any, comparisons: Comparisons, tmp_path: Path, sizes: str, width: int, scheme: str
) -> None:
    target = tmp_path / "report.html"
    coresift.report_comparison(getattr(comparisons, sizes), output=target)
    opened = Opened(browser, target, width, scheme)
    opened.require_readable("#curve-0", width, scheme)


def test_one_size_is_points(browser: Any, comparisons: Comparisons, tmp_path: Path) -> None:
    target = tmp_path / "one.html"
    coresift.report_comparison(comparisons.one, output=target)
    opened = Opened(browser, target, WIDE, "dark")
    rows = pq.read_table(comparisons.one).to_pylist()
    curves = drawn(opened, 0)
    for place, method in enumerate(METHODS):
        mine = (method, "coverage_max")
        values = [row["value"] for row in rows if (row["method"], row["metric"]) == mine]
        assert (curves[method]["x"], curves[method]["y"]) == (
            [pytest.approx(fmean(values))],
            [place],
        )
    labels = opened.page.locator("#curve-0 .ytick text").all_text_contents()
    assert labels == METHODS
    assert opened.said == []
    opened.context.close()


def test_hostile_names_are_shown_as_text(
    browser: Any, comparisons: Comparisons, tmp_path: Path
) -> None:
    folder = tmp_path / "<script>alert(4)<!-- & 'folder'"
    folder.mkdir()
    for some, label in ((HOSTILE[:3], HOSTILE[4]), (HOSTILE[7:10], HOSTILE[3])):
        names = dict(zip(METHODS, some, strict=True))
        source = as_hostile(comparisons.one, folder / "side.parquet", names, label)
        target = tmp_path / "hostile.html"
        coresift.report_comparison(source, output=target, overwrite=True)
        opened = Opened(browser, target, NARROW, "light")
        page = opened.page
        assert opened.said == []
        assert page.evaluate("window.owned") is None
        assert page.title() == f"{source} \u00b7 coresift report"
        assert page.locator("script").count() == 3
        assert page.locator("[onclick], [onload], [onerror]").count() == 0
        assert page.locator("main a, main iframe, main object, main img").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW
        heads = page.locator("table.sides bdi").all_text_contents()
        legend = page.locator("#legend bdi").all_text_contents()
        assert legend[:3] == heads
        ticks = page.locator("#curve-0 .ytick text").all_text_contents()
        for name, head, tick in zip(names.values(), heads, ticks, strict=True):
            assert head[:20] == name.replace("\x00", "\ufffd").replace("\x1b", "\ufffd")[:20]
            assert tick[:10].strip() == head[:10].strip()
        assert label in str(page.locator("pre").first.text_content()).replace("'\"'\"'", "'")
        opened.context.close()

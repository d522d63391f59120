"""The page in a real browser, from disk, with the network off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import coresift
from tests.data import digits, vector_table, write_dump
from tests.reporting.browser import HOSTILE, MARKS, NARROW, WIDE, Opened
from tests.reporting.results import CHOSEN, Results, pictures, text_of

pytestmark = MARKS


@pytest.fixture(scope="module")
def path(results: Results) -> Path:
    target = results.folder / "report.html"
    coresift.report(
        results.subset, output=target, label="label", hover="text", image="picture", repeats=2
    )
    return target


@pytest.fixture(scope="module")
def opened(browser: Any, path: Path) -> Iterator[Opened]:
    found = Opened(browser, path, WIDE, "light")
    yield found
    found.context.close()


def test_it_opens_from_disk_without_network_and_complaint(opened: Opened) -> None:
    assert opened.said == []
    assert [url for url in opened.asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert not opened.page.locator("#trouble").is_visible()


def test_the_map_has_each_row_once(opened: Opened) -> None:
    assert [count for count, _ in opened.points()] == [len(digits()[1]) - CHOSEN, CHOSEN]
    legend = opened.page.locator("#legend small").all_text_contents()
    assert legend == [f"{CHOSEN}", f"{len(digits()[1]) - CHOSEN:,}"]


def test_hovering_shows_the_text(opened: Opened, results: Results) -> None:
    opened.rightmost()
    facts = opened.told()
    row = int(facts["row"].replace(",", ""))
    assert opened.page.locator("#tip .said").text_content() == text_of(row)
    chosen = pq.read_table(results.subset / "part-00000.parquet", columns=["row"])["row"]
    assert facts["selected"] == ("yes" if row in chosen.to_pylist() else "no")
    assert facts["label"] == str(digits()[1][row])
    opened.page.mouse.move(5, 5)
    opened.page.wait_for_selector("#tip[hidden]", state="attached")


def test_what_is_shown_can_be_chosen(opened: Opened) -> None:
    page = opened.page
    page.get_by_label("other rows").uncheck()
    assert [seen for _, seen in opened.points()] == [False, True]
    page.get_by_label("other rows").check()
    page.get_by_label("selected rows").uncheck()
    assert [seen for _, seen in opened.points()] == [True, False]
    page.get_by_label("selected rows").check()
    for name in ("cluster", "label", "weight", "score"):
        page.get_by_label(name, exact=True).check()
        assert sum(count for count, _ in opened.points()) == len(digits()[1])
    page.get_by_label("label", exact=True).check()
    three = page.get_by_role("button", name="3 183", exact=True)
    three.press("Enter")
    hidden = sum(count for count, seen in opened.points() if not seen)
    assert hidden == int((digits()[1] == 3).sum())
    assert three.get_attribute("aria-pressed") == "false"
    assert page.evaluate("document.activeElement.textContent") == "3183"
    page.get_by_label("selection", exact=True).check()
    assert [seen for _, seen in opened.points()] == [True, True]


def test_zoom(opened: Opened) -> None:
    across = "document.getElementById('map')._fullLayout.xaxis.range.reduce((a, b) => b - a)"
    whole = opened.page.evaluate(across)
    opened.page.get_by_role("button", name="Zoom in").click()
    assert opened.page.evaluate(across) == pytest.approx(whole / 2)
    opened.page.get_by_role("button", name="Whole map").click()
    assert opened.page.evaluate(across) == pytest.approx(whole)


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
def test_readable_at_any_width_in_light_and_dark(
    browser: Any, path: Path, width: int, scheme: str
) -> None:
    opened = Opened(browser, path, width, scheme)
    opened.require_readable("#map", width, scheme)


def test_hostile_data_is_shown_as_text(browser: Any, tmp_path: Path) -> None:
    rows = 300
    label, text = "<i onclick=alert(1)>\"label'", "</td><script>alert(2)</script>\u202etext"
    values = [HOSTILE[row % len(HOSTILE)] for row in range(rows)]
    bad = [b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(3)'/>", b"", b"\x89PNG broken"]
    images = [*bad, *pictures(rows)[3:]]
    table = vector_table(
        digits()[0][:rows], **{label: values, text: values[::-1], "picture": images}
    )
    dump = write_dump(tmp_path / "<b>dump & 'co'", table)
    subset = tmp_path / "<script>alert(4)<!-- & 'subset'"
    coresift.select("random", dump, size=40, output=subset)
    target = tmp_path / "report.html"
    coresift.report(subset, output=target, label=label, hover=text, image="picture", repeats=1)
    opened = Opened(browser, target, NARROW, "light")
    page = opened.page
    assert opened.said == []
    assert page.evaluate("window.owned") is None
    assert page.title() == f"{subset} \u00b7 coresift report"
    # the data, the library and the page's own
    assert page.locator("script").count() == 3
    assert page.locator("[onclick], [onload], [onerror]").count() == 0
    assert page.locator("main a, main iframe, main object, a[href^=javascript]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW
    classes = page.locator("table.classes tbody th").all_text_contents()
    for value in HOSTILE[:7]:
        assert value in classes, value
    assert any("no\ufffdthing\ufffd[31m" in name for name in classes)
    assert any(name.startswith("unbroken") and name.endswith("\u2026") for name in classes)
    page.get_by_label(label, exact=True).check()
    assert set(HOSTILE[:6]) <= set(page.locator("#legend bdi").all_text_contents())
    opened.rightmost()
    row = int(opened.told()["row"])
    shown = page.locator("#tip .said").text_content()
    assert shown[:20] == " ".join(clean(values[::-1][row]).split())[:20]
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW
    assert opened.said == []
    opened.context.close()


def clean(text: str) -> str:
    return text.replace("\x00", "\ufffd").replace("\x1b", "\ufffd")


def test_a_clustering_has_a_page_of_its_own(browser: Any, results: Results, tmp_path: Path) -> None:
    target = tmp_path / "clusters.html"
    coresift.report(results.clusters, output=target)
    opened = Opened(browser, target, WIDE, "light")
    assert opened.said == []
    assert sum(count for count, _ in opened.points()) == len(digits()[1])
    assert opened.page.get_by_role("heading", level=2).all_text_contents() == [
        "Map",
        "Distributions",
        "Cluster sizes",
        "Rows to look at",
        "Where it comes from",
    ]
    opened.context.close()


def test_rows_that_are_no_points_are_behind_them(
    browser: Any, results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coresift.reporting import drawn

    monkeypatch.setattr(drawn, "MOST_POINTS", 500)
    monkeypatch.setattr(drawn, "_SAMPLE_POINTS", 200)
    target = tmp_path / "sampled.html"
    coresift.report(results.subset, output=target, metrics=False)
    opened = Opened(browser, target, WIDE, "dark")
    page = opened.page
    assert [count for count, _ in opened.points()] == [100, 100]
    behind = "document.getElementById('map')._fullLayout.images.length"
    assert page.evaluate(behind) == 1
    assert "200 of 1,797 rows are shown as points" in page.locator("#map-about").text_content()
    page.get_by_label("other rows").uncheck()
    assert page.evaluate(behind) == 0
    assert opened.said == []
    opened.context.close()


def test_a_browser_without_webgl_shows_some_points_and_says_so(browser: Any, path: Path) -> None:
    missing = """const get = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
          return kind.startsWith("webgl") ? null : get.call(this, kind, ...more);
        };"""
    opened = Opened(browser, path, WIDE, "light", missing)
    assert "no WebGL" in opened.page.locator("#trouble").text_content()
    assert sum(count for count, _ in opened.points()) > 1000
    assert opened.page.locator("#map .scatterlayer path.point").count() > 1000
    assert opened.said == []
    opened.context.close()

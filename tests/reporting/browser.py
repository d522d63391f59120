"""A page in a real browser, from disk, with the network off: what the tests of pages share."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SWITCHES = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
WIDE, NARROW = 1280, 390

MARKS = [
    pytest.mark.xdist_group("browser"),
    pytest.mark.skipif(
        CHROMIUM is None and "CORESIFT_ALL_TESTS" not in os.environ,
        reason="needs Chromium: apt-get install chromium",
    ),
]

HOSTILE = [
    "<script>window.owned = 1</script>",
    "</script><script>window.owned = 2</script>",
    "<img src=x onerror='window.owned = 3'>",
    '"><svg onload="window.owned = 4">',
    "<b>bold</b> & &lt;entity&gt; 'quoted' \"twice\"",
    "{{ 7 * 7 }} {% raw %} ${window.owned = 5} `x`",
    "javascript:window.owned=6 <a href='javascript:window.owned=6'>here</a>",
    "\u202eright to left\u202c \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "no\x00thing\x1b[31m and ]]> <!-- <style>*{display:none}</style>",
    "unbroken" * 2000,
]


class Opened:
    """A page, and what it did that no page should."""

    def __init__(self, browser: Any, path: Path, width: int, scheme: str, script: str = "") -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
        )
        self.page = self.context.new_page()
        self.page.add_init_script(script)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready]", timeout=60_000)

    def require_readable(self, figure: str, width: int, scheme: str) -> None:
        """Hold both themes to the width and to axe; the page is closed."""
        from axe_playwright_python.sync_playwright import Axe

        page = self.page
        for dark in (scheme == "dark", scheme != "dark"):
            assert (brightness(page) < 60) == dark
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.locator(f"{figure} .main-svg").first.bounding_box()["width"] <= width
            found = Axe().run(page).response["violations"]
            assert [(item["id"], item["nodes"][0]["html"]) for item in found] == []
            page.get_by_role("button", name="Light theme" if dark else "Dark theme").click()
        assert self.said == []
        self.context.close()

    def points(self) -> list[tuple[int, bool]]:
        """Number of points of each layer of the map, and whether it is seen."""
        found = self.page.evaluate(
            "document.getElementById('map').data.map(t => [t.x.length, t.visible !== false])"
        )
        return [(count, seen) for count, seen in found]

    def rightmost(self) -> None:
        """Put the pointer on the point that is farthest to the right."""
        place = self.page.evaluate(
            """() => {
              const map = document.getElementById("map");
              map.scrollIntoView({behavior: "instant", block: "center"});
              const {xaxis, yaxis} = map._fullLayout, {left, top} = map.getBoundingClientRect();
              let best = [-Infinity, 0];
              for (const {x, y} of map.data)
                x.forEach((value, i) => { if (value > best[0]) best = [value, y[i]]; });
              return [left + xaxis._offset + xaxis.l2p(best[0]),
                      top + yaxis._offset + yaxis.l2p(best[1])];
            }"""
        )
        # from the right, where no other point is told of on the way
        self.page.mouse.move(place[0] + 20, place[1])
        self.page.mouse.move(*place)
        self.page.wait_for_selector("#tip:not([hidden])", timeout=20_000)

    def told(self) -> dict[str, str]:
        """Facts of the point under the pointer."""
        names = self.page.locator("#tip dt").all_text_contents()
        return dict(zip(names, self.page.locator("#tip dd").all_text_contents(), strict=True))


def brightness(page: Any) -> float:
    """Of the paper, from 0 to 255."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return float(np.mean([int(part) for part in colour[4:-1].split(",")]))

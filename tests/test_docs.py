"""The site builds with all its links, and each method has its page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from coresift.selection.registry import METHODS

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "methods"
SECTIONS = ["When to use it", "When not to", "Cost", "Options that matter", "Source"]


def test_site_builds_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "methods" / "k-center" / "index.html").exists()


def test_every_method_has_a_page_and_a_picture_and_no_page_is_left_over() -> None:
    for kind in ("md", "svg"):
        assert {path.stem for path in PAGES.glob(f"*.{kind}")} - {"index"} == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_page_of_a_method(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text()
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == SECTIONS
    assert f"coresift select {name} " in page
    method = METHODS[name]
    # the paper's first title, as in the registry
    if method.paper:
        assert re.split(r", (?=[A-Z])", method.paper)[0].split(" ")[0] in page
    flags = {option.flag for option in method.params.options()}
    flags |= {"--clusters", "--draw"} if method.takes or method.needs else set()
    options = page.split("## Options that matter")[1].split("## Source")[0]
    # what begins a point is an option of the method
    for point in re.findall(r"^- (.*?)(?::|$|, (?!`))", options, re.MULTILINE):
        for flag in re.findall(r"`(--[a-z-]+)", point):
            assert flag in flags, f"{name} has no {flag}"

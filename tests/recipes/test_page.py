"""The page on recipes says what is so."""

from __future__ import annotations

from pathlib import Path

from coresift.recipes.shipped import names
from tests.pages import run_page

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"


def test_the_commands_of_the_page_run(tmp_path: Path) -> None:
    assert len(run_page(PAGE, tmp_path)) >= 8
    made = {path.name for path in (tmp_path / "mine").iterdir()}
    assert made == {
        *("clusters", "typical", "asked.parquet", "quality.json", "page.html", "recipe.json")
    }


def test_the_page_names_each_shipped_recipe() -> None:
    text = PAGE.read_text()
    assert all(f"| `{name}` |" in text for name in names())

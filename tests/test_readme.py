"""The README's commands work as they stand, in their order."""

from __future__ import annotations

from pathlib import Path

from tests.pages import run_page

README = Path(__file__).parent.parent / "README.md"


def test_readme_commands_run(tmp_path: Path) -> None:
    assert len(run_page(README, tmp_path)) >= 12

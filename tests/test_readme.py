"""The README's commands, and those of the page on gradients, work as they stand, in their order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages import run_page

README = Path(__file__).parent.parent / "README.md"


def test_readme_commands_run(tmp_path: Path) -> None:
    assert len(run_page(README, tmp_path)) >= 12


def test_commands_on_gradients_run(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    assert len(run_page(README.parent / "docs" / "gradients.md", tmp_path)) >= 6

"""The commands of the README, and of other pages, work as they stand, in their order."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.pages import run_page

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(("page", "commands"), [("README.md", 12), ("docs/bandit.md", 4)])
def test_commands_run(page: str, commands: int, tmp_path: Path) -> None:
    assert len(run_page(ROOT / page, tmp_path)) >= commands


@pytest.mark.skipif(find_spec("torch") is None, reason="needs PyTorch")
def test_commands_on_gradients_run(tmp_path: Path) -> None:
    assert len(run_page(ROOT / "docs" / "gradients.md", tmp_path)) >= 6


@pytest.mark.skipif(
    not Path("/usr/share/datasets/fashion-mnist").exists(),
    reason="needs Debian's package dataset-fashion-mnist",
)
def test_tutorial_runs(tmp_path: Path) -> None:
    assert len(run_page(ROOT / "docs" / "tutorial.md", tmp_path)) >= 8

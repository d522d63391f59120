"""The commands of the README and of the page on gradients work as they stand, in their order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_readme_commands_run(tmp_path: Path) -> None:
    assert len(commands_run("README.md", tmp_path)) >= 12


def test_the_commands_on_gradients_run(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    assert len(commands_run("docs/gradients.md", tmp_path)) >= 6


def commands_run(page: str, tmp_path: Path) -> list[str]:
    blocks = re.findall(r"```(\w+)\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    scripts = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": scripts + os.pathsep + os.environ["PATH"]}
    ran = []
    for kind, body in blocks:
        if kind == "python":
            name = body.splitlines()[0].removeprefix("# ")
            (tmp_path / name).write_text(body)
        if kind != "console":
            continue
        for line in body.splitlines():
            assert line.startswith("$ ")
            done = subprocess.run(
                line.removeprefix("$ "),
                shell=True,
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
            assert done.stderr == "", f"{line}\n{done.stderr}"
            ran.append(line)
    return ran

"""The commands of the README, and of other pages, work as they stand, in their order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("page", "commands"), [("README.md", 12), ("docs/bandit.md", 4), ("docs/gradients.md", 6)]
)
def test_commands_run(page: str, commands: int, tmp_path: Path) -> None:
    if page == "docs/gradients.md":
        pytest.importorskip("torch")
    blocks = re.findall(r"```(\w+)\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    scripts = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": scripts + os.pathsep + os.environ["PATH"]}
    ran = []
    for kind, body in blocks:
        name = body.splitlines()[0].removeprefix("# ")
        if kind in ("python", "sh") and name.endswith((".py", ".sh")):
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
    assert len(ran) >= commands

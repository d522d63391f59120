"""Running what a page of the documentation says, as it stands and in its order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path


def run_page(page: Path, folder: Path) -> list[str]:
    """Write the files that a page shows, run its commands, and return these.

    A block whose first line is a comment with a name of a file is that file.
    """
    blocks = re.findall(r"```(\w+)\n(.*?)```", page.read_text(), re.DOTALL)
    scripts = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": scripts + os.pathsep + os.environ["PATH"]}
    ran = []
    for kind, body in blocks:
        name = re.match(r"# (\S+\.(py|sh|toml))\n", body)
        if name:
            (folder / name[1]).write_text(body)
        if kind != "console":
            continue
        for line in body.splitlines():
            assert line.startswith("$ ")
            done = subprocess.run(
                line.removeprefix("$ "),
                shell=True,
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
            assert done.stderr == "", f"{line}\n{done.stderr}"
            ran.append(line)
    return ran

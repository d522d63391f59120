"""Running the real command."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PROGRAM = [sys.executable, "-m", "coresift"]


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


def coresift(*arguments: object, cwd: Path, **environment: str) -> Done:
    """Run a command in a folder, with some variables set."""
    done = subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def leftovers(folder: Path) -> list[str]:
    """Names in a folder that no test put there: results, and what is hidden."""
    return sorted(path.name for path in folder.iterdir() if "coresift" in path.name)

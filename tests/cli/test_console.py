"""Progress: on a terminal, for whoever did not ask for quiet, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data import digits_dump

STAGES = """
import time
import coresift.cli.console as console
console._PATIENCE_S = 0.05
with console.TerminalProgress() as progress:
    with progress.stage("waits", 100):
        time.sleep(0.5)
    with progress.stage("counts", 2000) as stage:
        stage.advance(1234)
        time.sleep(0.5)
"""
AT_ONCE = """
import sys
import coresift.cli.console as console
from coresift.cli.main import main
console._PATIENCE_S = 0.0
main(sys.argv[1:])
"""


def on_terminal(folder: Path, code: str, *arguments: str) -> tuple[str, str]:
    """What a program writes to a stdout that is a pipe and a stderr that is a terminal."""
    reader, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            piece = os.read(reader, 4096)
        except OSError:
            # the last writer has closed it
            break
        if not piece:
            break
        shown += piece
    out, _ = process.communicate(timeout=60)
    os.close(reader)
    assert process.returncode == 0, shown.decode()
    return out, shown.decode()


def test_a_stage_shows_its_name_rows_rate_and_time_left(tmp_path: Path) -> None:
    _, shown = on_terminal(tmp_path, STAGES)
    assert "waits" in shown
    assert "0 of 100 rows" in shown
    assert "1,234 of 2,000 rows" in shown
    assert "rows/s 0:0" in shown


def test_a_run_of_less_than_the_patience_shows_nothing(tmp_path: Path) -> None:
    assert on_terminal(tmp_path, STAGES.replace("0.05", "30")) == ("", "")


@pytest.mark.parametrize("options", [[], ["--json"], ["-q"], ["--no-progress"]], ids=str)
def test_quiet_shows_no_progress(options: list[str], tmp_path: Path) -> None:
    digits_dump(tmp_path / "emb")
    command = ["cluster", "emb", "-k", "100", "--tol", "0", "-o", "out"]
    out, shown = on_terminal(tmp_path, AT_ONCE, *command, *options)
    assert "rows" in out
    assert "\x1b" not in out
    watched = not {"-q", "--no-progress"} & set(options)
    assert ("of 1,797 rows" in shown) == watched
    assert watched or shown == ""

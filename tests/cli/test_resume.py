"""Killed again and again, a run that is resumed ends as one that was never interrupted."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import coresift
from tests.data import digits, digits_dump, vector_table, write_dump

# runs the command, saving whenever it can, and dies at its nth saving, or after some seconds
KILLED = """
import os, signal, sys, threading
import coresift.io.journal as journal
from coresift.cli.main import main

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def counted(self, *values, save=journal.Journal.save, **more):
    global left
    left -= 1
    if left == 0:
        die()
    save(self, *values, **more)

journal.INTERVAL_S = 0.0
left, seconds = int(sys.argv[1]), float(sys.argv[2])
journal.Journal.save = counted
timer = threading.Timer(seconds, die)
timer.daemon = True
timer.start()
main(sys.argv[3:])
"""

COMMANDS = {
    "kmeans": ["cluster", "emb", "-k", "20", "--iterations", "6"],
    "sample": ["cluster", "emb", "-k", "20", "--train-rows", "600", "--metric", "cosine"],
    "empty": ["cluster", "same", "-k", "5", "--iterations", "3"],
    "hierarchical": [
        *("cluster", "emb", "--method", "hierarchical", "-k", "30,6"),
        *("--resamples", "2", "--iterations", "3"),
    ],
    "bisecting": ["cluster", "emb", "--method", "bisecting", "-k", "9", "--iterations", "3"],
    "minibatch": [
        *("cluster", "emb", "--method", "minibatch", "-k", "10"),
        *("--minibatch-rows", "300", "--iterations", "2"),
    ],
    "dedup": ["select", "dedup", "emb", "--threshold", "0.95", "--clusters", "clusters"],
    "dedup-target": ["select", "dedup", "emb", "--target", "1200", "--linkage", "components"],
    "against": ["select", "dedup", "emb", "--threshold", "0.95", "--against", "same"],
    "random": ["select", "random", "emb", "-n", "50"],
}
SPLIT = ["--batch-rows", "300", "--threads", "2"]


def killed(folder: Path, saves: int, seconds: float, *command: str) -> int:
    """Exit code of a command that is killed at a saving, or after a time."""
    script = [sys.executable, "-c", KILLED, str(saves), str(seconds), *command]
    done = subprocess.run(
        script, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def contents(folder: Path) -> dict[str, bytes]:
    """What a result holds, but for what was measured."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    found = {name: path.read_bytes() for name, path in files.items() if name != "manifest.json"}
    manifest = json.loads(files["manifest.json"].read_text())
    del manifest["run"]
    return {**found, "manifest.json": json.dumps(manifest).encode()}


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dumps")
    digits_dump(folder / "emb", files=3)
    vectors, _ = digits()
    write_dump(folder / "same", vector_table(np.tile(vectors[:4], (100, 1))))
    assert coresift("cluster", "emb", "-k", "12", "-o", "clusters", cwd=folder).code == 0
    return folder


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_ten_savings(name: str, dumps: Path, tmp_path: Path) -> None:
    command = [*COMMANDS[name], *SPLIT]
    expected, output, scratch = tmp_path / "expected", tmp_path / "out", tmp_path / "scratch"
    assert coresift(*command, "-o", str(expected), cwd=dumps).code == 0
    resumed = [*command, "--resume", "--scratch", str(scratch), "-o", str(output)]
    moments = random.Random(name)
    deaths = 0
    for _ in range(10):
        code = killed(dumps, moments.randint(1, 6), 100.0, *resumed)
        deaths += code != 0
        if code == 0:
            assert contents(output) == contents(expected)
            break
        assert not output.exists()
    else:
        done = coresift(*resumed, "--json", cwd=dumps)
        assert done.code == 0, done.err
        assert "went on from where an earlier run was interrupted" in done.out
        assert contents(output) == contents(expected)
    assert list(scratch.iterdir()) == []
    assert deaths >= (0 if name == "random" else 2)


@pytest.mark.parametrize("name", ["hierarchical", "dedup"])
def test_killed_at_ten_random_moments(name: str, dumps: Path, tmp_path: Path) -> None:
    command = [*COMMANDS[name], *SPLIT]
    expected, output, scratch = tmp_path / "expected", tmp_path / "out", tmp_path / "scratch"
    assert coresift(*command, "-o", str(expected), cwd=dumps).code == 0
    resumed = [*command, "--resume", "--scratch", str(scratch), "-o", str(output)]
    moments = random.Random(0)
    for _ in range(10):
        killed(dumps, 0, moments.uniform(0.05, 0.8), *resumed)
        if output.exists():
            break
    else:
        assert coresift(*resumed, cwd=dumps).code == 0
        assert list(scratch.iterdir()) == []
    assert contents(output) == contents(expected)

"""Killed, interrupted, or out of disk: nothing stands under the target's name."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cli.command import PROGRAM, coresift, leftovers
from tests.data import digits_dump

# runs the command, and stops for good once the writer has begun on what is to be written
STALLED = """
import sys, time
import coresift.io.writer as writer
from coresift.cli.main import main

def stall(self, batch, write=writer.PartWriter.write):
    write(self, batch)
    print("writing", flush=True)
    time.sleep(60)

writer.PartWriter.write = stall
main(sys.argv[1:])
"""


def start_stalled(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a command and wait until it is in the middle of writing."""
    process = subprocess.Popen(
        [sys.executable, "-c", STALLED, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


COMMANDS = [
    ["cluster", "emb", "-k", "10", "-o", "out"],
    ["select", "random", "emb", "-n", "100", "-o", "out"],
    ["select", "random", "emb", "-n", "100", "-o", "out.parquet"],
    [*("compare", "emb", "-n", "20", "--methods", "random", "--seeds", "1"), "-o", "out"],
]


@pytest.mark.parametrize("command", COMMANDS)
def test_kill_leaves_nothing_and_the_next_run_cleans_up(command: list[str], tmp_path: Path) -> None:
    digits_dump(tmp_path / "emb")
    process = start_stalled(tmp_path, *command)
    process.kill()
    process.communicate()
    assert not (tmp_path / command[-1]).exists()
    assert len(leftovers(tmp_path)) == 1
    done = coresift(*command, cwd=tmp_path)
    assert done.code == 0, done.err
    assert leftovers(tmp_path) == []
    assert (tmp_path / command[-1]).exists()


def test_kill_while_overwriting_leaves_the_old_result(tmp_path: Path) -> None:
    digits_dump(tmp_path / "emb")
    command = ["select", "random", "emb", "-n", "100", "-o", "out.parquet"]
    assert coresift(*command, cwd=tmp_path).code == 0
    before = (tmp_path / "out.parquet").read_bytes()
    process = start_stalled(tmp_path, *command, "--seed", "1", "--overwrite")
    process.kill()
    process.communicate()
    assert (tmp_path / "out.parquet").read_bytes() == before
    assert coresift(*command, "--seed", "1", "--overwrite", cwd=tmp_path).code == 0
    assert (tmp_path / "out.parquet").read_bytes() != before
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"]
)
@pytest.mark.parametrize("command", COMMANDS)
def test_an_interrupted_run_leaves_nothing(
    command: list[str], number: signal.Signals, code: int, tmp_path: Path
) -> None:
    digits_dump(tmp_path / "emb")
    process = start_stalled(tmp_path, *command)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["emb"]


def test_another_run_to_the_same_target_is_left_alone(tmp_path: Path) -> None:
    digits_dump(tmp_path / "emb")
    command = ["select", "random", "emb", "-n", "100", "-o", "out.parquet"]
    process = start_stalled(tmp_path, *command)
    (running,) = leftovers(tmp_path)
    assert coresift(*command, cwd=tmp_path).code == 0
    assert leftovers(tmp_path) == [running]
    process.kill()
    process.communicate()


def test_a_file_that_may_not_grow_is_one_line(tmp_path: Path) -> None:
    digits_dump(tmp_path / "emb")

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run(
        [*PROGRAM, "select", "random", "emb", "-n", "1000", "-o", "out"],
        cwd=tmp_path,
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: out: cannot be written: File too large\n"
        "hint: free some space, or choose another place with -o\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["emb"]


def mount_small(folder: Path) -> bool:
    """Mount 64 kB of memory as a disk, where this user may."""
    folder.mkdir()
    if os.geteuid() != 0:
        return False
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    digits_dump(tmp_path / "emb")
    disk = tmp_path / "disk"
    if not mount_small(disk):
        # no right to mount: the file size limit above stands for it
        return
    try:
        done = coresift("select", "random", "emb", "-n", 1700, "-o", "disk/out", cwd=tmp_path)
        assert done.code == 1
        assert done.err.startswith("error: disk/out: the result takes about ")
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_fills_up_while_writing_is_one_line(tmp_path: Path) -> None:
    digits_dump(tmp_path / "emb")
    disk = tmp_path / "disk"
    if not mount_small(disk):
        return
    try:
        # the estimate is passed by, as when someone else fills the disk meanwhile
        code = (
            "import sys, coresift.io.target as t; from coresift.cli.main import main;"
            "t.Target.require_room = lambda self, size: None; main(sys.argv[1:])"
        )
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                code,
                *["select", "random", "emb", "-n", "1700", "-o", "disk/out"],
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr == (
            "error: disk/out: cannot be written: No space left on device\n"
            "hint: free some space, or choose another place with -o\n"
        )
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    digits_dump(tmp_path / "emb")
    # as outside of a container: what is printed leaves when the program ends
    shell = f"PYTHONUNBUFFERED= '{sys.executable}' -m coresift inspect emb --json | true"
    done = subprocess.run(
        shell, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


@pytest.mark.parametrize("buffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_stdout_that_cannot_be_written_is_one_line(buffered: str) -> None:
    command = [*PROGRAM, "methods", "--json"]
    variables = {**os.environ, "PYTHONUNBUFFERED": buffered}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, env=variables, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "error: stdout: cannot be written: No space left on device\n"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command, stdout=writer, stderr=subprocess.PIPE, text=True, env=variables, check=False
    )
    os.close(writer)
    assert done.returncode == 1
    assert done.stderr == ""


def test_a_result_is_complete_when_it_appears(tmp_path: Path) -> None:
    digits_dump(tmp_path / "emb", files=3)
    process = subprocess.Popen(
        [*PROGRAM, "select", "random", "emb", "-n", "1000", "-o", "out.parquet"], cwd=tmp_path
    )
    target = tmp_path / "out.parquet"
    while process.poll() is None and not target.exists():
        time.sleep(0.001)
    assert pq.read_table(target).num_rows == 1000
    assert process.wait() == 0

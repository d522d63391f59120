"""The real command on a cluster: what it prints, and how it fails."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import PROGRAM, coresift, leftovers
from tests.data import digits_dump

pytestmark = pytest.mark.xdist_group("ray")


def options(cluster: Any) -> list[str]:
    return [
        *("--engine", "ray", "--ray-address", cluster.address),
        *("--threads", "2", "--cpus-per-worker", "1"),
    ]


def test_two_runs_at_once_and_one_loses_a_worker(tmp_path: Path, cluster: Any) -> None:
    digits_dump(tmp_path / "emb", files=3)
    command = ["cluster", "emb", "-k", "30", "--tol", "0", "--batch-rows", "20", "--json"]
    alone = coresift(*command, "-o", "alone", cwd=tmp_path)
    runs = [
        subprocess.Popen(
            [*PROGRAM, *command, "-o", name, *options(cluster)],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    killer = threading.Thread(target=_kill_a_busy_worker)
    killer.start()
    outputs = [run.communicate(timeout=100) for run in runs]
    killer.join()
    for name, (out, err) in zip(("one", "two"), outputs, strict=True):
        found = json.loads(out)
        assert found["cost"] == json.loads(alone.out)["cost"], err
        for file in ("assignments/part-00000.parquet", "centroids.parquet"):
            assert (tmp_path / name / file).read_bytes() == (tmp_path / "alone" / file).read_bytes()
    none, warned = sorted(err for _, err in outputs)
    assert none == ""
    assert re.fullmatch(r"warning: worker [01] was lost: another one takes its place\n", warned)
    assert leftovers(tmp_path) == []


def _kill_a_busy_worker() -> None:
    """Kill the first worker that runs a task."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if b"CoresiftWorker.run" in (folder / "cmdline").read_bytes():
                    os.kill(int(folder.name), signal.SIGKILL)
                    return
            except OSError:
                continue
        time.sleep(0.05)


def test_nobody_listens(tmp_path: Path) -> None:
    digits_dump(tmp_path / "emb")
    start = time.monotonic()
    done = coresift(
        *("cluster", "emb", "-k", "5", "-o", "out", "--engine", "ray"),
        *("--ray-address", "127.0.0.3:1"),
        cwd=tmp_path,
    )
    assert time.monotonic() - start < 15
    assert done.code == 1
    assert done.err == (
        "error: --ray-address 127.0.0.3:1: nobody answers (Connection refused)\n"
        "hint: is the cluster running? `ray status` on its head tells\n"
    )
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ray://127.0.0.3:10001", "--ray-address ray://127.0.0.3:10001: Ray Client is not"),
        ("somewhere", "--ray-address 'somewhere' is not HOST:PORT, auto or local"),
    ],
)
def test_no_address(address: str, message: str, tmp_path: Path) -> None:
    digits_dump(tmp_path / "emb")
    done = coresift(
        *("select", "random", "emb", "-n", "5", "-o", "out.parquet"),
        *("--engine", "ray", "--ray-address", address),
        cwd=tmp_path,
    )
    assert done.code == 1
    assert message in done.err


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (["inspect", "emb"], "inspect"),
        (["compare", "emb", "-n", "5", "--methods", "random"], "compare"),
        (["cluster", "emb", "-k", "5", "--plan"], "--plan"),
        (["select", "random", "emb", "-n", "5", "--plan"], "--plan"),
    ],
)
def test_for_one_machine_only(command: list[str], what: str, tmp_path: Path, cluster: Any) -> None:
    digits_dump(tmp_path / "emb")
    done = coresift(*command, *options(cluster), cwd=tmp_path)
    assert done.code == 1
    assert done.err == f"error: {what} runs on one machine\nhint: leave out --engine ray\n"


def test_interrupted(tmp_path: Path, cluster: Any) -> None:
    digits_dump(tmp_path / "emb")
    command = ["cluster", "emb", "-k", "1000", "--method", "bisecting"]
    run = subprocess.Popen(
        [*PROGRAM, *command, "--batch-rows", "20", "-o", "out", *options(cluster)],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(8)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130, err
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "out").exists()

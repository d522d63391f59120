"""Runs both sides as whole processes, in turn, and prints ratios with their spread."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
CORESIFT = [sys.executable, "-m", "coresift"]


@dataclass(frozen=True)
class Measured:
    """One process: seconds by the clock, peak resident bytes, the JSON it printed, and seconds
    of processors, which hardly depend on what else the machine does.
    """

    seconds: float
    peak: int
    facts: dict[str, Any]
    processor: float = 0.0


class _Peak(threading.Thread):
    """Watches the kernel's high-water mark of a process.

    Not the child's rusage: that counts the pages its parent held before exec.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{pid}/status")
        self._over = threading.Event()
        self.bytes = 0

    def run(self) -> None:
        while not self._over.wait(0.02):
            try:
                status = self._status.read_text()
            except OSError:
                return
            for line in status.splitlines():
                if line.startswith("VmHWM:"):
                    self.bytes = max(self.bytes, 1024 * int(line.split()[1]))

    def stop(self) -> int:
        """End the watch: the peak that it saw."""
        self._over.set()
        self.join()
        return self.bytes


def measure(command: Sequence[str]) -> Measured:
    """Run a process to its end.

    The peak is seen from outside, not taken from what the process says about itself.
    """
    # modules are compiled once, as those are that pip installs
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    start, spent = time.perf_counter(), _spent()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=HERE.parent, env=environment
    ) as process:
        peak = _Peak(process.pid)
        peak.start()
        output, _ = process.communicate()
        seconds = time.perf_counter() - start
    found = peak.stop()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    lines = output.strip().splitlines()
    facts = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return Measured(seconds, found, facts, _spent() - spent)


def _spent() -> float:
    """Processor seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def coresift(*arguments: object) -> list[str]:
    """Command line of coresift, with JSON."""
    return [*CORESIFT, *map(str, arguments), "--json"]


def side(name: str, *arguments: object) -> list[str]:
    """Command line of one of the scripts in sides/."""
    return [sys.executable, "-m", f"benchmarks.sides.{name}", *map(str, arguments)]


def compare(sides: dict[str, Callable[[], list[str]]], repeats: int) -> dict[str, list[Measured]]:
    """Run the sides in turn, ``repeats`` times each, after one run that does not count."""
    found: dict[str, list[Measured]] = {name: [] for name in sides}
    peaks = dict.fromkeys(sides, 0)
    for turn in range(repeats + 1):
        for name, command in sides.items():
            claim(peaks[name])
            measured = measure(command())
            peaks[name] = max(peaks[name], measured.peak)
            print(f"  {name}: {measured.seconds:.2f} s", file=sys.stderr, flush=True)
            if turn:
                found[name].append(measured)
    return found


def claim(size: int) -> None:
    """Touch so many bytes, in large pages as numpy does, in a process that ends.

    The host of a virtual machine takes back what was freed; a process that is given such memory
    waits for the host, up to 2 seconds for a gigabyte, whichever side it is of.
    """
    touch = f"import numpy; numpy.empty({size}, numpy.uint8).fill(1)"
    subprocess.run([sys.executable, "-c", touch], check=True)


def spread(values: Sequence[float], form: str = ".2f") -> str:
    """Median, least and largest."""
    middle = statistics.median(values)
    return f"{middle:{form}} ({min(values):{form}} to {max(values):{form}})"


def ratios(ours: Sequence[float], theirs: Sequence[float], form: str = ".2f") -> str:
    """Spread of ours / theirs, run by run."""
    return spread([a / b for a, b in zip(ours, theirs, strict=True)], form)


def machine() -> str:
    """What the figures were measured on."""
    name = "?"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            name = line.partition(":")[2].strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    cores = len(os.sched_getaffinity(0))
    return f"{name}, {cores} cores, {memory:.0f} GB, Python {platform.python_version()}"


def options(description: str | None, repeats: int) -> argparse.ArgumentParser:
    """Options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument(
        "--quick", action="store_true", help="little data, once: does it run; keeps no table"
    )
    return parser


def table(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, keep: bool = True
) -> None:
    """Print a Markdown table and keep it under results/."""
    lines = [
        f"### {title}",
        "",
        "| " + " | ".join(head) + " |",
        "|" + " --- |" * len(head),
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
        f"{machine()}, {time.strftime('%Y-%m-%d')}.",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if not keep:
        return
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / (title.lower().replace(" ", "-").replace(",", "") + ".md")).write_text(text)

"""How long coresift --help takes."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness import spread, table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    program = str(Path(sys.executable).parent / "coresift")
    seconds = []
    for _ in range(options.repeats):
        start = time.perf_counter()
        subprocess.run([program, "--help"], stdout=subprocess.DEVNULL, check=True)
        seconds.append(time.perf_counter() - start)
    table("Start-up", ["command", "s"], [["coresift --help", spread(seconds)]])


if __name__ == "__main__":
    main()

"""How long coresift --help takes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness import options, spread, table


def main() -> None:
    asked = options(__doc__, 20).parse_args()
    program = str(Path(sys.executable).parent / "coresift")
    seconds = []
    for _ in range(1 if asked.quick else asked.repeats):
        start = time.perf_counter()
        subprocess.run([program, "--help"], stdout=subprocess.DEVNULL, check=True)
        seconds.append(time.perf_counter() - start)
    rows = [["coresift --help", spread(seconds)]]
    table("Start-up", ["command", "s"], rows, keep=not asked.quick)


if __name__ == "__main__":
    main()

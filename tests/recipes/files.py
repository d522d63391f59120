"""Recipes for the tests, and what is in a working directory."""

from __future__ import annotations

import json
from pathlib import Path

# a clustering, a selection that hangs on it, an evaluation of that, and one that hangs on nothing
FOUR = """
[variables]
input = "emb"
k = 10
n = { default = "10%", help = "Rows to choose." }
share = 100

[steps.judged]
run = "evaluate"
subset = "${chosen}"
full = "${input}"
repeats = 2

[steps.clusters]
run = "cluster"
paths = "${input}"
k = "${k}"
iterations = 3

[steps.chosen]
run = "select sensitivity"
paths = "${input}"
clusters = "${clusters}"
size = "${n}"

[steps.some]
run = "select random"
paths = "${input}"
size = "${share}"
output = "some.parquet"
"""


def write_recipe(folder: Path, text: str = FOUR, name: str = "four.toml") -> Path:
    """A recipe as a file."""
    path = folder / name
    path.write_text(text)
    return path


def contents(folder: Path) -> dict[str, object]:
    """Every file by its name: bytes, but of JSON what does not differ between equal runs."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        name = str(path.relative_to(folder))
        if path.suffix == ".json":
            content = json.loads(path.read_text())
            content.pop("run", None)
            found[name] = content
        else:
            found[name] = path.read_bytes()
    return found

"""Comparisons and gradients as steps: made once, and again where what they hang on has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import coresift as library
from tests.data import digits, vector_table, write_dump

RECIPE = """
[steps.sides]
run = "compare"
paths = "emb"
size = [20, "10%"]
methods = ["random", "k-center"]
set = ["random.by=label"]
seeds = 2
metrics = ["mmd", "coverage_max"]

[steps.page]
run = "report"
result = "${sides}"

[steps.grads]
run = "gradients"
paths = "emb"
model = "model.py:linear"
proj_dim = 8
"""

MODEL = """
import numpy as np
from sklearn.linear_model import LogisticRegression

def linear():
    model = LogisticRegression()
    model.coef_ = np.random.default_rng(0).normal(size=(10, 64))
    model.intercept_ = np.zeros(10)
    model.classes_ = np.arange(10)
    return model, lambda columns: (columns["embedding"], columns["label"])
"""

ALL = {"sides": "ran", "page": "ran", "grads": "ran"}
NONE = dict.fromkeys(ALL, "unchanged")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    vectors, labels = digits()
    write_dump(tmp_path / "emb", vector_table(vectors[:400], label=labels[:400]))
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def run(**options: Any) -> tuple[dict[str, str], dict[str, str]]:
    """State of each step, and why those ran that did."""
    found = library.run("recipe.toml", output="out", **options).to_json()["steps"]
    return {one["name"]: one["state"] for one in found}, {
        one["name"]: one["reason"] for one in found if one["reason"]
    }


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_made_once_and_again_where_something_has_changed(work: Path) -> None:
    assert run()[0] == ALL
    assert sorted(path.name for path in (work / "out").iterdir()) == [
        *("grads", "page.html", "recipe.json", "sides")
    ]
    assert run() == (NONE, {})
    edit(work / "recipe.toml", "seeds = 2", "seeds = 1")
    states, reasons = run()
    assert states == {"sides": "ran", "page": "ran", "grads": "unchanged"}
    assert reasons["sides"] == "seeds is 1, and was 2"
    edit(work / "model.py", "default_rng(0)", "default_rng(1)")
    states, reasons = run()
    assert states == {**NONE, "grads": "ran"}
    assert reasons["grads"] == "weights: what it names has changed"
    # another loss with the same weights
    edit(work / "model.py", 'columns["label"])', '9 - columns["label"])')
    states, reasons = run()
    assert reasons == {"grads": "code: what it names has changed"}
    assert run() == (NONE, {})


def test_a_size_is_checked_before_anything_runs(work: Path) -> None:
    edit(work / "recipe.toml", 'size = [20, "10%"]', "size = [20, 401]")
    with pytest.raises(library.CoresiftError, match=r"sides.*401"):
        run()
    assert not (work / "out").exists()

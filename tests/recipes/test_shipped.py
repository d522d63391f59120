"""The shipped recipes run, do nothing the second time, and can be copied out and changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import coresift
from coresift.recipes.shipped import names
from tests.cli.command import coresift as command
from tests.data import digits, vector_table, write_dump

ROWS = 600


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with dumps of digits."""
    monkeypatch.chdir(tmp_path)
    vectors, labels = digits()
    write_dump(tmp_path / "emb", vector_table(vectors[:ROWS], label=labels[:ROWS]))
    return tmp_path


def ran(recipe: str, **variables: Any) -> dict[str, str]:
    result = coresift.run(recipe, output="out", variables=variables)
    return {step.name: step.state for step in result.steps}


def table(path: str) -> pa.Table:
    """A step's result: one file, or parts beside a manifest."""
    return pq.read_table(sorted(map(str, Path(path).glob("part-*.parquet"))) or path)


def column(path: str, name: str) -> Any:
    return table(path).column(name).to_numpy()


def test_there_are_three() -> None:
    assert names() == ["fine-tuning-subset", "pretraining-curation", "targeted-selection"]


def test_pretraining_curation(work: Path) -> None:
    given = {"input": "emb", "levels": "30,6", "threshold": 0.97}
    steps = ["distinct", "clusters", "subset", "quality"]
    assert ran("pretraining-curation", **given) == dict.fromkeys(steps, "ran")
    assert ran("pretraining-curation", **given) == dict.fromkeys(steps, "unchanged")
    # ids of the rows in the input, and in what is left without duplicates
    kept = column("out/distinct", "dedup_row")
    chosen = table("out/subset")
    assert len(chosen) == round(len(kept) / 10)
    assert np.array_equal(kept[chosen["row"].to_numpy()], chosen["dedup_row"].to_numpy())
    sizes = np.bincount(chosen["cluster"].to_numpy(), minlength=30)
    assert sizes.max() - sizes.min() <= 3


def test_fine_tuning_subset_clusters_once_for_a_run_without_losses_and_one_with(
    work: Path,
) -> None:
    given = {"input": "emb", "k": 20, "n": 60, "label": "label"}
    assert set(ran("fine-tuning-subset", **given).values()) == {"ran"}
    asked = column("out/clusters/representatives.parquet", "cluster")
    pq.write_table(pa.table({"cluster": asked, "loss": np.ones(20)}), work / "losses.parquet")
    given["losses"] = "losses.parquet"
    again = {"clusters": "unchanged", "subset": "ran", "quality": "ran"}
    assert ran("fine-tuning-subset", **given) == again
    assert set(ran("fine-tuning-subset", **given).values()) == {"unchanged"}
    # other losses are another result
    pq.write_table(pa.table({"cluster": asked, "loss": np.arange(20.0)}), work / "losses.parquet")
    assert ran("fine-tuning-subset", **given) == again


def test_targeted_selection(work: Path) -> None:
    vectors, labels = digits()
    # of a linear model without weights yet: the row, pushed towards its own class
    gradient = np.zeros((len(labels), 10, 64), np.float32)
    gradient[np.arange(len(labels)), labels] = -vectors
    columns = vector_table(vectors, label=labels)
    flat = vector_table(gradient.reshape(len(labels), -1))
    rows = columns.append_column("gradient", flat["embedding"])
    shutil.rmtree(work / "emb")
    write_dump(work / "emb", rows.slice(0, ROWS))
    threes = np.flatnonzero(labels[ROWS:] == 3)[:20] + ROWS
    write_dump(work / "target", rows.take(pa.array(threes)))
    given = {"input": "emb", "target": "target", "k": 20, "n": 30, "hessian": "identity"}
    assert set(ran("targeted-selection", **given).values()) == {"ran"}
    assert set(ran("targeted-selection", **given).values()) == {"unchanged"}
    assert (column("out/subset", "label") == 3).mean() > 0.5
    write_dump(work / "target", rows.take(pa.array(threes[:10])))
    assert ran("targeted-selection", **given) == {
        "clusters": "unchanged",
        "subset": "ran",
        "quality": "ran",
    }


def test_they_are_listed_and_copied_out(work: Path) -> None:
    listed = json.loads(command("run", "--list", "--json", cwd=work).out)
    assert [recipe["name"] for recipe in listed] == names()
    assert listed[0]["variables"]["n"] == {"default": "10%", "help": "Rows to choose."}
    shown = command("run", "--list", cwd=work).out
    assert all(recipe["summary"] in shown for recipe in listed)
    assert "The dump: a file, a directory or a glob. (must be set)" in shown
    done = command("run", "fine-tuning-subset", "--copy", "mine.toml", cwd=work)
    assert (done.code, done.out, done.err) == (0, "", "")
    text = (work / "mine.toml").read_text()
    (work / "mine.toml").write_text(text.replace("default = 1000", "default = 12"))
    assert set(ran("mine.toml", input="emb").values()) == {"ran"}
    assert pq.read_metadata(work / "out/clusters/centroids.parquet").num_rows == 12
    again = command("run", "fine-tuning-subset", "--copy", "mine.toml", cwd=work)
    assert again.err == "error: mine.toml: exists already\nhint: choose another name\n"
    unknown = command("run", "fine-tuning", "-o", "x", cwd=work)
    assert unknown.err == (
        "error: no recipe 'fine-tuning'\nhint: did you mean 'fine-tuning-subset'?\n"
    )


def test_what_is_no_recipe_is_one_line(work: Path) -> None:
    (work / "binary.toml").write_bytes(b"\xff\xfe")
    for name, message in {
        "nothing.toml": "error: nothing.toml: No such file or directory",
        "emb/x": "error: emb/x: No such file or directory",
        "emb.toml": "error: emb.toml: No such file or directory",
        "binary.toml": "error: binary.toml: not a text in UTF-8",
    }.items():
        done = command("run", name, "-o", "x", cwd=work)
        assert (done.code, done.err.splitlines()[0]) == (1, message)
    assert command("run", "binary.toml", cwd=work).code == 2

"""What coresift weights refuses, line by line, before anything is written."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import coresift as library
from coresift.cli.main import run
from tests.cli.command import coresift
from tests.data import vector_table, write_dump
from tests.weighted import LINE, carried, line, write_learned


def another_dump(folder: Path) -> None:
    write_dump(folder / "other", vector_table(LINE[:5], id=list("abcde")))
    library.select(
        "random", folder / "other", size=2, output=folder / "subset.parquet", overwrite=True
    )


def as_it_is(folder: Path) -> None:
    pass


def overwritten(folder: Path, rows: list[int], **columns: Any) -> None:
    pq.write_table(pa.table({"row": rows, **columns}), folder / "subset.parquet")


def selected(folder: Path) -> None:
    library.select(
        "random", folder / "emb", size=2, output=folder / "subset.parquet", overwrite=True
    )
    (folder / "learned.parquet").write_bytes((folder / "subset.parquet").read_bytes())


CASES: list[tuple[str, Callable[[Path], object], list[object], str, str]] = [
    (
        "another dump",
        another_dump,
        [],
        "subset.parquet was made from another input: 6 rows here, 5 there",
        "give the dump that the rows were selected from",
    ),
    (
        "a row without a weight",
        lambda folder: write_learned(folder / "learned.parquet", [3], [1.0]),
        [],
        "learned.parquet: no weight for 1 row of subset.parquet, for example row 0 with row 0",
        "give each row of the subset a weight, or leave the row out of it",
    ),
    (
        "two weights",
        lambda folder: write_learned(folder / "learned.parquet", [0, 3, 3], [1.0, 1.0, 2.0]),
        [],
        "learned.parquet: 1 id in 'row' more than once, for example 3",
        "each id needs exactly one line",
    ),
    (
        "not a number",
        lambda folder: write_learned(folder / "learned.parquet", [0, 3], [1.0, math.nan]),
        [],
        "learned.parquet: the weight of row 3 is null or not a number",
        "weights must be finite and not negative",
    ),
    (
        "null",
        lambda folder: write_learned(folder / "learned.parquet", [0, 3], [None, 1.0]),
        [],
        "learned.parquet: the weight of row 0 is null or not a number",
        "weights must be finite and not negative",
    ),
    (
        "negative",
        lambda folder: overwritten(folder, [0, 3], learned=[1.0, -0.5]),
        ["--weights", "learned"],
        "subset.parquet: the weight of row 3 is -0.5",
        "weights must be finite and not negative",
    ),
    (
        "all zero",
        lambda folder: write_learned(folder / "learned.parquet", [0, 3], [0.0, 0.0]),
        [],
        "learned.parquet: all weights are 0",
        "",
    ),
    (
        "text",
        lambda folder: overwritten(folder, [0, 3], learned=["a", "b"]),
        ["--weights", "learned"],
        "subset.parquet: column 'learned' gives string, not a number",
        "",
    ),
    (
        "a row of no dump",
        lambda folder: overwritten(folder, [0, 6]),
        [],
        "subset.parquet: row 6 is not one of the 6 rows of emb/emb-000.parquet (and 1 more)",
        "row ids are positions in the dump that the rows were chosen from",
    ),
    (
        "a row that does not match",
        as_it_is,
        ["--where", "id == 'a'"],
        "subset.parquet: row 3 is not among the rows that --where and --invalid keep of "
        "emb/emb-000.parquet (and 1 more)",
        "give the --where and --invalid that the rows were chosen with",
    ),
    (
        "neither a column nor a file",
        as_it_is,
        ["--weights", "lerned"],
        "--weights lerned: neither a column of subset.parquet nor a file",
        "its columns are row, id, learned",
    ),
    (
        "whose weight",
        selected,
        [],
        "learned.parquet: made from a selection, whose weights say how many rows each stands for",
        "name the column that was learned with --weights-column",
    ),
    (
        "too many neighbours",
        as_it_is,
        ["--by", "kernel", "--neighbors", 3],
        "--neighbors 3 is more than the 2 rows of subset.parquet",
        "give at most 2",
    ),
    (
        "neighbours of another rule",
        as_it_is,
        ["--neighbors", 2],
        "--neighbors is an option of --by kernel",
        "leave it out, or add --by kernel",
    ),
    (
        "no bandwidth",
        as_it_is,
        ["--by", "kernel", "--bandwidth", 0],
        "--bandwidth 0 is not more than 0",
        "",
    ),
    (
        "no clusters",
        as_it_is,
        ["--by", "cluster"],
        "--by cluster needs a clustering",
        "run `coresift cluster PATH... -k K -o DIR`, then give --clusters DIR",
    ),
    (
        "clusters of another rule",
        as_it_is,
        ["--clusters", "clusters"],
        "--by nearest does not use a clustering",
        "leave --clusters out, or add --by cluster",
    ),
    (
        "a name that is taken",
        lambda folder: write_dump(folder / "emb", vector_table(LINE, weight=range(6)), files=2),
        ["--columns", "weight"],
        "the input has a column 'weight', which the result adds",
        "give --prefix coresift_ to name the added columns apart, or leave the input's out with "
        "--columns",
    ),
    (
        "an existing result",
        lambda folder: (folder / "out.parquet").write_text("mine"),
        [],
        "out.parquet: exists already",
        "choose another -o, or give --overwrite",
    ),
    (
        "the weights as the output",
        as_it_is,
        ["-o", "learned.parquet", "--overwrite"],
        "learned.parquet: the output is the input",
        "choose another place with -o",
    ),
]


@pytest.mark.parametrize(
    ("prepare", "options", "message", "hint"),
    [case[1:] for case in CASES],
    ids=[c[0] for c in CASES],
)
def test_refused(
    prepare: Callable[[Path], object],
    options: list[object],
    message: str,
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line(tmp_path)
    prepare(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    command = ["weights", "emb", "--subset", "subset.parquet", "--weights", "learned.parquet"]
    monkeypatch.chdir(tmp_path)
    code = run([*command, "-o", "out.parquet", *map(str, options)])
    shown = capsys.readouterr()
    assert shown.err == f"error: {message}\n" + (f"hint: {hint}\n" if hint else "")
    assert shown.out == ""
    assert code == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_replay_refuses_another_subset(tmp_path: Path) -> None:
    line(tmp_path)
    carried(tmp_path, "--weights", "learned")
    overwritten(tmp_path, [0, 3], learned=[1.0, 2.0])
    done = coresift("replay", "out.parquet", "-o", "again.parquet", cwd=tmp_path)
    path = tmp_path / "subset.parquet"
    assert done.err == f"error: the subset {path} has changed since\nhint: put it back as it was\n"
    path.unlink()
    done = coresift("replay", "out.parquet", "-o", "again.parquet", cwd=tmp_path)
    assert done.err == f"error: the subset {path} is gone\nhint: put it back there\n"
    assert not (tmp_path / "again.parquet").exists()


def test_weights_are_no_subset(tmp_path: Path) -> None:
    line(tmp_path)
    carried(tmp_path, "--weights", "learned")
    done = coresift("evaluate", "out.parquet", "--full", "emb", cwd=tmp_path)
    assert done.err.startswith(
        "error: out.parquet: a result of `coresift weights`, not a selection"
    )

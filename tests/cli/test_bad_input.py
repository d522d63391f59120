"""Each kind of bad input gets its exact line, exit code 1, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.command import coresift, leftovers
from tests.data import gaussians, vector_table, write_dump

VECTORS = gaussians(60, 4, 3)


def good(folder: Path) -> None:
    write_dump(folder / "emb", vector_table(VECTORS, id=np.arange(60)), files=3)


def empty_directory(folder: Path) -> None:
    (folder / "emb").mkdir()


def no_vectors(folder: Path) -> None:
    write_dump(folder / "emb", pa.table({"id": [1, 2], "name": ["a", "b"]}))


def two_columns(folder: Path) -> None:
    table = vector_table(VECTORS)
    write_dump(folder / "emb", table.append_column("second", table["embedding"]))


def truncated(folder: Path) -> None:
    good(folder)
    path = folder / "emb" / "emb-001.parquet"
    path.write_bytes(path.read_bytes()[:-20])


def damaged_row_group(folder: Path) -> None:
    good(folder)
    path = folder / "emb" / "emb-001.parquet"
    content = bytearray(path.read_bytes())
    content[4:300] = b"\xff" * 296
    path.write_bytes(content)


def other_dimension(folder: Path) -> None:
    good(folder)
    table = vector_table(np.zeros((5, 7), np.float32), id=np.arange(5))
    pq.write_table(table, folder / "emb" / "emb-001.parquet")


def not_a_number(folder: Path) -> None:
    vectors = VECTORS.copy()
    vectors[33, 2] = np.nan
    write_dump(folder / "emb", vector_table(vectors), files=3)


def null(folder: Path) -> None:
    rows = [None if row == 41 else VECTORS[row].tolist() for row in range(60)]
    table = pa.table({"embedding": pa.array(rows, pa.list_(pa.float32(), 4))})
    write_dump(folder / "emb", table, files=3)


def zero(folder: Path) -> None:
    vectors = VECTORS.copy()
    vectors[7] = 0.0
    write_dump(folder / "emb", vector_table(vectors), files=3)


def clashing(folder: Path) -> None:
    write_dump(folder / "emb", vector_table(VECTORS, weight=np.arange(60), cluster=np.arange(60)))


def target_exists(folder: Path) -> None:
    good(folder)
    (folder / "out").mkdir()


def target_below_a_file(folder: Path) -> None:
    good(folder)
    (folder / "file").write_text("")


CLUSTER = ["cluster", "emb", "-k", 2, "-o", "out"]
DROP_HINT = "--invalid drop leaves such rows out; `coresift inspect` counts them"
PREFIX_HINT = (
    "give --prefix coresift_ to name the added columns apart, or leave the input's out with "
    "--columns"
)

CASES: list[tuple[Callable[[Path], None], list[object], str, str]] = [
    (
        good,
        ["cluster", "nothing", "-k", 2, "-o", "out"],
        "nothing: no such file or directory",
        "",
    ),
    (
        empty_directory,
        CLUSTER,
        "emb: no *.parquet file in this directory",
        "name the files or a glob for other formats (.arrow, .feather, .npy)",
    ),
    (
        no_vectors,
        CLUSTER,
        "emb/emb-000.parquet: no vector column among the columns id, name",
        "a list column of float16, float32, float64 or int8 is expected; for one number per "
        "column give a pattern such as --embedding 'x_*'",
    ),
    (
        two_columns,
        CLUSTER,
        "emb/emb-000.parquet: 2 vector columns: embedding (fixed_size_list of 4 float32), "
        "second (fixed_size_list of 4 float32)",
        "choose one with --embedding NAME",
    ),
    (
        truncated,
        CLUSTER,
        "emb/emb-001.parquet: does not end as a Parquet file does; it is truncated or damaged",
        "write the file again, or leave it out",
    ),
    (
        other_dimension,
        CLUSTER,
        "emb/emb-001.parquet: column 'embedding' has 7 dimensions, expected 4 as in "
        "emb/emb-000.parquet",
        "leave the file out, or embed its rows with the same model",
    ),
    (
        not_a_number,
        CLUSTER,
        "emb/emb-001.parquet: row 13 of the file (row 33): the vector in 'embedding' holds a "
        "value that is not finite",
        DROP_HINT,
    ),
    (
        null,
        CLUSTER,
        "emb/emb-002.parquet: row 1 of the file (row 41): the vector in 'embedding' is null",
        DROP_HINT,
    ),
    (
        zero,
        [*CLUSTER, "--metric", "cosine"],
        "emb/emb-000.parquet: row 7 of the file (row 7): the vector in 'embedding' is zero, "
        "which has no direction under --metric cosine",
        DROP_HINT,
    ),
    (
        good,
        ["cluster", "emb", "-k", 61, "-o", "out"],
        "-k 61 is more than the 60 rows",
        "ask for at most 60 clusters",
    ),
    (
        good,
        ["select", "random", "emb", "-n", 61, "-o", "out"],
        "size 61 is more than the 60 rows to choose from",
        "ask for at most 60 with -n, or for a share such as -n 10%",
    ),
    (
        good,
        ["select", "random", "emb", "-n", "0%", "-o", "out"],
        "size '0%' is neither a positive count nor a share in (0%, 100%]",
        "write -n 5000 or -n 10%",
    ),
    (
        clashing,
        ["select", "random", "emb", "-n", 5, "-o", "out"],
        "the input has a column 'weight', which the result adds",
        PREFIX_HINT,
    ),
    (
        clashing,
        CLUSTER,
        "the input has a column 'cluster', which the result adds",
        PREFIX_HINT,
    ),
    (
        target_exists,
        CLUSTER,
        "out: exists already",
        "choose another -o, or give --overwrite",
    ),
    (
        target_exists,
        [*CLUSTER, "--overwrite"],
        "out: not a result of coresift, so --overwrite leaves it alone",
        "remove it yourself, or choose another -o",
    ),
    (
        target_below_a_file,
        ["cluster", "emb", "-k", 2, "-o", "file/out"],
        "file/out: FOLDER/file is not a directory",
        "",
    ),
    (
        good,
        ["select", "random", "emb", "-n", 5, "-o", "emb/out.parquet"],
        "emb/out.parquet: the output lies in the input emb",
        "choose another place with -o",
    ),
    (
        good,
        ["select", "random", "emb", "-n", 5, "-o", "s3://bucket/out"],
        "s3://bucket/out: results are written to local paths",
        "write to a folder of this machine and copy it",
    ),
    (
        good,
        [*CLUSTER, "--memory", "8XB"],
        "'8XB' is not a size in bytes",
        "write 8GB, 512MiB or a number of bytes",
    ),
    (
        good,
        [*CLUSTER, "--ray-address", "auto"],
        "--ray-address is about --engine ray, which is not asked for",
        "add --engine ray, or leave it out",
    ),
    (
        good,
        ["select", "random", "emb", "-n", 5, "-o", "out", "--columns", "id,nme"],
        "--columns: no column 'nme' in emb/emb-000.parquet (and 2 more)",
        "the columns are id, embedding",
    ),
    (
        good,
        ["evaluate", "nothing", "--full", "emb"],
        "nothing: no such file or directory",
        "",
    ),
    (
        good,
        ["replay", "emb", "-o", "out"],
        "emb: not a result made by coresift (no provenance)",
        "name a directory with a manifest.json, or a Parquet file, that coresift wrote",
    ),
]


@pytest.mark.parametrize(("prepare", "arguments", "message", "hint"), CASES)
def test_message(
    prepare: Callable[[Path], None],
    arguments: list[object],
    message: str,
    hint: str,
    tmp_path: Path,
) -> None:
    prepare(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    done = coresift(*arguments, cwd=tmp_path)
    expected = f"error: {message.replace('FOLDER', str(tmp_path))}\n"
    assert done.err == expected + (f"hint: {hint}\n" if hint else "")
    assert done.out == ""
    assert done.code == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_row_group_names_its_file(tmp_path: Path) -> None:
    damaged_row_group(tmp_path)
    done = coresift(*CLUSTER, cwd=tmp_path)
    assert done.code == 1
    assert done.err.startswith("error: emb/emb-001.parquet: ")
    assert len(done.err.splitlines()) <= 2
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "out").exists()


def test_a_clustering_of_another_dump_is_refused(tmp_path: Path) -> None:
    good(tmp_path)
    table = vector_table(VECTORS[:50], id=np.arange(50))
    write_dump(tmp_path / "other", table, files=3)
    assert coresift("cluster", "emb", "-k", 5, "-o", "c", cwd=tmp_path).code == 0
    done = coresift(
        *("select", "sensitivity", "other", "--clusters", "c", "-n", 5, "-o", "out"), cwd=tmp_path
    )
    assert done.code == 1
    assert done.err == (
        "error: c was made from another input: 50 rows here, 60 there\n"
        "hint: give the dump it was made from, or run `coresift cluster` on this one\n"
    )


def test_losses_with_missing_clusters_are_refused(tmp_path: Path) -> None:
    good(tmp_path)
    assert coresift("cluster", "emb", "-k", 5, "-o", "c", cwd=tmp_path).code == 0
    losses = pa.table({"cluster": [0, 1, 3], "loss": [1.0, 2.0, 3.0]})
    pq.write_table(losses, tmp_path / "losses.parquet")
    done = coresift(
        *("select", "sensitivity", "emb", "--clusters", "c", "-n", 5, "-o", "out"),
        *("--losses", "losses.parquet"),
        cwd=tmp_path,
    )
    assert done.code == 1
    assert done.err == (
        "error: losses.parquet: no loss for 2 of 5 clusters, for example 2\n"
        "hint: score every row of representatives.parquet\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cluster", "emb", "-o", "out"], "Error: Missing option '-k'."),
        (["cluster", "emb", "-k", 0, "-o", "out"], "Error: Invalid value for '-k':"),
        (["select", "nope", "emb"], "Error: No such command 'nope'."),
        (["cluster", "-k", 2, "-o", "out"], "Error: Missing argument 'PATH...'."),
        (["cluster", "emb", "-k", 2, "-o", "out", "--sed", 1], "Error: No such option"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[object], message: str, tmp_path: Path) -> None:
    good(tmp_path)
    done = coresift(*arguments, cwd=tmp_path)
    assert done.code == 2
    assert message in done.err
    assert done.out == ""


def test_hostile_names_are_read_and_written(tmp_path: Path) -> None:
    folder = tmp_path / "a b#%é\n'\"*[x]"
    write_dump(folder, vector_table(VECTORS, id=np.arange(60)), files=2)
    done = coresift("cluster", folder, "-k", 3, "-o", "-weird $(name)", cwd=tmp_path)
    assert done.code == 0, done.err
    assert (tmp_path / "-weird $(name)" / "manifest.json").exists()

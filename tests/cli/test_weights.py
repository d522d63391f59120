"""coresift weights: by hand, against all distances, the same everywhere, and refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import coresift as library
from tests.cli.command import coresift, leftovers
from tests.cli.test_faults import start_stalled
from tests.data import digits, digits_dump, vector_table, write_dump
from tests.weighted import LINE, carried, line, read, write_learned


def test_nearest_by_hand(tmp_path: Path) -> None:
    line(tmp_path)
    facts = carried(tmp_path, "--weights", "learned")
    # of two as near the first row counts
    assert read(tmp_path / "out.parquet") == ([0, 1, 2, 3, 4, 5], [1.0, 1.0, 1.0, 3.0, 3.0, 1.0])
    assert facts.keys() >= {"rows", "rows_subset", "weight_sum", "params", "seconds", "output"}
    assert (facts["rows"], facts["rows_subset"], facts["weight_sum"]) == (6, 2, 10.0)
    assert facts["peak_rss_bytes"] > 0
    assert {"read", "carry", "write", "total"} == facts["seconds"].keys()
    assert facts["params"]["by"] == facts["method"] == "nearest"


def test_kernel_by_hand(tmp_path: Path) -> None:
    line(tmp_path)
    options = ("--weights", "learned.parquet", "--by", "kernel", "--bandwidth", 5)
    facts = carried(tmp_path, *options)
    _, weight = read(tmp_path / "out.parquet")
    for row, x in enumerate(LINE[:, 0].tolist()):
        one, three = math.exp(-(x**2) / 50.0), math.exp(-((10.0 - x) ** 2) / 50.0)
        assert weight[row] == pytest.approx((one + 3.0 * three) / (one + three), rel=1e-14)
    assert weight[5] == 2.0
    assert facts["resolved"] == {"bandwidth": 5.0, "neighbors": 2}
    # one neighbour is the nearest row; far ones do not become 0 / 0
    for more in (("--neighbors", 1), ("--bandwidth", 1e-200)):
        carried(tmp_path, *options[:4], *more, "--overwrite")
        _, weight = read(tmp_path / "out.parquet")
        assert weight[:5] == [1.0, 1.0, 1.0, 3.0, 3.0]


def test_cluster_by_hand(tmp_path: Path) -> None:
    line(tmp_path)
    write_learned(tmp_path / "three.parquet", [0, 1, 4], [1.0, 2.0, 4.0])
    subset = pa.table({"row": [0, 1, 4]})
    pq.write_table(subset, tmp_path / "subset.parquet")
    facts = carried(
        tmp_path, "--weights", "three.parquet", "--by", "cluster", "--clusters", "clusters"
    )
    # row 5 is alone in its cluster, and nearest to row 1
    assert read(tmp_path / "out.parquet")[1] == [1.5, 1.5, 1.5, 4.0, 4.0, 2.0]
    assert facts["notes"][-1] == (
        "1 cluster of 3 without a row of the subset: their 1 row took the weight of the nearest one"
    )


@pytest.mark.parametrize(("normalize", "total"), [("mean", 6.0), ("sum", 1.0)])
def test_weights_are_scaled(normalize: str, total: float, tmp_path: Path) -> None:
    line(tmp_path)
    facts = carried(tmp_path, "--weights", "learned", "--normalize", normalize)
    expected = np.array([1.0, 1.0, 1.0, 3.0, 3.0, 1.0]) * total / 10.0
    assert read(tmp_path / "out.parquet")[1] == pytest.approx(expected.tolist(), rel=1e-15)
    assert facts["weight_sum"] == pytest.approx(total, rel=1e-15)


def test_an_equal_row_keeps_its_own_weight(tmp_path: Path) -> None:
    write_dump(tmp_path / "emb", vector_table(np.repeat(LINE[:2], 3, axis=0)))
    pq.write_table(
        pa.table({"row": [1, 2, 5], "learned": [1.0, 2.0, 3.0]}), tmp_path / "subset.parquet"
    )
    carried(tmp_path, "--weights", "learned")
    assert read(tmp_path / "out.parquet")[1] == [1.0, 1.0, 2.0, 3.0, 3.0, 3.0]
    facts = carried(tmp_path, "--weights", "learned", "--by", "kernel", "--overwrite")
    assert facts["resolved"] == {"bandwidth": 1.0, "neighbors": 3}


def test_files_join_by_an_id(tmp_path: Path) -> None:
    line(tmp_path)
    table = pa.table({"id": ["z", "d", "a"], "mine": [9.0, 3.0, 1.0]})
    pq.write_table(table, tmp_path / "by-id.parquet")
    facts = carried(tmp_path, "--weights", "by-id.parquet", "--on", "id", "--columns", "id")
    assert read(tmp_path / "out.parquet")[1] == [1.0, 1.0, 1.0, 3.0, 3.0, 1.0]
    assert pq.read_table(tmp_path / "out.parquet").column_names == ["id", "row", "weight"]
    assert "1 id of by-id.parquet on no row of the subset, for example 'z'" in facts["notes"]


# digits


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits in one file and in seven, a selection, weights and clusterings."""
    folder = tmp_path_factory.mktemp("weights")
    digits_dump(folder / "emb")
    digits_dump(folder / "seven", files=7, row_group_size=83)
    options = ["-n", 150, "--columns", "id"]
    for dump, name in (("emb", "subset"), ("seven", "subset-seven")):
        done = coresift(
            *("select", "k-center", dump, *options, "-o", f"{name}.parquet"), cwd=folder
        )
        assert done.code == 0, done.err
        done = coresift("cluster", dump, "-k", 90, "-o", f"{dump}-clusters", cwd=folder)
        assert done.code == 0, done.err
    rows = pq.read_table(folder / "subset.parquet")["row"].to_pylist()
    weight = np.random.default_rng(1).random(150).tolist()
    write_learned(folder / "learned.parquet", rows, weight)
    return folder


def plain(rule: str, folder: Path, *, cosine: bool = False) -> NDArray[np.float64]:
    """The rules on all distances, in float64."""
    x = digits()[0].astype(np.float64)
    if cosine:
        x /= np.linalg.norm(x, axis=1, keepdims=True)
    table = pq.read_table(folder / "learned.parquet")
    rows, weight = table["row"].to_numpy(), table["weight"].to_numpy()
    squared = ((x[:, None, :] - x[rows][None]) ** 2).sum(axis=2)
    found: NDArray[np.float64] = weight[squared.argmin(axis=1)]
    if rule == "cluster":
        parts = pq.read_table(folder / "emb-clusters" / "assignments")
        cluster = parts["cluster"].to_numpy()
        for label in np.unique(cluster[rows]):
            found[cluster == label] = weight[cluster[rows] == label].mean()
    if rule != "kernel":
        return found
    between = squared[rows] + np.diag(np.full(len(rows), np.inf))
    width = np.median(np.sqrt(between.min(axis=1)))
    order = np.argsort(squared, axis=1, kind="stable")[:, :10]
    share = np.exp(-np.take_along_axis(squared, order, axis=1) / (2.0 * width**2))
    mean: NDArray[np.float64] = (share * weight[order]).sum(axis=1) / share.sum(axis=1)
    return mean


RULES: dict[str, list[object]] = {
    "nearest": [],
    "kernel": ["--by", "kernel"],
    "cluster": ["--by", "cluster", "--clusters", "emb-clusters"],
    "cosine": ["--by", "kernel", "--metric", "cosine"],
}


@pytest.mark.parametrize("name", RULES)
def test_digits_are_as_by_all_distances(name: str, work: Path) -> None:
    out = f"{name}.parquet"
    facts = carried(work, "--weights", "learned.parquet", *RULES[name], out=out)
    rows, weight = read(work / out)
    expected = plain("kernel" if name == "cosine" else name, work, cosine=name == "cosine")
    assert rows == list(range(1797))
    exact = 1e-15 if name in ("nearest", "cluster") else 1e-6 if name == "cosine" else 1e-12
    assert np.abs(np.array(weight) - expected).max() < exact
    assert facts["weight_sum"] == pytest.approx(math.fsum(weight), rel=1e-15)
    replayed = coresift("replay", out, "-o", f"again-{out}", "--json", cwd=work)
    assert json.loads(replayed.out)["identical"] is True, replayed


@pytest.mark.parametrize("name", ["nearest", "kernel", "cluster"])
def test_batches_threads_memory_and_files_do_not_show(name: str, work: Path) -> None:
    options = ["--weights", "learned.parquet", *RULES[name], "--normalize", "mean"]
    options += ["--columns", "id,embedding"]
    contents: set[bytes] = set()
    ways: list[list[object]] = [["--threads", 1, "--batch-rows", 37], ["--memory", "250MB"]]
    for number, how in enumerate(ways):
        out = f"how-{name}-{number}.parquet"
        carried(work, *options, *how, out=out)
        contents.add((work / out).read_bytes())
    assert len(contents) == 1
    command = ["weights", "seven", "--subset", "subset-seven.parquet", "-o", f"seven-{name}"]
    renamed = ["seven-clusters" if option == "emb-clusters" else option for option in options]
    done = coresift(*command, *renamed, cwd=work)
    assert done.code == 0, done.err
    other = pq.read_table(work / f"seven-{name}" / "part-00000.parquet")
    assert other.equals(pq.read_table(work / f"how-{name}-0.parquet"))


def test_rows_left_out_have_no_weight(tmp_path: Path) -> None:
    vectors = LINE.copy()
    vectors[1] = np.nan
    write_dump(tmp_path / "emb", vector_table(vectors, kind=list("aaabba")), files=3)
    options = ["--invalid", "drop", "--where", "kind == 'a'"]
    done = coresift("select", "k-center", "emb", "-n", 2, *options, "-o", "s.parquet", cwd=tmp_path)
    assert done.code == 0, done.err
    rows = pq.read_table(tmp_path / "s.parquet")["row"].to_pylist()
    write_learned(tmp_path / "learned.parquet", rows, [0.5, 0.25])
    # read as the selection was
    command = ["weights", "emb", "--subset", "s.parquet", "--weights", "learned.parquet"]
    done = coresift(*command, "-o", "out.parquet", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert read(tmp_path / "out.parquet")[0] == [0, 2, 5]
    facts = json.loads(done.out)
    assert facts["rows"] == 3
    assert facts["notes"] == [
        "as for the subset, only rows with --where \"kind == 'a'\" are read",
        "1 rows were left out, their vectors being invalid",
    ]
    # unless told otherwise
    done = coresift(*command, "--where", "kind <= 'b'", "-o", "all.parquet", "--json", cwd=tmp_path)
    assert read(tmp_path / "all.parquet")[0] == [0, 2, 3, 4, 5]
    assert json.loads(done.out)["notes"][0] == (
        "the subset was selected with --where \"kind == 'a'\""
    )
    done = coresift(*command, "--invalid", "error", "-o", "none.parquet", cwd=tmp_path)
    assert done.err.startswith("error: emb/emb-000.parquet: row 1 of the file (row 1): the vector")


def test_from_python(tmp_path: Path) -> None:
    line(tmp_path)
    found = library.weights(
        tmp_path / "emb",
        subset=tmp_path / "subset.parquet",
        weights=tmp_path / "learned.parquet",
        output=tmp_path / "out",
        by="kernel",
        neighbors=2,
        bandwidth=5,
        columns=["id"],
        prefix="my_",
    )
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["summary"]["weight_sum"] == found.weight_sum
    table = pq.read_table(tmp_path / "out" / "part-00000.parquet")
    assert table.column_names == ["id", "my_row", "my_weight"]
    assert found.weight_sum == math.fsum(table["my_weight"].to_pylist())


@pytest.mark.parametrize("target", ["out", "out.parquet"])
def test_kill_leaves_nothing(target: str, tmp_path: Path) -> None:
    line(tmp_path)
    command = ["weights", "emb", "--subset", "subset.parquet", "--weights", "learned", "-o", target]
    process = start_stalled(tmp_path, *command)
    process.kill()
    process.communicate()
    assert not (tmp_path / target).exists()
    assert len(leftovers(tmp_path)) == 1
    done = coresift(*command, cwd=tmp_path)
    assert done.code == 0, done.err
    assert leftovers(tmp_path) == []
    assert (tmp_path / target).exists()

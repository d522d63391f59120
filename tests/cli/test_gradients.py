"""coresift gradients: the same everywhere, used by select influence, killed, and refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from coresift.cli.main import run as program
from tests.cli.command import Done, coresift, leftovers
from tests.cli.test_faults import start_stalled
from tests.data import digits, digits_dump, vector_table, write_dump
from tests.influence.files import write_bergson, write_tensor, write_trak

# weights that need no fit, since each run of the command loads the model
MODEL = """
import numpy as np
from sklearn.linear_model import LogisticRegression

def linear(scale=0.3):
    generator = np.random.default_rng(0)
    model = LogisticRegression()
    model.coef_ = generator.normal(size=(10, 64)) * scale
    model.intercept_ = generator.normal(size=10)
    model.classes_ = np.arange(10)
    return model, lambda columns: (columns["embedding"], columns["label"])

def other():
    return linear(0.4)

def infinite():
    model, inputs = linear()
    def spoiled(columns):
        features, labels = inputs(columns)
        features = np.where(labels[:, None] == 7, np.nan, features)
        return features, labels
    return model, spoiled

def large():
    model, inputs = linear(0.0)
    return model, lambda columns: (columns["embedding"] * 1e6, columns["label"])

def nothing():
    return 7

def broken():
    raise ValueError("no weights\\nhere")

def ended():
    raise SystemExit(3)

def missing():
    import a_package_that_is_not_there
"""

NETWORK = """
import torch
from torch import nn
from torch.nn import functional

def load():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    return net, loss

def loss(net, batch):
    return functional.cross_entropy(net(batch["embedding"]), batch["label"])
"""


def prepare(folder: Path, **split: int) -> None:
    digits_dump(folder / "emb", **split)
    (folder / "model.py").write_text(MODEL)


def written(path: Path) -> pa.Table:
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    return pa.concat_tables([pq.read_table(file) for file in files])


def vectors(table: pa.Table) -> NDArray[np.float32]:
    column = table["gradient"].combine_chunks()
    found: NDArray[np.float32] = column.flatten().to_numpy()
    return found.reshape(table.num_rows, -1)


Command = Callable[..., Done]


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """The command in this process, which is quicker; each test has a module ``model`` anew."""
    prepare(tmp_path, files=2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, "model", None)
    del sys.modules["model"]

    def command(*arguments: object) -> Done:
        capsys.readouterr()
        code = program([str(argument) for argument in arguments])
        return Done(code, *capsys.readouterr())

    return command


def run(here: Command, *arguments: object) -> dict[str, Any]:
    done = here("gradients", *arguments, "--json")
    assert done.code == 0, done.err
    facts: dict[str, Any] = json.loads(done.out)
    return facts


def test_what_is_written(here: Command, tmp_path: Path) -> None:
    facts = run(here, "emb", "--model", "model:linear", "-o", "out", "--columns", "label,id")
    assert (facts["rows"], facts["dim"], facts["parameters"]) == (1797, 650, 650)
    assert (facts["method"], facts["layers"]) == ("scikit-learn", ["coef_", "intercept_"])
    assert facts["seconds"].keys() == {"model", "gradients", "total"}
    table = written(tmp_path / "out")
    assert table.column_names == ["id", "label", "row", "gradient"]
    assert table.schema.field("gradient").type == pa.list_(pa.float32(), 650)
    assert table["row"].to_pylist() == list(range(1797))
    # no longer than --proj-dim: they are what they are, (p - y) times x
    x, y = digits()
    assert table["label"].to_pylist() == y.tolist()
    generator = np.random.default_rng(0)
    outputs = x @ (generator.normal(size=(10, 64)) * 0.3).T + generator.normal(size=10)
    p = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    expected = np.einsum("ik,id->ikd", p - np.eye(10)[y], x).reshape(1797, -1)
    np.testing.assert_allclose(vectors(table)[:, :640], expected, atol=1e-5)


def test_a_file_of_float16_projected(here: Command, tmp_path: Path) -> None:
    command = ("emb", "--model", "model.py:linear", "--proj-dim", 100, "--prefix", "my_")
    run(here, *command, "-o", "one.parquet")
    run(here, *command, "-o", "half.parquet", "--half")
    one, half = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("one", "half"))
    assert one.column_names == half.column_names == ["my_row", "my_gradient"]
    assert half.schema.field("my_gradient").type == pa.list_(pa.float16(), 100)
    single, narrow = (vectors(t.rename_columns(["row", "gradient"])) for t in (one, half))
    np.testing.assert_array_equal(single.astype(np.float16), narrow)


def test_the_same_everywhere(here: Command, tmp_path: Path) -> None:
    digits_dump(tmp_path / "split", files=5, row_group_size=70)
    command = ("--model", "model:linear", "--proj-dim", 128)
    run(here, "emb", *command, "-o", "a", "--threads", 1)
    run(here, "emb", *command, "-o", "b", "--threads", 4, "--batch-rows", 37)
    assert (tmp_path / "a/part-00000.parquet").read_bytes() == (
        tmp_path / "b/part-00000.parquet"
    ).read_bytes()
    run(here, "split", *command, "-o", "c", "--memory", "4GB")
    first = vectors(written(tmp_path / "a"))
    np.testing.assert_array_equal(first, vectors(written(tmp_path / "c")))
    run(here, "emb", *command, "-o", "d", "--seed", 1)
    assert np.abs(first - vectors(written(tmp_path / "d"))).max() > 0.1
    done = here("replay", "a", "-o", "again", "--json")
    assert json.loads(done.out)["identical"], done.err


def chosen(here: Command, *arguments: object, code: int = 0) -> Done:
    command = ("select", "influence", "emb", "-n", "50", "--overwrite", *arguments)
    done = here(*command, "-o", "chosen.parquet")
    assert done.code == code, done.err
    return done


def test_rows_to_influence_with_no_other_tool(here: Command, tmp_path: Path) -> None:
    x, y = digits()
    target = vector_table(x[y == 3][:40], label=y[y == 3][:40])
    write_dump(tmp_path / "val", target)
    options = ("--model", "model:linear")
    run(here, "emb", *options, "-o", "grads")
    run(here, "val", *options, "-o", "vgrads")
    chosen(here, "--gradient", "grads", "--target", "vgrads")
    table = pq.read_table(tmp_path / "chosen.parquet")
    assert table.column_names[:3] == ["id", "label", "embedding"], "those of the dump"
    pool, wanted = (vectors(written(tmp_path / name)) for name in ("grads", "vgrads"))
    score = pool.astype(np.float64) @ wanted.astype(np.float64).mean(axis=0)
    assert table["row"].to_pylist() == sorted(np.argsort(-score)[:50].tolist())
    np.testing.assert_allclose(table["score"], score[table["row"].to_numpy()], rtol=1e-9)
    # rows of --where only, by the columns of the dump
    chosen(here, "--gradient", "grads", "--target", "vgrads", "--where", "label != 3")
    found = pq.read_table(tmp_path / "chosen.parquet")["row"].to_pylist()
    others = np.where(y == 3, -np.inf, score)
    assert found == sorted(np.argsort(-others)[:50].tolist())


def test_stores_of_other_tools_give_the_same_rows(here: Command, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    pool = (generator.integers(-16, 17, (1797, 40)) / 8).astype(np.float32)
    val = (generator.integers(-16, 17, (30, 40)) / 8).astype(np.float32)
    rows = set()
    for name, values in (("pool", pool), ("val", val)):
        np.save(tmp_path / f"{name}.npy", values)
        write_tensor(tmp_path / f"{name}.pt", values, "bfloat16")
        write_bergson(tmp_path / f"bergson-{name}", values, {"a": 15, "b": 25}, "float16")
        write_trak(tmp_path / f"trak-{name}", values)
    for form in ("{}.npy", "{}.pt", "bergson-{}", "trak-{}"):
        names = {"gradient": form.format("pool"), "target": form.format("val")}
        options = [word for key, value in names.items() for word in (f"--{key}", value)]
        chosen(here, *options, "--hessian", "fisher", "--similarity", "cosine")
        rows.add(tuple(pq.read_table(tmp_path / "chosen.parquet")["row"].to_pylist()))
        if form == "{}.pt":
            done = here("replay", "chosen.parquet", "-o", "r.parquet", "--json")
            assert json.loads(done.out)["identical"], done.err
    assert len(rows) == 1
    planned = here("select", "influence", "emb", "--gradient", "pool.npy", "--target", "val.npy",
                   "--aggregate", "max", "-n", "9", "--plan", "--json")  # fmt: skip
    assert planned.code == 0, planned.err
    # two checkpoints with their targets: LESS's sum, weighted by the learning rate
    checkpoints = ("--gradient", "pool.npy", "--gradient", "second.npy", "--learning-rate", "1",
                   "--learning-rate", "0.5", "--target", "val.npy,second-val.npy")  # fmt: skip
    np.save(tmp_path / "second.npy", pool[::-1])
    np.save(tmp_path / "second-val.npy", val * 2)
    chosen(here, *checkpoints)
    score = (pool + pool[::-1]).astype(np.float64) @ val.astype(np.float64).mean(axis=0)
    table = pq.read_table(tmp_path / "chosen.parquet")
    assert table["row"].to_pylist() == sorted(np.argsort(-score, kind="stable")[:50].tolist())


def test_a_row_of_a_store_that_has_no_gradient(here: Command, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(1797, 5)).astype(np.float32)
    np.save(tmp_path / "val.npy", values[:3])
    values[7, 2] = np.inf
    np.save(tmp_path / "pool.npy", values)
    options = ("--gradient", "pool.npy", "--target", "val.npy")
    done = chosen(here, *options, code=1)
    assert "error: pool.npy: the gradient of row 7 is not finite" in done.err
    chosen(here, *options, "-n", "1796", "--invalid", "drop")
    rows = pq.read_table(tmp_path / "chosen.parquet")["row"].to_pylist()
    assert rows == [row for row in range(1797) if row != 7]


def test_gradients_that_do_not_belong_together(here: Command, tmp_path: Path) -> None:
    narrow = ("--proj-dim", "64")
    run(here, "emb", "--model", "model:linear", *narrow, "-o", "grads")
    for name, options in (
        ("other", ("--model", "model:other")),
        ("seed", ("--model", "model:linear", "--seed", "1")),
    ):
        run(here, "emb/emb-000.parquet", *options, *narrow, "-o", name)
    np.save(tmp_path / "short.npy", np.zeros((10, 64), np.float32))
    for gradient, target, message in (
        ("grads", "other", "--target other: made with other weights than grads"),
        ("grads", "seed", "--target seed: projected with --seed 1, expected 0 as in grads"),
        ("seed", "seed", "--gradient seed was made from another input"),
        ("short.npy", "short.npy", "short.npy: 10 gradients, expected 1,797, one for each row"),
        ("grads", "emb", "emb: not written by `coresift gradients`"),
        ("grads", "nowhere", "nowhere: no such file or directory"),
        ("nowhere", "grads", "gradients in 'nowhere': neither a column of emb/"),
        ("grads", "grads,grads", "--target grads,grads names 2 stores, expected 1, one for"),
    ):
        done = chosen(here, "--gradient", gradient, "--target", target, code=1)
        assert f"error: {message}" in done.err
        assert len(done.err.splitlines()) <= 2


def test_kill_leaves_nothing_and_the_next_run_cleans_up(tmp_path: Path) -> None:
    prepare(tmp_path)
    command = ["gradients", "emb", "--model", "model:linear", "-o", "out"]
    process = start_stalled(tmp_path, *command)
    process.kill()
    process.communicate()
    assert not (tmp_path / "out").exists()
    assert len(leftovers(tmp_path)) == 1
    assert coresift(*command, cwd=tmp_path).code == 0
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "model"), "--model 'model' is not of the form module:function"),
        (("--model", "modl:linear"), "--model modl:linear: No module named 'modl'"),
        (("--model", "no/model.py:linear"), "error: --model: no file no/model.py"),
        (("--model", "model:ended"), "--model model:ended: the function raised SystemExit: 3"),
        (("--model", "model:lin"), "--model model:lin: no function 'lin' in model"),
        (("--model", "model:nothing"), "--model model:nothing: the function returned (int)"),
        (("--model", "model:broken"), "the function raised ValueError: no weights here"),
        (("--model", "model:missing"), "No module named 'a_package_that_is_not_there'"),
        (("--model", "model:infinite"), "row 7 of the file (row 7): the gradient is not finite"),
        (
            ("--model", "model:large", "--half"),
            "(row 0): the gradient does not fit into float16: leave out --half",
        ),
        (("--model", "model:linear", "--inputs", "lable"), "--inputs: no column 'lable' in emb"),
        (("--model", "model:linear", "--inputs", "label"), "its inputs raised KeyError: 'emb"),
        (("--model", "model:linear", "--layers", "x"), "--layers is for PyTorch"),
        (("--model", "model:linear", "--columns", "x"), "--columns: no column 'x' in emb"),
        (("--model", "model:linear", "--engine", "ray", "--ray-address", "local"), "one machine"),
    ],
)
def test_bad_input_is_one_line(
    arguments: tuple[str, ...], message: str, here: Command, tmp_path: Path
) -> None:
    done = here("gradients", "emb", *arguments, "-o", "out")
    assert done.code == 1
    assert message in done.err.splitlines()[0]
    assert len(done.err.splitlines()) <= 2
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == [
        "emb", "model.py"
    ]  # fmt: skip


def test_torch_that_is_missing_is_said(tmp_path: Path) -> None:
    prepare(tmp_path)
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(name='torch')")
    (tmp_path / "network.py").write_text(NETWORK)
    command = ("gradients", "emb", "--model", "network:load", "-o", "out")
    done = coresift(*command, cwd=tmp_path)
    assert done.code == 1
    assert done.err == (
        "error: --model network:load needs the package torch, which is not installed\n"
        "hint: pip install 'coresift[torch]'\n"
    )
    assert not (tmp_path / "out").exists()

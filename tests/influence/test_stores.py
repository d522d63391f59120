from __future__ import annotations

import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coresift.core.errors import InputError, MismatchError
from coresift.influence.base import Gradients
from coresift.influence.stores.opening import open_store
from tests.influence.files import (
    encoded,
    gradients,
    tensor_pickle,
    write_archive,
    write_bergson,
    write_tensor,
    write_trak,
)

SAVED = Path(__file__).parent / "saved"


def write_npy(path: Path, values: NDArray[Any]) -> Path:
    np.save(path, values)
    return path


WRITERS: dict[str, Callable[[Path, NDArray[np.float32]], tuple[Path, float]]] = {
    "npy": lambda p, v: (write_npy(p / "g.npy", v), 1.0),
    "npy of float16": lambda p, v: (write_npy(p / "g.npy", v.astype(np.float16)), 1.0),
    "npy of float64": lambda p, v: (write_npy(p / "g.npy", v.astype(np.float64)), 1.0),
    "bergson": lambda p, v: (write_bergson(p / "b", v, {"a.b": 3, "c": v.shape[1] - 3}), 1.0),
    "bergson of bfloat16": lambda p, v: (
        write_bergson(p / "b", v, {"a": v.shape[1]}, "bfloat16"),
        1.0,
    ),
    "TRAK": lambda p, v: (write_trak(p / "t", v), 0.5),
    "TRAK, a model": lambda p, v: (write_trak(p / "t", v) / "0", 0.5),
    "TRAK, a memory map": lambda p, v: (write_trak(p / "t", v) / "0" / "grads.mmap", 1.0),
    "LESS": lambda p, v: (write_tensor(p / "g.pt", v), 1.0),
    "LESS of bfloat16": lambda p, v: (write_tensor(p / "g.pt", v, "bfloat16"), 1.0),
    "LESS, a folder": lambda p, v: (write_tensor(p / "l/all_orig.pt", v, "float16").parent, 1.0),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_store_gives_the_rows_it_holds(kind: str, tmp_path: Path) -> None:
    values = gradients(203, 17)
    path, factor = WRITERS[kind](tmp_path, values)
    store: Gradients = open_store(path, rows=203)
    assert (store.rows, store.dim) == values.shape
    read = store.read(0, 203)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values * factor)
    np.testing.assert_array_equal(store.read(50, 77), values[50:77] * factor)
    rows = np.array([0, 1, 2, 40, 41, 99, 202])
    np.testing.assert_array_equal(store.take(rows), values[rows] * factor)
    assert store.read(9, 9).shape == (0, 17)
    assert store.take(np.empty(0, np.int64)).shape == (0, 17)
    # as a task on another process gets it
    sent: Gradients = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(sent.take(rows), values[rows] * factor)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_tensor_that_torch_saved(dtype: str) -> None:
    expected = (np.arange(12, dtype=np.float32) / 8 - 0.5).reshape(4, 3)
    np.testing.assert_array_equal(open_store(SAVED / f"{dtype}.pt").read(0, 4), expected)


def test_parts_are_read_in_order(tmp_path: Path) -> None:
    values = gradients(30, 4)
    for last, (start, stop) in zip((160, 320, 1280), ((0, 10), (10, 25), (25, 30)), strict=True):
        write_tensor(tmp_path / f"less/grads-{last}.pt", values[start:stop], "float16")
        write_bergson(tmp_path / f"bergson/shard-{last:05d}", values[start:stop], {"a": 4})
    rows = np.array([3, 9, 10, 24, 29])
    for name in ("less", "bergson"):
        store = open_store(tmp_path / name, 30)
        np.testing.assert_array_equal(store.read(8, 28), values[8:28])
        np.testing.assert_array_equal(store.take(rows), values[rows])


def test_only_the_rows_asked_for_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = gradients(1000, 8)
    store = open_store(write_npy(tmp_path / "g.npy", values))
    read: list[int] = []
    preadv = os.preadv

    def counted(file: int, buffers: list[memoryview], offset: int) -> int:
        read.append(sum(len(buffer) for buffer in buffers))
        return preadv(file, buffers, offset)

    monkeypatch.setattr(os, "preadv", counted)
    store.take(np.array([5, 6, 7, 700, 999]))
    assert read == [3 * 32, 32, 32]


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    created = tmp_path / "created"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.system, (f"touch {created}",))

    for name, evil in (("call", Evil()), ("list", [Evil()]), ("dict", {"g": Evil()})):
        for protocol in range(6):
            path = write_archive(
                tmp_path / f"{name}{protocol}.pt", pickle.dumps(evil, protocol), b"0" * 64
            )
            with pytest.raises(InputError, match=r"expected a plain 2-D tensor|not a tensor"):
                open_store(path)
    # in the place of the hooks of a true tensor
    true = tensor_pickle((2, 2), "FloatStorage")
    wrong = true.replace(b"ccollections\nOrderedDict\n", b"cposix\nsystem\n")
    argument = b"(X" + struct.pack("<I", len(f"touch {created}")) + f"touch {created}".encode()
    wrong = wrong.replace(b"q\x08)R", b"q\x08" + argument + b"tR")
    with pytest.raises(InputError, match=r"holds a call of posix\.system"):
        open_store(write_archive(tmp_path / "hooks.pt", wrong, b"0" * 16))
    # and the instructions that set attributes, or import what is on the stack
    for instruction in (b"}b", b"\x93", b"\x81", b"o"):
        path = write_archive(tmp_path / "i.pt", true[:-1] + instruction + b".", b"0" * 16)
        with pytest.raises(InputError, match="holds"):
            open_store(path)
    assert not created.exists()
    pickle.loads(pickle.dumps(Evil()))
    assert created.exists(), "the test would see a pickle that is run"


def refused(tmp_path: Path, pickled: bytes, numbers: bytes = b"0" * 64, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        open_store(write_archive(tmp_path / "g.pt", pickled, numbers, **options))
    assert "\n" not in caught.value.message
    return caught.value.message


def test_other_tensors_are_refused(tmp_path: Path) -> None:
    assert "holds a 1-D tensor" in refused(tmp_path, tensor_pickle((4,), "FloatStorage"))
    assert "holds a 3-D tensor" in refused(tmp_path, tensor_pickle((2, 2, 2), "FloatStorage"))
    assert "a tensor of LongStorage" in refused(tmp_path, tensor_pickle((2, 2), "LongStorage"))
    turned = tensor_pickle((2, 3), "FloatStorage", stride=(1, 2))
    assert "a view of strides (1, 2)" in refused(tmp_path, turned)
    assert "holds a dict" in refused(tmp_path, b"\x80\x02}.")
    assert "not a tensor saved by torch.save" in refused(tmp_path, b"\x80\x02")
    good = tensor_pickle((2, 2), "FloatStorage")
    deflated = refused(tmp_path, good, compression=zipfile.ZIP_DEFLATED)
    assert "holds compressed numbers" in deflated
    short = refused(tmp_path, good, b"0" * 15)
    assert "15 bytes of numbers, expected 16 for 2 rows of 2 float32" in short


@pytest.mark.parametrize("cut", [1, 100, 4000])
@pytest.mark.parametrize("kind", [kind for kind in WRITERS if "folder" not in kind])
def test_a_truncated_file_is_one_line(kind: str, cut: int, tmp_path: Path) -> None:
    path, _ = WRITERS[kind](tmp_path, gradients(203, 17))
    (file,) = (
        path.rglob("gradients.bin")
        if kind.startswith("bergson")
        else path.rglob("grads.mmap")
        if path.is_dir()
        else [path]
    )
    os.truncate(file, file.stat().st_size - cut)
    with pytest.raises(InputError, match=r"truncated|expected [\d,]+ for 203 rows") as caught:
        open_store(path)
    assert "\n" not in caught.value.message


def test_bergson_that_is_not_as_described(tmp_path: Path) -> None:
    values = gradients(5, 4)

    def message(name: str, **changes: Any) -> str:
        with pytest.raises(InputError) as caught:
            open_store(write_bergson(tmp_path / name, values, {"a": 4}, **changes))
        return caught.value.message

    assert "80 bytes, expected 64 by info.json" in message("short", num_grads=4)
    assert "rows of 16 bytes, expected 20 for 5 float32" in message("wide", grad_sizes={"a": 5})
    assert "numbers of type int8" in message("type", base_dtype="int8")
    assert "a gradient for each token" in message("tokens", attribute_tokens=True)
    (tmp_path / "short" / "info.json").write_text("{")
    with pytest.raises(InputError, match=r"info\.json: not as bergson writes it"):
        open_store(tmp_path / "short")
    (tmp_path / "short" / "info.json").write_text("{}")
    with pytest.raises(InputError, match="not as bergson writes it"):
        open_store(tmp_path / "short" / "gradients.bin")


def test_bergson_before_it_named_the_type(tmp_path: Path) -> None:
    values = gradients(5, 4)
    folder = write_bergson(tmp_path / "old", values, {"a": 3, "b": 1}, "float16")
    info = json.loads((folder / "info.json").read_text())
    del info["base_dtype"]
    (folder / "info.json").write_text(json.dumps(info))
    np.testing.assert_array_equal(open_store(folder).read(0, 5), values)


def test_trak_that_is_not_complete(tmp_path: Path) -> None:
    values = gradients(5, 4)
    folder = write_trak(tmp_path / "two", values, model_1=values)
    with pytest.raises(InputError, match="gradients of 2 models, expected one") as caught:
        open_store(folder)
    assert str(folder / "0") in str(caught.value.hint)
    flags = np.lib.format.open_memmap(folder / "1" / "_is_featurized.mmap", mode="r+")
    flags[3] = 0
    flags.flush()
    with pytest.raises(InputError, match="4 rows have a gradient, expected 5"):
        open_store(folder / "1")
    (folder / "1" / "_is_featurized.mmap").unlink()
    (folder / "id_1.json").write_text('{"1": {"total_num_featurized": 2, "is_finalized": 0}}')
    with pytest.raises(InputError, match="2 rows have a gradient, expected 5"):
        open_store(folder / "1")
    (folder / "metadata.json").write_text('{"JL dimension": 4, "train set size": 6}')
    with pytest.raises(MismatchError, match="train set size 5, expected 6 by"):
        open_store(folder / "0")
    alone = write_trak(tmp_path / "alone", values)
    (alone / "0" / "grads.mmap").unlink()
    with pytest.raises(InputError, match=r"no grads\.mmap, which holds the gradients"):
        open_store(alone)


def test_arrays_that_are_no_gradients(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a 1-D array of float32, expected a 2-D one of floats"):
        open_store(write_npy(tmp_path / "a.npy", np.zeros(3, np.float32)))
    with pytest.raises(InputError, match="a 2-D array of int64"):
        open_store(write_npy(tmp_path / "b.npy", np.zeros((3, 2), np.int64)))
    with pytest.raises(InputError, match="not in C order"):
        open_store(write_npy(tmp_path / "c.npy", np.asfortranarray(np.zeros((3, 2)))))
    with pytest.raises(InputError, match="a 2-D array of object"):
        open_store(write_npy(tmp_path / "d.npy", np.array([[None]])))
    with pytest.raises(InputError, match="0 gradients of 3 numbers"):
        open_store(write_npy(tmp_path / "e.npy", np.zeros((0, 3), np.float32)))


def test_what_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        open_store(tmp_path / "nothing")
    (tmp_path / "text.txt").write_text("hello")
    for path in (tmp_path, tmp_path / "text.txt"):
        with pytest.raises(InputError, match="not a store of gradients"):
            open_store(path)


def test_rows_are_those_of_the_dump(tmp_path: Path) -> None:
    path = write_npy(tmp_path / "g.npy", gradients(10, 3))
    with pytest.raises(MismatchError, match="10 gradients, expected 12, one for each row"):
        open_store(path, rows=12)


def test_a_number_that_is_not_finite(tmp_path: Path) -> None:
    values = gradients(10, 3)
    values[7, 1] = np.nan
    store = open_store(write_npy(tmp_path / "g.npy", values))
    with pytest.raises(InputError, match="the gradient of row 7 is not finite"):
        store.read(2, 9)
    np.testing.assert_array_equal(store.read(0, 7), values[:7])
    # large numbers whose sum is not finite are
    large = np.full((2, 3), 3e38, np.float32)
    store = open_store(write_npy(tmp_path / "large.npy", large))
    np.testing.assert_array_equal(store.read(0, 2), large)
    wide = write_npy(tmp_path / "wide.npy", np.array([[1e300]]))
    with pytest.raises(InputError, match="row 0 is not finite"):
        open_store(wide).read(0, 1)


def test_a_store_that_a_worker_cannot_see(tmp_path: Path) -> None:
    path = write_npy(tmp_path / "g.npy", gradients(10, 3))
    store = open_store(path)
    path.rename(tmp_path / "elsewhere.npy")
    with pytest.raises(InputError, match=r"g\.npy: cannot be read on .*: No such file") as caught:
        store.read(0, 1)
    assert "every worker" in str(caught.value.hint)


def test_the_digest_tells_stores_apart(tmp_path: Path) -> None:
    values = gradients(100, 3)
    digest = open_store(write_npy(tmp_path / "a.npy", values)).digest
    assert digest == open_store(write_npy(tmp_path / "b.npy", values)).digest
    assert digest != open_store(write_npy(tmp_path / "c.npy", values + 1)).digest
    assert len(encoded(values, "bfloat16")) == 600

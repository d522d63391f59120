"""Stores as the tools write them, made without the tools."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "bfloat16": "BFloat16Storage"}


def gradients(rows: int, dim: int, seed: int = 0) -> NDArray[np.float32]:
    """Multiples of 1/8 that float16 and bfloat16 hold exactly."""
    generator = np.random.default_rng(seed)
    return (generator.integers(-16, 16, (rows, dim)) / 8).astype(np.float32)


def encoded(values: NDArray[np.float32], dtype: str) -> bytes:
    """The bytes of an array in a type; of bfloat16 the upper halves, for numbers it holds."""
    if dtype == "bfloat16":
        return (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    return values.astype(dtype).tobytes()


def write_bergson(
    folder: Path,
    values: NDArray[np.float32],
    sizes: dict[str, int],
    dtype: str = "float32",
    **changes: Any,
) -> Path:
    """As ``create_index`` in bergson's ``data.py``."""
    folder.mkdir(parents=True)
    code = "<V2" if dtype == "bfloat16" else np.dtype(dtype).str
    width = 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize
    info = {
        "num_grads": len(values),
        "dtype": {
            "names": list(sizes),
            "formats": [f"({size},){code}" for size in sizes.values()],
            "itemsize": width * sum(sizes.values()),
        },
        "grad_sizes": sizes,
        "base_dtype": dtype,
    }
    (folder / "info.json").write_text(json.dumps({**info, **changes}))
    (folder / "gradients.bin").write_bytes(encoded(values, dtype))
    return folder


def write_trak(folder: Path, values: NDArray[np.float32], **models: NDArray[np.float32]) -> Path:
    """As TRAK's ``MmapSaver``: the model ``0`` has ``values``, and a factor of 0.5 a row."""
    rows, dim = values.shape
    for name in ("0", *models):
        model = folder / name.removeprefix("model_")
        model.mkdir(parents=True)
        held = models.get(name, values)
        for file, array in (
            ("grads.mmap", held.astype(np.float16)),
            ("out_to_loss.mmap", np.full((rows, 1), 0.5, np.float16)),
            ("features.mmap", np.zeros_like(held, np.float16)),
            ("_is_featurized.mmap", np.ones((rows, 1), np.int32)),
        ):
            mapped = np.lib.format.open_memmap(
                model / file, mode="w+", dtype=array.dtype, shape=array.shape
            )
            mapped[:] = array
            mapped.flush()
    described = {"JL dimension": dim, "JL matrix type": "rademacher", "train set size": rows}
    (folder / "metadata.json").write_text(json.dumps(described))
    return folder


def tensor_pickle(
    shape: tuple[int, ...], storage: str, *, stride: tuple[int, ...] | None = None
) -> bytes:
    """The pickle of a tensor, as ``torch.save`` writes it."""
    steps = stride or tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    numbers = int(np.prod(shape))

    def integer(value: int) -> bytes:
        return b"J" + value.to_bytes(4, "little")

    def sizes(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(map(integer, values)) + b"t"

    def text(value: str) -> bytes:
        return b"X" + len(value).to_bytes(4, "little") + value.encode()

    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x00((" + text("storage") + b"q\x01ctorch\n"
        + storage.encode() + b"\nq\x02" + text("0") + text("cpu") + integer(numbers) + b"tq\x05Q"
        + integer(0) + sizes(shape) + sizes(steps) + b"\x89ccollections\nOrderedDict\nq\x08)R"
        + b"tq\x0aRq\x0b."
    )  # fmt: skip


def write_archive(path: Path, pickled: bytes, numbers: bytes, **options: Any) -> Path:
    """A zip archive as ``torch.save`` writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr(f"{path.stem}/data.pkl", pickled)
        archive.writestr(f"{path.stem}/byteorder", "little")
        archive.writestr(f"{path.stem}/data/0", numbers)
        archive.writestr(f"{path.stem}/version", "3\n")
    return path


def write_tensor(path: Path, values: NDArray[np.float32], dtype: str = "float32") -> Path:
    """A tensor as ``torch.save`` writes it."""
    return write_archive(
        path, tensor_pickle(values.shape, _STORAGES[dtype]), encoded(values, dtype)
    )

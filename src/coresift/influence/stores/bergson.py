"""What bergson's ``build`` leaves: ``gradients.bin``, described by ``info.json``.

A row is the gradients of all modules, one after the other. Several folders, each with both files,
are the parts of one store in the order of their names. See ``create_index`` and
``load_gradients`` in bergson's ``data.py``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from coresift.core.errors import InputError
from coresift.influence.stores.base import WIDTHS, Piece, StoredGradients

_INFO = "info.json"
_DATA = "gradients.bin"
_TOKENS = "token_gradients.bin"
# base_dtype is the type's name, in earlier versions its code; numpy has none for bfloat16
_TYPES = {
    "<f2": "float16",
    "<f4": "float32",
    "<f8": "float64",
    "<V2": "bfloat16",
    "|V2": "bfloat16",
    **{name: name for name in WIDTHS},
}


def recognises(path: Path) -> bool:
    """Whether a path is such a folder, or the file in it."""
    return path.name == _DATA or (path.is_dir() and bool(_folders(path)))


def _folders(path: Path) -> list[Path]:
    """Where the data is: the folder, or those in it."""
    found = [path, *sorted(child for child in path.iterdir() if child.is_dir())]
    holding = [
        folder
        for folder in found
        if (folder / _INFO).is_file()
        and any((folder / name).is_file() for name in (_DATA, _TOKENS))
    ]
    return [path] if path in holding else holding


def open_at(path: Path) -> StoredGradients:
    """Open it: ``info.json`` is read, and nothing else.

    Raises
    ------
    InputError
        When it does not describe the data, holds gradients of tokens, or is cut off.
    """
    folders = _folders(path.parent if path.name == _DATA else path)
    if not folders:
        raise InputError(f"{path.parent / _INFO}: no such file, which says what {path} holds")
    pieces = []
    first: tuple[int, str] | None = None
    for folder in folders:
        rows, dim, dtype = _describe(folder)
        first = first or (dim, dtype)
        if (dim, dtype) != first:
            raise InputError(
                f"{folder}: {dim:,} {dtype} a row, expected {first[0]:,} {first[1]} as in "
                f"{folders[0]}"
            )
        pieces.append(Piece(str((folder / _DATA).absolute()), 0, rows))
    assert first is not None
    return StoredGradients(str(path), "bergson", pieces, *first)


def _describe(folder: Path) -> tuple[int, int, str]:
    """Rows, numbers of a row, and their type."""
    path = folder / _INFO
    try:
        info: dict[str, Any] = json.loads(path.read_text())
        if info.get("attribute_tokens"):
            raise InputError(
                f"{folder}: holds a gradient for each token, expected one for each row",
                hint="build it without token attribution",
            )
        rows, dtype = int(info["num_grads"]), _dtype_of(info)
        dim = sum(int(size) for size in info["grad_sizes"].values())
        row_bytes = int(info["dtype"]["itemsize"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise InputError(f"{path}: not as bergson writes it ({reason[:200]})") from error
    if row_bytes != dim * WIDTHS[dtype]:
        raise InputError(
            f"{path}: rows of {row_bytes:,} bytes, expected {dim * WIDTHS[dtype]:,} for "
            f"{dim:,} {dtype}"
        )
    expected = rows * row_bytes
    found = (folder / _DATA).stat().st_size
    if found > expected:
        raise InputError(f"{folder / _DATA}: {found:,} bytes, expected {expected:,} by {_INFO}")
    return rows, dim, dtype


def _dtype_of(info: dict[str, Any]) -> str:
    """Type of a number; the first versions said it only in the formats of the modules."""
    named = str(info.get("base_dtype") or re.sub(r"^\(.*\)", "", info["dtype"]["formats"][0]))
    if named not in _TYPES:
        raise ValueError(f"numbers of type {named}")
    return _TYPES[named]

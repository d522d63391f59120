"""What LESS leaves: a tensor of a row for each example, saved by ``torch.save``.

Such a file is a zip archive of a pickle, which says type and shape, and of the numbers, not
compressed. The pickle is not unpickled: a few lines follow the only instructions that a plain
tensor takes, and there is nothing in them that could call or import what the file names.
"""

from __future__ import annotations

import pickletools
import re
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coresift.core.errors import InputError
from coresift.influence.stores.base import WIDTHS, Piece, StoredGradients

# a folder is read as LESS reads it: the normalised gradients, and where they were not merged yet
# the parts of them
_MERGED = ("all_orig.pt", "all_unormalized.pt")
_PART = re.compile(r"grads-(\d+)\.pt")
_STORAGES = {
    "torch HalfStorage": "float16",
    "torch BFloat16Storage": "bfloat16",
    "torch FloatStorage": "float32",
}
_REBUILD = "torch._utils _rebuild_tensor_v2"
_HOOKS = "collections OrderedDict"
# pickle instructions that put a value on the stack
_MARK = object()
_VALUES: dict[str, Any] = {
    "MARK": _MARK,
    "EMPTY_TUPLE": (),
    "NEWTRUE": True,
    "NEWFALSE": False,
}
_PUSHED = ("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE")
_CONTAINERS = {"EMPTY_DICT": "a dict", "EMPTY_LIST": "a list"}
_PICKLE_BYTES = 1 << 16
_LOCAL_HEADER = 30
_DAMAGED = (OSError, ValueError, LookupError, EOFError, struct.error, RuntimeError)


def recognises(path: Path) -> bool:
    """Whether a path is such a file, or a folder of them."""
    return bool(_files(path)) if path.is_dir() else path.suffix in (".pt", ".pth")


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    for name in _MERGED:
        if (path / name).is_file():
            return [path / name]
    parts = [(int(match[1]), child) for child in path.iterdir() if (match := _part(child))]
    return [child for _, child in sorted(parts)]


def _part(path: Path) -> re.Match[str] | None:
    return _PART.fullmatch(path.name)


def open_at(path: Path) -> StoredGradients:
    """Open it: what describes the tensors is read, and nothing else.

    Raises
    ------
    InputError
        When a file is not a plain 2-D tensor of float16, bfloat16 or float32, or is cut off.
    """
    files = _files(path)
    tensors = [_tensor(file) for file in files]
    first = tensors[0]
    for file, tensor in zip(files, tensors, strict=True):
        if (tensor.dim, tensor.dtype) != (first.dim, first.dtype):
            raise InputError(
                f"{file}: {tensor.dim:,} {tensor.dtype} a row, expected {first.dim:,} "
                f"{first.dtype} as in {files[0].name}"
            )
    pieces = [tensor.piece for tensor in tensors]
    return StoredGradients(str(path), "LESS", pieces, first.dim, first.dtype)


@dataclass(frozen=True)
class _Tensor:
    piece: Piece
    dim: int
    dtype: str


@dataclass(frozen=True)
class _Global:
    """A name that the pickle would import."""

    name: str


@dataclass(frozen=True)
class _Described:
    """A storage, and with a shape the tensor in it."""

    dtype: str
    key: str
    offset: int = 0
    shape: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()


class _RefusedError(Exception):
    """The pickle holds something else."""


def _tensor(path: Path) -> _Tensor:
    try:
        with zipfile.ZipFile(path) as archive:
            described, stem = _describe(archive)
            entry = archive.getinfo(f"{stem}/data/{described.key}")
            start = _start_of(path, entry)
    except _RefusedError as error:
        raise InputError(
            f"{path}: holds {error}, expected a plain 2-D tensor of float16, bfloat16 or float32",
            hint="save the gradients alone: torch.save(tensor.contiguous(), path)",
        ) from None
    except (*_DAMAGED, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: not a tensor saved by torch.save since version 1.6, or truncated "
            f"({' '.join(str(error).split())[:200]})",
            hint="save it again",
        ) from error
    rows, dim = described.shape
    width = WIDTHS[described.dtype]
    expected = (described.offset + rows * dim) * width
    if entry.file_size < expected:
        raise InputError(
            f"{path}: {entry.file_size:,} bytes of numbers, expected {expected:,} for {rows:,} "
            f"rows of {dim:,} {described.dtype}",
            hint="save it again",
        )
    piece = Piece(str(path.absolute()), start + described.offset * width, rows)
    return _Tensor(piece, dim, described.dtype)


def _describe(archive: zipfile.ZipFile) -> tuple[_Described, str]:
    """The tensor, and the folder that all of the archive is in."""
    pickles = [entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise _RefusedError("no tensor")
    stem = pickles[0].filename.removesuffix("/data.pkl")
    if f"{stem}/byteorder" in archive.namelist():
        with archive.open(f"{stem}/byteorder") as stream:
            order = stream.read(8)
        if order != b"little":
            raise _RefusedError(f"numbers in {order.decode(errors='replace')}-endian order")
    if pickles[0].file_size > _PICKLE_BYTES:
        raise _RefusedError(f"a pickle of {pickles[0].file_size:,} bytes")
    found = _follow(archive.read(pickles[0]))
    if not isinstance(found, _Described) or not found.shape:
        raise _RefusedError("something else")
    if len(found.shape) != 2:
        raise _RefusedError(f"a {len(found.shape)}-D tensor")
    if found.stride != (found.shape[1], 1):
        raise _RefusedError(f"a view of strides {found.stride}")
    return found, stem


def _start_of(path: Path, entry: zipfile.ZipInfo) -> int:
    """Where in the file the bytes of an entry are."""
    if entry.compress_type != zipfile.ZIP_STORED:
        raise _RefusedError("compressed numbers")
    with path.open("rb") as stream:
        stream.seek(entry.header_offset)
        header = stream.read(_LOCAL_HEADER)
    name, extra = struct.unpack("<HH", header[-4:])
    return entry.header_offset + _LOCAL_HEADER + int(name) + int(extra)


def _follow(pickled: bytes) -> Any:
    """Follow the instructions of a pickled tensor, or refuse them.

    What they would import is a name here, and what they would call must be one of two names.
    """
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    for opcode, argument, _ in pickletools.genops(pickled):
        match opcode.name:
            case name if name in _VALUES:
                stack.append(_VALUES[name])
            case name if name in _PUSHED:
                stack.append(argument)
            case "GLOBAL":
                stack.append(_Global(str(argument)))
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                _gather(stack, len(stack) - int(opcode.name[-1]))
            case "TUPLE":
                mark = len(stack) - 1 - stack[::-1].index(_MARK)
                del stack[mark]
                _gather(stack, mark)
            case "BINPERSID":
                stack.append(_storage(stack.pop()))
            case "REDUCE":
                arguments = stack.pop()
                stack.append(_call(stack.pop(), arguments))
            case "STOP":
                return stack.pop()
            case other if other != "PROTO":
                raise _RefusedError(_CONTAINERS.get(other, f"the pickle instruction {other}"))
    raise _RefusedError("a pickle without an end")


def _gather(stack: list[Any], start: int) -> None:
    """Make one tuple of what is above a place."""
    stack[start:] = [tuple(stack[start:])]


def _storage(named: Any) -> _Described:
    match named:
        case ("storage", _Global(name), str(key), str(), int()):
            if name not in _STORAGES:
                raise _RefusedError(f"a tensor of {name.removeprefix('torch ')}")
            return _Described(_STORAGES[name], key)
    raise _RefusedError("a storage of another kind")


def _call(name: Any, arguments: Any) -> Any:
    match name, arguments:
        case _Global(called), () if called == _HOOKS:
            return _Global(_HOOKS)
        case (
            _Global(called),
            (_Described() as storage, int(offset), tuple(shape), tuple(stride), bool(), _Global()),
        ) if called == _REBUILD and all(isinstance(n, int) and n >= 0 for n in (*shape, *stride)):
            return _Described(storage.dtype, storage.key, offset, shape, stride)
        case _Global(called), _:
            raise _RefusedError(f"a call of {called.replace(' ', '.')}")
    raise _RefusedError("a call of something else")

"""A 2-D ``.npy`` file, also by another name: TRAK's memory maps are such files."""

from __future__ import annotations

from pathlib import Path

from numpy.lib import format as npy_format

from coresift.core.errors import InputError
from coresift.influence.stores.base import WIDTHS, Piece, StoredGradients


def recognises(path: Path) -> bool:
    """Whether a path is such a file."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(npy_format.MAGIC_PREFIX)) == npy_format.MAGIC_PREFIX


def open_at(
    path: Path, kind: str = "npy", factor: StoredGradients | None = None
) -> StoredGradients:
    """Open it: the header is read, and nothing else.

    Raises
    ------
    InputError
        When it is no 2-D array of floats, row by row, or shorter than it says.
    """
    try:
        with path.open("rb") as stream:
            version = npy_format.read_magic(stream)
            read = (
                npy_format.read_array_header_1_0
                if version == (1, 0)
                else npy_format.read_array_header_2_0
            )
            shape, column_major, dtype = read(stream)
            offset = stream.tell()
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: not a readable .npy file ({reason})", hint="write it again"
        ) from error
    if len(shape) != 2 or dtype.name not in WIDTHS:
        raise InputError(
            f"{path}: a {len(shape)}-D array of {dtype}, expected a 2-D one of floats",
            hint="a gradient is a row of float16, float32 or float64",
        )
    if (column_major and min(shape) > 1) or not dtype.isnative:
        raise InputError(
            f"{path}: the array is not in C order with native byte order",
            hint="save it again with numpy.save(path, numpy.ascontiguousarray(x))",
        )
    rows, dim = (int(length) for length in shape)
    piece = Piece(str(path.absolute()), offset, rows)
    return StoredGradients(str(path), kind, [piece], dim, dtype.name, factor)

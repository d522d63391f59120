"""Provenance in files that are not tables: a page, in a comment at its end; a PNG, in a chunk."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from coresift.io.provenance import KEY, Provenance

_BEFORE, _AFTER = b"<!--coresift ", b"-->\n"
_TAIL = 1 << 20
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"IEND"
_TEXT = b"tEXt"
# an empty end of a PNG, and what stands before the data of any chunk
_END_BYTES = 12
_HEAD_BYTES = 8


def stamp(path: Path, provenance: Provenance) -> None:
    """Put provenance into a page or a picture that has been written; what is shown stays."""
    text = provenance.to_json().encode("ascii")
    if path.suffix == ".png":
        content = path.read_bytes()
        path.write_bytes(content[:-_END_BYTES] + _chunk(_TEXT, KEY + b"\0" + text) + _chunk(_END))
        return
    # nothing in it can end the comment: these only stand in texts, where JSON may escape them
    for found, escaped in ((b"--", b"-\\u002d"), (b"<", b"\\u003c"), (b">", b"\\u003e")):
        text = text.replace(found, escaped)
    with path.open("ab") as file:
        file.write(b"\n" + _BEFORE + text + _AFTER)


def stamped(path: Path) -> Provenance | None:
    """Provenance that :func:`stamp` has put into a page or a picture; None without one.

    Raises
    ------
    ValueError
        When it cannot be read.
    """
    text = _from_png(path) if path.suffix == ".png" else _from_page(path)
    return None if text is None else Provenance.from_json(text)


def _from_page(path: Path) -> bytes | None:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        _, before, last = file.read().rpartition(_BEFORE)
    return last.removesuffix(_AFTER) if before and last.endswith(_AFTER) else None


def _from_png(path: Path) -> bytes | None:
    with path.open("rb") as file:
        if file.read(len(_SIGNATURE)) != _SIGNATURE:
            return None
        while len(head := file.read(_HEAD_BYTES)) == _HEAD_BYTES:
            length, kind = struct.unpack(">I4s", head)
            if kind == _TEXT:
                name, _, text = file.read(length).partition(b"\0")
                if name == KEY:
                    return text
                file.seek(4, 1)
            else:
                file.seek(length + 4, 1)
    return None


def _chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

"""Values of a column as short texts that can be shown anywhere."""

from __future__ import annotations

import unicodedata
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from coresift.core.errors import ParameterError
from coresift.io.dump import Dump

_CONTROLS = {code: "\ufffd" for code in (*range(32), 127) if chr(code) not in "\t\n\r"}


def shown(value: Any, limit: int) -> str:
    """A value in at most ``limit`` characters, on one line, without control characters.

    What it holds of markup stays as it is: whoever shows it shows text.
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    # a text may be as long as a book
    text = " ".join(text[: 4 * limit].translate(_CONTROLS).split())
    if len(text) <= limit:
        return text
    cut = limit - 1
    while cut > 1 and unicodedata.combining(text[cut]):
        cut -= 1
    return text[:cut] + "\u2026"


def texts(values: pa.Array, limit: int) -> list[str]:
    """Each value of a column as text."""
    return [shown(value, limit) for value in values.to_pylist()]


def check_text(dump: Dump, name: str | None, option: str) -> None:
    """Refuse a column that is not there, or that holds no text.

    Raises
    ------
    ParameterError
        Naming what was found.
    """
    if name is None:
        return
    require_column(dump, name, option)
    kind = dump.schema.field(name).type
    if pt.is_nested(kind) or isinstance(kind, pa.BaseExtensionType) or _is_bytes(kind):
        raise ParameterError(
            f"{option}: column {name!r} is {kind}, not one text or number per row",
            hint="pictures are shown with --image" if _is_bytes(kind) else None,
        )


def check_image(dump: Dump, name: str | None) -> None:
    """Refuse a column that cannot hold encoded pictures.

    Raises
    ------
    ParameterError
        Naming what was found.
    """
    if name is None:
        return
    require_column(dump, name, "--image")
    kind = dump.schema.field(name).type
    inner = pt.is_struct(kind) and kind.get_field_index("bytes") >= 0
    if not (_is_bytes(kind) or (inner and _is_bytes(kind.field("bytes").type))):
        raise ParameterError(
            f"--image: column {name!r} is {kind}, not pictures",
            hint="name a column with the bytes of PNG or JPEG files, or of structs with `bytes`",
        )


def require_column(dump: Dump, name: str, option: str) -> None:
    """Refuse a name that no column has.

    Raises
    ------
    ParameterError
        With the names that there are.
    """
    if name not in dump.schema.names:
        raise ParameterError(
            f"{option}: no column {name!r} in {dump.source}",
            hint=f"the columns are {', '.join(dump.schema.names[:12])}",
        )


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pt.is_binary(kind)
        or pt.is_large_binary(kind)
        or pt.is_fixed_size_binary(kind)
        or pt.is_binary_view(kind)
    )

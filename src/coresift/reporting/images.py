"""Pictures of rows, made small and written anew: nothing of the bytes in a dump is passed on."""

from __future__ import annotations

import base64
import io
import warnings
from typing import Any

SIDE = 96
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
_MOST_PIXELS = 64_000_000


def thumbnail(value: Any) -> str | None:
    """A data URI of an encoded picture, at most 96 pixels a side; None where it is none.

    Parameters
    ----------
    value : bytes, or a mapping with ``bytes``
        What a cell of the column holds.
    """
    from PIL import Image

    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes):
        return None
    stream = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as found:
                if found.width * found.height > _MOST_PIXELS:
                    return None
                small = found.size[0] <= SIDE and found.size[1] <= SIDE
                found.draft("RGB", (SIDE, SIDE))
                picture = found.convert("RGB")
            picture.thumbnail((SIDE, SIDE))
            kind = "PNG" if small else "JPEG"
            picture.save(stream, kind)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return None
    text = base64.b64encode(stream.getvalue()).decode()
    return f"data:image/{kind.lower()};base64,{text}"

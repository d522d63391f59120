"""pyarrow's compute functions, imported when the first of them is used.

Their import is a tenth of the time that a command takes to start, and most need none of them.
"""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    return getattr(importlib.import_module("pyarrow.compute"), name)

"""Puts the man pages, made from the commands' help, into the wheel."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManPages(BuildHookInterface):
    """Writes the pages when a wheel is built; nothing of them is kept in the repository."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Add them as files under share/man/man1."""
        root = Path(self.root)
        sys.path[:0] = [str(root / "src"), str(root / "tools")]
        from man_pages import write  # noqa: PLC0415

        folder = root / "build" / "man"
        write(folder)
        build_data["shared_data"][str(folder)] = "share/man/man1"

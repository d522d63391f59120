"""Options of ``top-k``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from coresift.selection.params.score import ScoreParams


@dataclass(frozen=True)
class TopKParams(ScoreParams):
    """Options of ``top-k``."""

    method: ClassVar[str] = "top-k"

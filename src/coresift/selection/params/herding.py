"""Options of ``herding``."""

from __future__ import annotations

from dataclasses import dataclass

from coresift.selection.params.kernels import KernelParams


@dataclass(frozen=True)
class HerdingParams(KernelParams):
    """Options of ``herding``."""

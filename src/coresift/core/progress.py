"""How long work reports on itself without knowing who listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Stage(Protocol):
    """One stage of a run under way."""

    def advance(self, rows: int) -> None:
        """Report ``rows`` more rows done."""


class Progress(Protocol):
    """Where a run reports its stages."""

    def stage(self, name: str, rows: int) -> AbstractContextManager[Stage]:
        """Open a stage that will pass over ``rows`` rows."""


class SilentStage:
    """A stage that nobody watches."""

    def advance(self, rows: int) -> None:
        """Say nothing."""


class Silent:
    """Progress that nobody watches."""

    @contextmanager
    def stage(self, name: str, rows: int) -> Iterator[Stage]:  # noqa: ARG002
        """Open a stage that reports nothing."""
        yield SilentStage()

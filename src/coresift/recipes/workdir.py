"""The working directory of a recipe: one result for each step, and a file that says whose it is."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from coresift._version import __version__
from coresift.core.errors import OutputError, ResourceError
from coresift.io.provenance import Provenance
from coresift.io.target import Target
from coresift.recipes import origin
from coresift.recipes.recipe import MARK

# of what a command prints with --json, that which differs between equal runs
_MEASURED = ("seconds", "peak_rss_bytes", "output", "kernel")


def require_own(folder: Path, recipe: str, *, overwrite: bool) -> None:
    """Refuse a folder that is not this recipe's: steps replace what they find there.

    A recipe is known by the name of its file, so that it may be edited, and moved.

    Parameters
    ----------
    folder : Path
        The working directory; it need not exist.
    recipe : str
        Its file, or the name of a shipped one.
    overwrite : bool
        Whether another recipe's directory may be taken over.

    Raises
    ------
    OutputError
        Naming what is there.
    """
    if not folder.exists():
        return
    try:
        # what is hidden is left of a run that was killed
        if not any(not item.name.startswith(".") for item in folder.iterdir()):
            return
        mark = json.loads((folder / MARK).read_text())
        owner = Path(str(mark["recipe"])).stem
    except NotADirectoryError:
        raise OutputError(f"{folder}: not a directory", hint="choose another -o") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise OutputError(
            f"{folder}: holds what no recipe has put there", hint="choose another -o"
        ) from None
    if owner != Path(recipe).stem and not overwrite:
        raise OutputError(
            f"{folder}: belongs to the recipe {owner!r}",
            hint="choose another -o, or give --overwrite to let this one have it",
        )


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make the folder and keep other runs out of it; the lock dies with the process.

    Raises
    ------
    OutputError
        When it cannot be made.
    ResourceError
        When a recipe is running there.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ResourceError(
                f"{folder}: a recipe is running there", hint="wait for it, or choose another -o"
            ) from None
        yield
    finally:
        os.close(handle)
        if made:
            # nothing was run: the recipe was wrong
            with suppress(OSError):
                folder.rmdir()


def write_mark(
    folder: Path, recipe: str, variables: Mapping[str, Any], steps: Mapping[str, list[str]]
) -> None:
    """Say whose folder it is. Whether a step is done is told by its result alone."""
    content = {
        "coresift": __version__,
        "recipe": recipe,
        "variables": dict(variables),
        "steps": dict(steps),
    }
    _write_json(folder / MARK, content)


def require_ours(path: Path) -> None:
    """Refuse a file that no step has left there; of directories the step itself does.

    Raises
    ------
    OutputError
        Naming it.
    """
    if path.is_file() and origin.is_foreign(path):
        raise OutputError(
            f"{path}: not a result of coresift, so that it is left alone",
            hint="move it away, or give the step another output",
        )


def printed_target(path: Path) -> Target:
    """Where what a command prints is kept.

    Raises
    ------
    OutputError
        When it cannot be.
    """
    return Target(path, overwrite=True, suffixes=(".json",))


def write_printed(path: Path, provenance: Provenance, facts: Mapping[str, Any]) -> None:
    """Keep what a command printed, with where it comes from, as a manifest does."""
    content = {
        "coresift": __version__,
        "provenance": asdict(replace(provenance, notes=list(facts.get("notes", ())))),
        "summary": {name: value for name, value in facts.items() if name not in _MEASURED},
        "run": {name: value for name, value in facts.items() if name in _MEASURED},
    }
    _write_json(path, content)


def _write_json(path: Path, content: object) -> None:
    with printed_target(path) as target:
        target.staging.write_text(json.dumps(content, indent=2) + "\n")

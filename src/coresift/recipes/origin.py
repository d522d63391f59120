"""Whether a step's result is there already, by the provenance that it carries."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coresift.core.errors import CoresiftError
from coresift.io.fingerprint import Fingerprint
from coresift.io.provenance import Provenance, find_provenance
from coresift.io.stamp import stamped


def difference(expected: Provenance, path: Path, beside: Sequence[Path] = ()) -> str | None:
    """What tells the result at a path from that which is expected; None when it is that.

    Where the input lies does not count: it is known by its fingerprint. ``beside`` are files
    that have to be there with the result.
    """
    if not path.exists():
        return "there is no result yet"
    try:
        found = stored(path)
    except (CoresiftError, OSError, ValueError, TypeError) as error:
        return f"what is there cannot be read: {error}"
    if found is None:
        return "what is there does not say where it comes from"
    gone = _missing(path)
    if gone is not None:
        return f"{gone} is missing or damaged"
    absent = next((other for other in beside if not other.exists()), None)
    return f"{absent} is missing" if absent is not None else _first(found, expected)


def is_foreign(path: Path) -> bool:
    """Whether a file can be read and says nothing of where it comes from."""
    try:
        return stored(path) is None
    except (CoresiftError, OSError, ValueError, TypeError):
        return False


def stored(path: Path) -> Provenance | None:
    """Provenance of a step's result, in whatever form it is."""
    if path.is_dir() or path.suffix not in (".json", ".html", ".png"):
        return find_provenance(path)
    if path.suffix != ".json":
        return stamped(path)
    content = json.loads(path.read_text())
    if not isinstance(content, dict) or "provenance" not in content:
        return None
    return Provenance.from_json(json.dumps(content["provenance"]))


def summary(path: Path) -> dict[str, Any]:
    """What a result says of itself; nothing for a single Parquet file."""
    manifest = path / "manifest.json" if path.is_dir() else path
    if manifest.suffix != ".json" or not manifest.exists():
        return {}
    found = json.loads(manifest.read_text())["summary"]
    return found if isinstance(found, dict) else {}


def _first(found: Provenance, expected: Provenance) -> str | None:
    """First difference that matters."""
    if found.version != expected.version:
        return f"it was made by version {found.version}"
    if (found.command, found.method) != (expected.command, expected.method):
        return f"it was made by {found.command} {found.method}".rstrip()
    changed = _changed(_options(found), _options(expected))
    if changed is not None:
        return changed
    try:
        before = Fingerprint.from_json(found.fingerprint)
    except (KeyError, TypeError):
        return "it does not say which input it was made from"
    now = Fingerprint.from_json(expected.fingerprint)
    other = now.difference(before)
    if other is not None:
        return f"the input has changed: {other}"
    for role in {**found.parents, **expected.parents}:
        mine, theirs = found.parents.get(role), expected.parents.get(role)
        if mine is None or theirs is None:
            return f"{role} is given, and was not" if theirs else f"{role} is no longer given"
        if mine["digest"] != theirs["digest"]:
            return f"{role}: what it names has changed"
    return None


def _options(provenance: Provenance) -> dict[str, Any]:
    """What was asked for, without where files lie: what is in them counts."""
    asked = {**provenance.params, **provenance.output, **provenance.options}
    files = {"vectors", *provenance.parents}
    return {name: value for name, value in asked.items() if name not in files} | {
        "seed": provenance.seed
    }


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    # through JSON, as what was stored has been: a tuple is a list there
    now = json.loads(json.dumps(now))
    for name in {**before, **now}:
        if before.get(name) != now.get(name):
            return f"{name} is {_told(now.get(name))}, and was {_told(before.get(name))}"
    return None


def _told(value: object) -> str:
    return "not given" if value is None else json.dumps(value)


def _missing(path: Path) -> str | None:
    """First file of a result that is not as its manifest says."""
    if not path.is_dir():
        return None
    manifest = json.loads((path / "manifest.json").read_text())
    for file in manifest["files"]:
        part = path / file["path"]
        if not part.is_file() or part.stat().st_size != file["bytes"]:
            return str(file["path"])
    return None

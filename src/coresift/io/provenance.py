"""Where a result comes from: enough to run it again and to refuse what does not fit it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from coresift._version import __version__
from coresift.core.errors import InputError
from coresift.io.dump import Dump, InputOptions
from coresift.io.fingerprint import Fingerprint

KEY = b"coresift"


@dataclass(frozen=True)
class Provenance:
    """The origin of a result.

    It is a function of the input and of the options that change the result; nothing of it
    depends on the time, the machine, threads or memory, so equal runs give equal bytes.

    Attributes
    ----------
    command : str
        ``cluster``, ``select`` or ``weights``.
    method : str
        For example ``kmeans``, ``sensitivity`` or ``nearest``.
    params : dict
        The method's options, as given or by default; values that JSON can hold.
    resolved : dict
        What the run set itself: an ``auto`` that became a number, the rows trained on.
    seed : int
        The seed.
    paths : list of str
        PATHs, absolute.
    options : dict
        :class:`InputOptions` as a dict.
    output : dict
        Options that shape the output: ``columns``, ``drop_embedding``, ``ids_only``, ``prefix``.
    fingerprint : dict
        :meth:`Fingerprint.to_json` of the dump.
    parents : dict of str to dict
        Other results used: role (``clustering``, ``losses``, ``subset``) to ``path`` (absolute)
        and ``digest``.
    notes : list of str
        What was sampled, skipped or replaced.
    version : str
        Of coresift.
    """

    command: str
    method: str
    params: dict[str, Any]
    seed: int
    paths: list[str]
    options: dict[str, Any]
    fingerprint: dict[str, Any]
    resolved: dict[str, Any] = field(default_factory=dict)
    output: dict[str, Any] = field(default_factory=dict)
    parents: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    version: str = __version__

    @property
    def key(self) -> str:
        """Digest of what decides the work: not where the input lies, nor what is written of it."""
        options = {name: value for name, value in self.options.items() if name != "vectors"}
        parents = {role: parent["digest"] for role, parent in self.parents.items()}
        decisive = [
            *(self.version, self.command, self.method, self.params, self.seed, options, parents),
            self.fingerprint["digest"],
        ]
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:32]

    def to_json(self) -> str:
        """One line of JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Provenance:
        """Read what :meth:`to_json` wrote; fields of later versions are left out."""
        known = {item.name for item in fields(cls)}
        return cls(**{key: value for key, value in json.loads(text).items() if key in known})

    def require_input(self, dump: Dump, what: str, hint: str) -> None:
        """Refuse a result made from another dump.

        Raises
        ------
        MismatchError
            Naming the first difference.
        InputError
            When it does not say which dump it was made from.
        """
        try:
            made_from = Fingerprint.from_json(self.fingerprint)
        except (KeyError, TypeError) as error:
            raise InputError(
                f"{what}: its provenance holds no fingerprint of its input that can be read",
                hint="make it again",
            ) from error
        dump.fingerprint.require(made_from, what, hint)

    def input_options(self) -> InputOptions:
        """How the input was read."""
        values = dict(self.options)
        values["vectors"] = tuple(values.get("vectors", ()))
        return InputOptions(**values)


def stored_provenance(schema: pa.Schema, path: str) -> Provenance | None:
    """Provenance in the metadata of a table's schema; None without one.

    Raises
    ------
    InputError
        When it cannot be read.
    """
    metadata = schema.metadata or {}
    if KEY not in metadata:
        return None
    try:
        return Provenance.from_json(metadata[KEY])
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: provenance that cannot be read ({error})",
            hint="select again, or write the file without its metadata",
        ) from error


def find_provenance(path: Path) -> Provenance | None:
    """Provenance in a Parquet file, or in a result directory's manifest; None without one.

    Raises
    ------
    InputError
        When the path does not exist or cannot be read.
    """
    try:
        if path.is_dir():
            manifest = path / "manifest.json"
            if not manifest.exists():
                return None
            return Provenance.from_json(json.dumps(json.loads(manifest.read_text())["provenance"]))
        metadata = pq.read_schema(path).metadata or {}
        return Provenance.from_json(metadata[KEY]) if KEY in metadata else None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file or directory") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: not a result of coresift that can be read ({error})",
            hint="name a directory or a Parquet file that coresift wrote",
        ) from error


def read_provenance(path: Path, what: str) -> Provenance:
    """Provenance of a result.

    Raises
    ------
    InputError
        When there is none.
    """
    found = find_provenance(path)
    if found is None:
        raise InputError(
            f"{path}: not {what} made by coresift (no provenance)",
            hint="name a directory with a manifest.json, or a Parquet file, that coresift wrote",
        )
    return found

"""What identifies a dump: files, sizes, row counts, schema and footers, in order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from coresift.core.errors import MismatchError
from coresift.io.formats import TableFile


@dataclass(frozen=True)
class Fingerprint:
    """The identity of a dump's content.

    Two dumps are the same when their files, in order, have the same sizes, rows and footers;
    where they lie does not count, so that a dump may be moved.

    Attributes
    ----------
    files : tuple of dict
        ``path``, ``bytes``, ``rows`` and ``footer`` (digest) of each file.
    rows : int
        Rows in all.
    schema : str
        Digest of the columns' names and types.
    """

    files: tuple[dict[str, Any], ...]
    rows: int
    schema: str

    @classmethod
    def of(cls, tables: Sequence[TableFile]) -> Fingerprint:
        """Fingerprint of files in order."""
        files: tuple[dict[str, Any], ...] = tuple(
            {
                "path": table.ref.name,
                "bytes": table.ref.size,
                "rows": sum(table.groups),
                "footer": table.footer,
            }
            for table in tables
        )
        names = [(field.name, str(field.type)) for field in tables[0].schema] if tables else []
        schema = hashlib.sha256(json.dumps(names).encode()).hexdigest()[:32]
        return cls(files, sum(file["rows"] for file in files), schema)

    @property
    def digest(self) -> str:
        """One hash over everything but the paths."""
        content = [[file["bytes"], file["rows"], file["footer"]] for file in self.files]
        return hashlib.sha256(json.dumps([content, self.schema]).encode()).hexdigest()[:32]

    def to_json(self) -> dict[str, Any]:
        """Return the form kept in provenance."""
        return {
            "digest": self.digest,
            "rows": self.rows,
            "schema": self.schema,
            "files": list(self.files),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Fingerprint:
        """Read the form kept in provenance."""
        return cls(tuple(value["files"]), value["rows"], value["schema"])

    def difference(self, other: Fingerprint) -> str | None:
        """First difference of ``self`` (found) from ``other`` (expected), or None."""
        if self.digest == other.digest:
            return None
        if self.rows != other.rows:
            return f"{self.rows:,} rows here, {other.rows:,} there"
        if self.schema != other.schema:
            return "the columns differ"
        if len(self.files) != len(other.files):
            return f"{len(self.files):,} files here, {len(other.files):,} there"
        for mine, theirs in zip(self.files, other.files, strict=True):
            for key, unit in (("rows", "rows"), ("bytes", "bytes")):
                if mine[key] != theirs[key]:
                    name = PurePosixPath(mine["path"]).name
                    return f"{name} has {mine[key]:,} {unit} here, {theirs[key]:,} there"
            if mine["footer"] != theirs["footer"]:
                return f"the content of {PurePosixPath(mine['path']).name} differs"
        return "the files differ"

    def require(self, other: Fingerprint, what: str, hint: str) -> None:
        """Refuse ``what``, made from ``other``, for this dump.

        Raises
        ------
        MismatchError
            Naming the first difference.
        """
        difference = self.difference(other)
        if difference is not None:
            raise MismatchError(f"{what} was made from another input: {difference}", hint=hint)

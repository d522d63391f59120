"""Where gradients come from: a column of the dump, a store, or what ``coresift gradients`` wrote.

A name that is a column of the dump is that column; any other is a path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from coresift.core.errors import InputError, MismatchError, ParameterError
from coresift.influence.base import Resources, Source
from coresift.influence.columns import Columns
from coresift.influence.stores.opening import open_store
from coresift.influence.stores.source import Stored, Within
from coresift.io.dump import Dump, InputOptions, Shard, open_dump
from coresift.io.provenance import Provenance, stored_provenance
from coresift.io.vectors import matching_rows
from coresift.selection.reading.joins import plural

_TABLES = (".parquet", ".pq", ".arrow", ".feather", ".ipc")
# what gradients must have in common to be multiplied, beside their length
_SPACE = {"weights": "weights", "layers": "layers", "dim": "projection"}


def is_path(name: str, schema: pa.Schema) -> bool:
    """Whether a name of gradients is a path: no column has it, and there is something."""
    return name not in schema.names and all(Path(part).exists() for part in parts_of(name))


def parts_of(text: str) -> list[str]:
    """Paths that are separated by commas: one for each checkpoint."""
    return [text] if Path(text).exists() else text.split(",")


def digest_of(text: str) -> str:
    """Identity of a dump or a store, or of several."""
    found = [
        open_dump([part]).fingerprint.digest
        if _is_dump(part) or part.endswith(".npy")
        else open_store(part).digest
        for part in parts_of(text)
    ]
    return found[0] if len(found) == 1 else hashlib.sha256(str(found).encode()).hexdigest()[:32]


def _is_dump(path: str) -> bool:
    """Whether a path is a dump, or none of this machine, and no store."""
    where = Path(path)
    if where.is_dir():
        return any(where.rglob("*.parquet"))
    return where.suffix in _TABLES or not where.exists()


@dataclass(frozen=True)
class Opening:
    """Opens the gradients of a run's rows and of its targets.

    Attributes
    ----------
    dump : Dump
        The rows to choose from.
    resources : Resources
        What the run lends.
    """

    dump: Dump
    resources: Resources

    def pool(self, name: str) -> Source:
        """Gradients of the dump's rows.

        Raises
        ------
        InputError
            When there is neither such a column nor such a store.
        MismatchError
            When the store is of another dump.
        """
        dump = self.dump
        if not is_path(name, dump.schema):
            if name not in dump.schema.names and not any(mark in name for mark in "*?["):
                raise InputError(
                    f"gradients in {name!r}: neither a column of {dump.source} nor a path",
                    hint=f"the columns are {', '.join(dump.schema.names[:12])}",
                )
            options = replace(dump.options, embedding=name, metric="l2")
            return Columns(replace(dump, options=options), self.resources)
        if _is_dump(name):
            found, made = self._written(name)
            made.require_input(
                dump, f"--gradient {name}", "give the dump that its gradients are of"
            )
            source: Source = found
        else:
            drops = dump.options.invalid == "drop"
            source = Stored(open_store(name, dump.rows), self.resources, drops=drops)
        if dump.where is None:
            return source
        return Within(source, self._matching())

    def _matching(self) -> NDArray[np.bool_]:
        dump = self.dump
        assert dump.where is not None

        def task(shard: Shard) -> NDArray[np.bool_] | None:
            return matching_rows(dump, shard)

        found = self.resources.engine.map(task, dump.shards(dump.where[1]))
        return np.concatenate([part for part in found if part is not None])

    def target(self, path: str, name: str, names: Sequence[str]) -> Source:
        """Gradients of the rows of a target.

        Parameters
        ----------
        path : str
            What --target was given: a dump with the same column, or a store. Where there are
            several stores, one for each checkpoint, separated by commas.
        name : str
            The gradients of the rows to choose from: a column, or a path.
        names : sequence of str
            All of them, one for each checkpoint.
        """
        mine = self.dump.options
        if not is_path(name, self.dump.schema):
            options = InputOptions(
                embedding=name, embedding_dtype=mine.embedding_dtype, invalid=mine.invalid
            )
            return Columns(open_dump([path], options), self.resources)
        paths = parts_of(path)
        if len(paths) != len(names):
            raise ParameterError(
                f"--target {path} names {plural(len(paths), 'store')}, expected {len(names)}, one "
                "for each --gradient",
                hint="give a target's gradients at each checkpoint, in the same order, separated "
                "by commas",
            )
        path = paths[list(names).index(name)]
        if not Path(path).exists() or not _is_dump(path):
            return Stored(open_store(path), self.resources, drops=mine.invalid == "drop")
        found, made = self._written(path)
        if _is_dump(name):
            _require_same_space(f"--target {path}", made, self._written(name)[1], name)
        return found

    def _written(self, path: str) -> tuple[Columns, Provenance]:
        """What ``coresift gradients`` wrote."""
        schema = open_dump([path]).schema
        made = stored_provenance(schema, path)
        if made is None or made.command != "gradients":
            raise InputError(
                f"{path}: not written by `coresift gradients`",
                hint="of another dump with gradients give the name of the column, or make it the "
                "PATH",
            )
        column = f"{made.output.get('prefix') or ''}gradient"
        options = InputOptions(embedding=column, invalid=self.dump.options.invalid)
        return Columns(open_dump([path], options), self.resources), made


def _require_same_space(what: str, mine: Provenance, theirs: Provenance, other: str) -> None:
    """Refuse gradients by other weights, of other layers or by another projection."""
    for key, meaning in _SPACE.items():
        if mine.resolved.get(key) != theirs.resolved.get(key):
            raise MismatchError(
                f"{what}: made with other {meaning} than {other}",
                hint="make both with the same model and options",
            )
    projected = mine.resolved.get("dim") != mine.resolved.get("parameters")
    if projected and mine.seed != theirs.seed:
        raise MismatchError(
            f"{what}: projected with --seed {mine.seed}, expected {theirs.seed} as in {other}",
            hint="make both with the same seed",
        )

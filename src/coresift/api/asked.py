"""The state of a bandit whose scores come from outside: what was asked, and what was told."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from coresift.api.run import Run
from coresift.clustering.saved import SavedClustering
from coresift.core.errors import InputError, MismatchError, OutputError
from coresift.io.dump import Dump
from coresift.io.provenance import KEY, Provenance, read_provenance, stored_provenance
from coresift.selection.influences.arms import Bandit
from coresift.selection.methods.bandit import rule
from coresift.selection.params.bandit import RuleParams

# of all rows, where the size of the selection is not known yet
_TOP = 0.05
_FILE, _PARTIAL, _LOCK = "state.parquet", "state.partial", "lock"
_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("cluster", pa.int32(), nullable=False),
        pa.field("ask", pa.int32(), nullable=False),
        pa.field("score", pa.float64()),
    ]
)


@dataclass
class Asked:
    """The rows asked so far, in the order of the asking.

    On disk it is a folder with one table, which each step replaces by a rename after the new one
    is on the disk: whenever a process is killed, the state is that before or after its step.

    Attributes
    ----------
    path : Path
        The folder.
    provenance : Provenance
        Dump, clustering, seed and rule.
    row : ndarray of int64, shape (m,)
        Rows asked.
    cluster : ndarray of int64, shape (m,)
        Their clusters.
    ask : ndarray of int32, shape (m,)
        Which asking each was in, from 0.
    score : ndarray of float64, shape (m,)
        What was told; NaN where nothing was.
    """

    path: Path
    provenance: Provenance
    row: NDArray[np.int64]
    cluster: NDArray[np.int64]
    ask: NDArray[np.int32]
    score: NDArray[np.float64]

    @classmethod
    def write_new(cls, folder: Path, provenance: Provenance) -> None:
        """Write a state in which nothing was asked to an empty folder."""
        nothing = np.empty(0, np.int64)
        state = cls(folder, provenance, nothing, nothing, nothing.astype(np.int32), np.empty(0))
        (folder / _LOCK).touch()
        pq.write_table(state._table(), folder / _FILE)

    @classmethod
    @contextmanager
    def open(cls, path: str | os.PathLike[str]) -> Iterator[Asked]:
        """Read a state; until the end of the step no other process has it.

        Raises
        ------
        InputError
            When it is none, or cannot be read.
        OutputError
            When it cannot be written.
        """
        folder = Path(path)
        found = read_provenance(folder, "the state of a bandit")
        if found.command != "bandit" or found.method != "state":
            raise InputError(
                f"{path}: a result of `coresift {found.command}`, not the state of a bandit",
                hint="give what `coresift bandit start` wrote",
            )
        try:
            lock = (folder / _LOCK).open("a")
        except OSError as error:
            raise OutputError(
                f"{path}: cannot be written: {error.strerror or error}",
                hint="each step writes to the state, or keeps others from it",
            ) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield cls._read(folder)

    @classmethod
    def _read(cls, folder: Path) -> Asked:
        file = folder / _FILE
        try:
            table = pq.read_table(file)
            provenance = stored_provenance(table.schema, str(file))
            if provenance is None:
                raise KeyError("no provenance")
            score = table["score"].to_numpy()
            return cls(
                folder,
                provenance,
                table["row"].to_numpy(),
                table["cluster"].to_numpy().astype(np.int64),
                table["ask"].to_numpy(),
                score.astype(np.float64),
            )
        except (OSError, KeyError, pa.ArrowException) as error:
            raise InputError(
                f"{file}: damaged: {str(error).splitlines()[0]}", hint="start again"
            ) from error

    def _table(self) -> pa.Table:
        columns = [
            pa.array(self.row),
            pa.array(self.cluster.astype(np.int32)),
            pa.array(self.ask),
            pa.array(self.score, mask=np.isnan(self.score)),
        ]
        schema = _SCHEMA.with_metadata({KEY: self.provenance.to_json().encode()})
        return pa.Table.from_arrays(columns, schema=schema)

    def save(self) -> None:
        """Replace the state on disk.

        Raises
        ------
        OutputError
            When it cannot be written; it is then as it was.
        """
        partial = self.path / _PARTIAL
        try:
            with partial.open("wb") as stream:
                pq.write_table(self._table(), stream)
                stream.flush()
                os.fsync(stream.fileno())
            partial.rename(self.path / _FILE)
            descriptor = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be written: {error.strerror or error}; it is as it was"
            ) from error

    @property
    def params(self) -> RuleParams:
        """How clusters are judged."""
        return RuleParams.build(self.provenance.params, "bandit")

    @property
    def prefix(self) -> str:
        """What stands before the name of the column of row ids."""
        return str(self.provenance.output.get("prefix", ""))

    @property
    def asks(self) -> int:
        """How many batches were asked."""
        return int(self.ask[-1]) + 1 if len(self.ask) else 0

    @property
    def waiting(self) -> NDArray[np.int64]:
        """Places of rows of which no score was told."""
        return np.flatnonzero(np.isnan(self.score))

    @property
    def digest(self) -> str:
        """Identity of what was asked and told."""
        digest = hashlib.sha256(self.provenance.key.encode())
        for values in (self.row, self.ask, self.score):
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()[:32]

    def input(self, run: Run) -> tuple[Dump, SavedClustering]:
        """The dump and the clustering that it was started with.

        Raises
        ------
        MismatchError
            When one of them has changed.
        """
        dump = run.open(self.provenance.input_options())
        self.provenance.require_input(
            dump, f"{self.path}", "put the dump back as it was, or start again"
        )
        parent = self.provenance.parents["clustering"]
        if not Path(parent["path"]).exists():
            raise MismatchError(
                f"{self.path}: the clustering {parent['path']} is gone", hint="put it back there"
            )
        clustering = SavedClustering.open(parent["path"])
        if clustering.digest != parent["digest"]:
            raise MismatchError(
                f"{self.path} was started with another clustering: {parent['path']} has changed",
                hint="put it back as it was, or start again",
            )
        return dump, clustering

    def bandit(self, clustering: SavedClustering) -> Bandit:
        """The bandit as far as it is."""
        return Bandit(clustering.size, rule(self.params, _TOP), self.cluster, self.score)

    def add(self, rows: NDArray[np.int64], clusters: NDArray[np.int64]) -> None:
        """Remember that rows were asked."""
        number = np.full(len(rows), self.asks, np.int32)
        self.row = np.concatenate([self.row, rows])
        self.cluster = np.concatenate([self.cluster, clusters])
        self.ask = np.concatenate([self.ask, number])
        self.score = np.concatenate([self.score, np.full(len(rows), np.nan)])

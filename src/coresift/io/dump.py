"""A dump of embeddings: files in order, rows by position, shards from footers."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa

from coresift.core.errors import InputError, ParameterError
from coresift.engine.base import Shared
from coresift.io import compute as pc
from coresift.io import expressions, layout
from coresift.io.filesystem import FileRef, resolve
from coresift.io.fingerprint import Fingerprint
from coresift.io.formats import NPY_COLUMN, NpyTable, ParquetTable, TableFile, open_table
from coresift.io.layout import VectorColumn

_FOOTER_THREADS = 16
_SHARD_BYTES = 64 << 20
# small batches are decoded into memory that the one before has just left
BATCH_BYTES = 2 << 20
RUN_BYTES = 16 << 20
_SAMPLE_ROWS = 1000


@dataclass(frozen=True)
class InputOptions:
    """How PATHs are to be read; each attribute is the option of the same name.

    Attributes
    ----------
    embedding : str or None
        The vector column, or a pattern of columns.
    embedding_dtype : str or None
        Number type of a fixed-size binary column.
    vectors : tuple of str
        Files that hold the vectors of the dump's rows, in order.
    dtype, dim : str and int, or None
        Layout of raw memory maps among ``vectors``.
    where : str or None
        Keep only matching rows.
    metric : str
        ``l2`` or ``cosine``.
    invalid : str
        ``error`` or ``drop``.
    """

    embedding: str | None = None
    embedding_dtype: str | None = None
    vectors: tuple[str, ...] = ()
    dtype: str | None = None
    dim: int | None = None
    where: str | None = None
    metric: str = "l2"
    invalid: str = "error"


@dataclass(frozen=True)
class Shard:
    """A run of row groups of one file.

    Attributes
    ----------
    index : int
        Position among the dump's shards.
    file : int
        Position of the file.
    groups : tuple of int
        Row groups, consecutive.
    start : int
        Id of the first row.
    rows : int
        Number of rows.
    """

    index: int
    file: int
    groups: tuple[int, ...]
    start: int
    rows: int

    @property
    def span(self) -> tuple[int, int]:
        """Ids of its first row and of the one after its last."""
        return self.start, self.start + self.rows


@dataclass
class Dump(Shared):
    """Files, their rows and columns. Nothing but footers has been read.

    Attributes
    ----------
    tables : list of TableFile
        The files in order.
    options : InputOptions
        How to read them.
    sidecar : list of NpyTable
        Files that hold the vectors, when they are not in the tables.
    rows_at_a_time : int or None
        Rows of a batch; None chooses by their width.
    batch_bytes : int
        Size of a batch, where its rows are not given.
    run_bytes : int
        Size of a run of decoded vectors, likewise.
    """

    tables: list[TableFile]
    options: InputOptions
    sidecar: list[NpyTable] = field(default_factory=list)
    rows_at_a_time: int | None = None
    batch_bytes: int = BATCH_BYTES
    run_bytes: int = RUN_BYTES

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Identity of the content."""
        return Fingerprint.of([*self.tables, *self.sidecar])

    @cached_property
    def rows(self) -> int:
        """Rows of all files, whether or not they match ``--where``."""
        return sum(sum(table.groups) for table in self.tables)

    @property
    def source(self) -> str:
        """Return a name for messages: the first file, and how many more."""
        more = len(self.tables) - 1
        return self.tables[0].ref.name + (f" (and {more} more)" if more else "")

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns of every row; vectors kept in files of their own come last."""
        schema = self.tables[0].schema
        return schema.append(self.sidecar[0].schema.field(0)) if self.sidecar else schema

    @cached_property
    def embedding(self) -> VectorColumn:
        """The vector column.

        Raises
        ------
        InputError
            When there is none, or several.
        """
        lists = [
            field.name
            for field in self.schema
            if (found := layout.classify(field)) is not None and found[2] is None
        ]
        sample = pa.RecordBatch.from_pylist([], schema=self.schema)
        if lists:
            sample = next(self.read(self.shards(lists)[0], lists, _SAMPLE_ROWS))[1]
        options = self.options
        name = options.embedding or (NPY_COLUMN if self.sidecar else None)
        return layout.find(self.schema, sample, name, options.embedding_dtype, self.source)

    @cached_property
    def where(self) -> tuple[pc.Expression, list[str]] | None:
        """The filter, and the columns it reads."""
        if self.options.where is None:
            return None
        return expressions.parse(self.options.where, self.schema, "--where")

    @cached_property
    def _starts(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        counts = [sum(table.groups) for table in self.tables]
        return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])

    def locate(self, row: int) -> str:
        """Say where a row lies: file and position in it."""
        file = int(np.searchsorted(self._starts, row, side="right")) - 1
        return f"{self.tables[file].ref.name}: row {row - int(self._starts[file])} of the file"

    def shards(self, columns: Sequence[str] = ()) -> list[Shard]:
        """Runs of row groups whose ``columns`` decode to about 64 MB, in the order of rows."""
        shards: list[Shard] = []
        for file, table in enumerate(self.tables):
            start = int(self._starts[file])
            run: list[int] = []
            rows = size = 0
            for group, count in enumerate(table.groups):
                added = table.group_bytes(group, columns or self.schema.names)
                if run and size + added > _SHARD_BYTES:
                    shards.append(Shard(len(shards), file, tuple(run), start, rows))
                    start, run, rows, size = start + rows, [], 0, 0
                run.append(group)
                rows += count
                size += added
            if rows:
                shards.append(Shard(len(shards), file, tuple(run), start, rows))
        return shards

    def batch_rows(self, columns: Sequence[str]) -> int:
        """Rows of a batch: as told, or ``batch_bytes`` of ``columns``."""
        if self.rows_at_a_time is not None:
            return self.rows_at_a_time
        width = sum(_field_bytes(self.schema.field(name)) for name in columns) or 8
        if self.sidecar and NPY_COLUMN in columns:
            width += self.sidecar[0].width * self.sidecar[0].kind.itemsize
        rows = [
            (count, table.group_bytes(group, columns))
            for table in self.tables[:1]
            for group, count in enumerate(table.groups[:1])
        ]
        for count, size in rows:
            if count:
                width = max(width, size // count)
        return max(256, min(1 << 16, self.batch_bytes // width))

    def read(
        self, shard: Shard, columns: Sequence[str], rows: int | None = None
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Batches of a shard, each with the id of its first row."""
        table = self.tables[shard.file]
        own = [name for name in columns if name in table.schema.names]
        start = shard.start
        step = rows or self.batch_rows(columns)
        for batch in table.batches(own or table.schema.names[:1], shard.groups, step):
            stop = start + batch.num_rows
            if self.sidecar and NPY_COLUMN in columns:
                yield start, self._with_vectors(batch.select(own), start, stop, columns)
            else:
                yield start, batch.select(list(columns))
            start = stop

    def _with_vectors(
        self, batch: pa.RecordBatch, start: int, stop: int, columns: Sequence[str]
    ) -> pa.RecordBatch:
        pieces = []
        first = 0
        for table in self.sidecar:
            low, high = max(start, first), min(stop, first + table.rows)
            if low < high:
                pieces.append(table.slice(low - first, high - first))
            first += table.rows
        values = np.concatenate(pieces) if len(pieces) != 1 else pieces[0]
        kind = self.schema.field(NPY_COLUMN).type
        array = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), kind.list_size)
        arrays = [array if name == NPY_COLUMN else batch.column(name) for name in columns]
        return pa.record_batch(arrays, names=list(columns))

    def groups_to_read(self, shard: Shard) -> bool:
        """Whether the filter, by the statistics of the shard's row groups, may match there."""
        table = self.tables[shard.file]
        if self.where is None or not isinstance(table, ParquetTable):
            return True
        if any(name == NPY_COLUMN for name in self.where[1]) and self.sidecar:
            return True
        matching = self._matching.setdefault(shard.file, None)
        if matching is None:
            matching = self._matching[shard.file] = table.groups_matching(self.where[0])
        return any(group in matching for group in shard.groups)

    @cached_property
    def _matching(self) -> dict[int, set[int] | None]:
        return {}


def _field_bytes(field: pa.Field) -> int:
    try:
        return max(1, int(field.type.bit_width) // 8)
    except ValueError:
        return 16


def open_dump(
    paths: Sequence[str | os.PathLike[str]],
    options: InputOptions | None = None,
    *,
    may_be_empty: bool = False,
) -> Dump:
    """Read the footers of a dump.

    Raises
    ------
    InputError
        When a file cannot be read, or the files do not have the same columns.
    """
    options = options or InputOptions()
    tables = _open_all(resolve(paths))
    twice = [name for name, times in Counter(tables[0].schema.names).items() if times > 1]
    if twice:
        raise InputError(
            f"{tables[0].ref.name}: several columns named {twice[0]!r}",
            hint="write the file again with a name for each column",
        )
    for table in tables[1:]:
        _require_same_columns(tables[0], table)
    dump = Dump(tables, options, _open_sidecar(options))
    if dump.rows == 0 and not may_be_empty:
        raise InputError(f"{dump.source}: no rows", hint="the dump is empty")
    if dump.sidecar:
        found = sum(table.rows for table in dump.sidecar)
        if found != dump.rows:
            raise InputError(
                f"--vectors holds {found:,} rows and the dump {dump.rows:,}",
                hint="each row needs one vector, in the same order",
            )
        if NPY_COLUMN in tables[0].schema.names:
            raise InputError(
                f"{dump.source}: has a column {NPY_COLUMN!r} and --vectors brings another",
                hint="leave out --vectors, or rename the column",
            )
    return dump


def _open_all(refs: list[FileRef]) -> list[TableFile]:
    if len(refs) == 1:
        return [open_table(refs[0])]
    with ThreadPoolExecutor(_FOOTER_THREADS) as pool:
        return list(pool.map(open_table, refs))


def _open_sidecar(options: InputOptions) -> list[NpyTable]:
    if not options.vectors:
        if options.dtype or options.dim:
            raise ParameterError(
                "--dtype and --dim describe raw files given to --vectors, which is missing",
                hint="add --vectors 'emb_*.bin'",
            )
        return []
    if (options.dtype is None) != (options.dim is None):
        raise ParameterError("--dtype and --dim go together", hint="give both or neither")
    tables = []
    for ref in resolve(options.vectors, formats=False):
        if ref.suffix != ".npy" and options.dtype is None:
            raise InputError(
                f"{ref.name}: not a .npy file", hint="describe a raw file with --dtype and --dim"
            )
        raw = ref.suffix != ".npy"
        try:
            table = NpyTable(ref, options.dtype if raw else None, options.dim if raw else None)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{ref.name}: not a readable .npy file ({error})") from error
        tables.append(table)
    for table in tables[1:]:
        if table.width != tables[0].width or table.kind != tables[0].kind:
            raise InputError(
                f"{table.ref.name}: {table.width} dimensions of {table.kind}, expected "
                f"{tables[0].width} of {tables[0].kind} as in {tables[0].ref.name}"
            )
    return tables


def _require_same_columns(first: TableFile, table: TableFile) -> None:
    for expected in first.schema:
        index = table.schema.get_field_index(expected.name)
        if index < 0:
            raise InputError(
                f"{table.ref.name}: no column {expected.name!r}, which {first.ref.name} has",
                hint="all files of a dump have the same columns",
            )
        found = table.schema.field(index)
        if found.type == expected.type:
            continue
        mine, theirs = layout.classify(found), layout.classify(expected)
        if mine and theirs and mine[2] and theirs[2] and mine[2] != theirs[2]:
            raise InputError(
                f"{table.ref.name}: column {expected.name!r} has {mine[2]} dimensions, expected "
                f"{theirs[2]} as in {first.ref.name}",
                hint="leave the file out, or embed its rows with the same model",
            )
        raise InputError(
            f"{table.ref.name}: column {expected.name!r} is {found.type}, expected "
            f"{expected.type} as in {first.ref.name}",
            hint="write the files with one schema",
        )
    extra = [name for name in table.schema.names if name not in first.schema.names]
    if extra:
        raise InputError(
            f"{table.ref.name}: column {extra[0]!r} is not in {first.ref.name}",
            hint="all files of a dump have the same columns",
        )

"""Gradients that lie in files, row after row."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coresift.core.errors import InputError
from coresift.engine.base import Shared

# bytes of a number, by the names that stores give its type
WIDTHS = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}
_PROBES = 64


@dataclass(frozen=True)
class Piece:
    """Consecutive rows in a file.

    Attributes
    ----------
    path : str
        The file.
    offset : int
        Bytes before its first row.
    rows : int
        Rows, one after the other with nothing between them.
    """

    path: str
    offset: int
    rows: int


class StoredGradients(Shared):
    """Gradients in one or more files, as :class:`~coresift.influence.base.Gradients`.

    Only bytes of the rows asked for are read, into fresh memory: a mapped file would count as
    resident. It holds no open file, so it can be sent to another process, which opens the files
    at the same paths.

    Parameters
    ----------
    source : str
        What the user called it.
    kind : str
        The tool that wrote it.
    pieces : sequence of Piece
        Where the rows are, in order.
    dim : int
        Numbers of a row.
    dtype : str
        A key of :data:`WIDTHS`.
    factor : StoredGradients, optional
        A number for each row that multiplies it.

    Raises
    ------
    InputError
        When a file is shorter than its rows.
    """

    def __init__(
        self,
        source: str,
        kind: str,
        pieces: Sequence[Piece],
        dim: int,
        dtype: str,
        factor: StoredGradients | None = None,
    ) -> None:
        self.source = source
        self.kind = kind
        self.pieces = tuple(pieces)
        self.dtype = dtype
        self.rows = sum(piece.rows for piece in pieces)
        self.factor = factor
        self._dim = dim
        self._row_bytes = dim * WIDTHS[dtype]
        self._starts = np.cumsum([0, *(piece.rows for piece in pieces)], dtype=np.int64)
        for piece in pieces:
            self._require_whole(piece)

    def _require_whole(self, piece: Piece) -> None:
        found = Path(piece.path).stat().st_size
        expected = piece.offset + piece.rows * self._row_bytes
        if found < expected:
            raise InputError(
                f"{piece.path}: {found:,} bytes, expected {expected:,} for {piece.rows:,} rows of "
                f"{self._dim:,} {self.dtype}",
                hint="the file is truncated; write it again",
            )

    @property
    def dim(self) -> int:
        """Numbers of a row."""
        return self._dim

    @property
    def digest(self) -> str:
        """Identity of the content: shape, and evenly spaced rows, since there is no footer."""
        digest = hashlib.sha256(f"{self.rows} {self._dim} {self.dtype}".encode())
        probes = np.unique(np.linspace(0, max(0, self.rows - 1), _PROBES).astype(np.int64))
        digest.update(self.raw(probes[: self.rows]).tobytes())
        return digest.hexdigest()[:32]

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Of consecutive rows, float32 of shape (stop - start, dim).

        Raises
        ------
        InputError
            When a file is gone, or a number is not finite.
        """
        return self.take(np.arange(start, stop, dtype=np.int64))

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Of some rows, ascending, float32 of shape (len(rows), dim); see :meth:`read`."""
        values = self.raw(rows)
        self._require_finite(values, rows)
        return values

    def raw(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """As :meth:`take`, whether or not the numbers are finite."""
        values = np.empty((len(rows), self._dim), np.float32)
        for index, piece in enumerate(self.pieces):
            low, high = np.searchsorted(rows, self._starts[index : index + 2])
            if low < high:
                self._fill(values[low:high], piece, rows[low:high] - self._starts[index])
        if self.factor is not None:
            with np.errstate(invalid="ignore", over="ignore"):
                values *= self.factor.raw(rows)
        return values

    def _fill(self, values: NDArray[np.float32], piece: Piece, rows: NDArray[np.int64]) -> None:
        """Read rows of a file, each run of consecutive ones at once."""
        ends = [*(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
        try:
            file = os.open(piece.path, os.O_RDONLY)
        except OSError as error:
            raise _unreadable(piece.path, error) from error
        try:
            start = 0
            for stop in ends:
                offset = piece.offset + int(rows[start]) * self._row_bytes
                self._fill_run(values[start:stop], piece.path, file, offset)
                start = stop
        finally:
            os.close(file)

    def _fill_run(self, values: NDArray[np.float32], path: str, file: int, offset: int) -> None:
        if self.dtype == "float32":
            _read_exactly(path, file, values, offset)
        elif self.dtype == "bfloat16":
            # the upper half of a float32
            held = np.empty(values.shape, np.uint16)
            _read_exactly(path, file, held, offset)
            np.left_shift(held, 16, out=values.view(np.uint32), dtype=np.uint32)
        else:
            narrow = np.empty(values.shape, self.dtype)
            _read_exactly(path, file, narrow, offset)
            with np.errstate(over="ignore"):
                values[:] = narrow

    def _require_finite(self, values: NDArray[np.float32], rows: NDArray[np.int64]) -> None:
        # a sum is finite only where all terms are; where it is not, they are looked at
        with np.errstate(over="ignore", invalid="ignore"):
            suspect = np.flatnonzero(~np.isfinite(values @ np.ones(self._dim, np.float32)))
        for place in suspect.tolist():
            if not np.isfinite(values[place]).all():
                raise InputError(
                    f"{self.source}: the gradient of row {rows[place]} is not finite",
                    hint="compute it again, or leave the row out of the dump and the store",
                )


def _read_exactly(path: str, file: int, values: NDArray[np.generic], offset: int) -> None:
    raw = values.data.cast("B") if values.size else memoryview(b"")
    done = 0
    while done < len(raw):
        try:
            moved = os.preadv(file, [raw[done:]], offset + done)
        except OSError as error:
            raise _unreadable(path, error) from error
        if not moved:
            raise InputError(f"{path}: ended while it was read", hint="write it again")
        done += moved


def _unreadable(path: str, error: OSError) -> InputError:
    return InputError(
        f"{path}: cannot be read on {socket.gethostname()}: {error.strerror}",
        hint="a store is read where it lies: put it where every worker sees it, or leave out "
        "--engine ray",
    )

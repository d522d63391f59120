"""Tells the kinds of store apart."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from coresift.core.errors import InputError, MismatchError
from coresift.influence.stores import bergson, less, npy, trak
from coresift.influence.stores.base import StoredGradients


class _Kind(Protocol):
    """A module of a kind of store."""

    def recognises(self, path: Path) -> bool:
        """Whether a path is one."""

    def open_at(self, path: Path) -> StoredGradients:
        """Open it."""


_KINDS: tuple[_Kind, ...] = (bergson, trak, less, npy)


def open_store(path: str | os.PathLike[str], rows: int | None = None) -> StoredGradients:
    """Open a store of gradients where it lies; nothing is converted, and nothing in it is run.

    Parameters
    ----------
    path : path
        A folder of bergson, TRAK or LESS, a tensor saved by ``torch.save``, or a 2-D ``.npy``.
    rows : int, optional
        Rows of the dump that it belongs to.

    Raises
    ------
    InputError
        When it is none of these, or cannot be read as it is.
    MismatchError
        When it does not have a gradient for each row.
    """
    where = Path(path)
    if not where.exists():
        raise InputError(f"{path}: no such file or folder", hint="give the path of a store")
    for kind in _KINDS:
        if kind.recognises(where):
            store = kind.open_at(where)
            break
    else:
        raise InputError(
            f"{path}: not a store of gradients",
            hint="a folder of bergson, TRAK or LESS, a tensor in .pt, or a 2-D .npy is expected",
        )
    if store.rows == 0 or store.dim == 0:
        raise InputError(f"{path}: {store.rows:,} gradients of {store.dim:,} numbers")
    if rows is not None and store.rows != rows:
        raise MismatchError(
            f"{path}: {store.rows:,} gradients, expected {rows:,}, one for each row of the dump",
            hint="give the dump that the gradients were computed from, in the same order",
        )
    return store

"""Tasks as bytes: closures go by value, stores by name, and what never changes only once."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coresift.distributed.rows import RemoteRows
from coresift.engine.base import Shared


@dataclass(frozen=True)
class Packed:
    """A task.

    Attributes
    ----------
    code : bytes
        The pickle.
    buffers : list of ndarray of uint8
        Arrays that it refers to, which need no copy where they are read.
    shared : dict of str to object
        References to objects that do not change, by name.
    stores : frozenset of str
        Names of the stores that it uses.
    """

    code: bytes
    buffers: list[NDArray[np.uint8]]
    shared: dict[str, Any]
    stores: frozenset[str]


def pack(value: object, share: Callable[[Shared], tuple[str, Any, frozenset[str]]]) -> Packed:
    """Turn a task, or an object that tasks share, into bytes.

    Parameters
    ----------
    value : object
        What to pack; arrays become buffers.
    share : callable
        Gives the name of a shared object, a reference to it, and the stores that it uses.
    """
    from ray import cloudpickle

    shared: dict[str, Any] = {}
    stores: set[str] = set()

    class Pickler(cloudpickle.Pickler):
        def persistent_id(self, found: object) -> tuple[str, str] | None:
            if isinstance(found, RemoteRows):
                stores.add(found.name)
                return "store", found.name
            if isinstance(found, Shared) and found is not value:
                name, reference, used = share(found)
                shared[name] = reference
                stores.update(used)
                return "shared", name
            return None

    stream = io.BytesIO()
    buffers: list[pickle.PickleBuffer] = []
    made: Any = Pickler
    made(stream, protocol=5, buffer_callback=buffers.append).dump(value)
    arrays = [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers]
    return Packed(stream.getvalue(), arrays, shared, frozenset(stores))


def unpack(packed: Packed, load: Callable[[str, str], Any]) -> Any:
    """The task again; ``load`` finds a store or a shared object by its kind and name."""

    class Unpickler(pickle.Unpickler):
        def persistent_load(self, found: tuple[str, str]) -> Any:
            return load(*found)

    return Unpickler(io.BytesIO(packed.code), buffers=packed.buffers).load()

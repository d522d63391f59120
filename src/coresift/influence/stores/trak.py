"""What TRAK's ``MmapSaver`` leaves: a folder for each model, with memory maps in the npy format.

``grads.mmap`` holds the projected gradients of the model's output, and ``out_to_loss.mmap`` what
makes them gradients of the loss (Q in the paper), which is multiplied in. The targets of an
experiment are ``EXPERIMENT_grads.mmap``, a file of its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from coresift.core.errors import InputError, MismatchError
from coresift.influence.stores import npy
from coresift.influence.stores.base import StoredGradients

_GRADS = "grads.mmap"
_METADATA = "metadata.json"


def recognises(path: Path) -> bool:
    """Whether a path is the folder of a model, or of all of them."""
    return (path / _GRADS).is_file() or bool(_models(path))


def _models(path: Path) -> list[Path]:
    if not (path / _METADATA).is_file():
        return []
    return sorted(
        (child for child in path.iterdir() if child.is_dir() and child.name.isdecimal()),
        key=lambda child: int(child.name),
    )


def open_at(path: Path) -> StoredGradients:
    """Open the gradients of one model.

    Raises
    ------
    InputError
        When there are several models, rows without a gradient, or a file is cut off.
    """
    folder = path
    if not (path / _GRADS).is_file():
        models = _models(path)
        if len(models) > 1:
            raise InputError(
                f"{path}: holds the gradients of {len(models)} models, expected one",
                hint=f"give one of them, such as {models[0]}",
            )
        folder = models[0]
    if not (folder / _GRADS).is_file():
        raise InputError(
            f"{folder}: no {_GRADS}, which holds the gradients",
            hint="finalize_features(del_grads=True) removes it; compute the features again",
        )
    factor = None
    if (folder / "out_to_loss.mmap").is_file():
        factor = npy.open_at(folder / "out_to_loss.mmap", "TRAK")
    store = npy.open_at(folder / _GRADS, "TRAK", factor)
    if factor is not None and (factor.rows, factor.dim) != (store.rows, 1):
        raise InputError(
            f"{folder / 'out_to_loss.mmap'}: {factor.rows:,} x {factor.dim}, expected "
            f"{store.rows:,} x 1 as {_GRADS} has rows"
        )
    _require_described(folder, store)
    _require_complete(folder, store.rows)
    return store


def _require_described(folder: Path, store: StoredGradients) -> None:
    path = folder.parent / _METADATA
    if not path.is_file():
        return
    found = _json(path)
    for key, value in (("train set size", store.rows), ("JL dimension", store.dim)):
        if key in found and int(found[key]) != value:
            raise MismatchError(
                f"{folder / _GRADS}: {key} {value:,}, expected {int(found[key]):,} by {path}"
            )


def _require_complete(folder: Path, rows: int) -> None:
    """Refuse a store of which some rows were not computed: they are zeros, or undefined."""
    done = rows
    flags = folder / "_is_featurized.mmap"
    state = folder.parent / f"id_{folder.name}.json"
    if flags.is_file():
        done = int(np.count_nonzero(np.load(flags, allow_pickle=False)))
    elif state.is_file():
        # before version 0.3; it counts a row again when that was computed again
        done = int(_json(state).get(folder.name, {}).get("total_num_featurized", rows))
    if done < rows:
        raise InputError(
            f"{folder}: {done:,} rows have a gradient, expected {rows:,}",
            hint="featurize the other rows",
        )


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not readable ({error})") from error
    return found

"""What a model must give, whatever library it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

# what a model's function is given: a column is an array with a row per row, or a list where its
# values are no numbers or lists of different lengths
Batch = dict[str, Any]


class RowModel(Protocol):
    """A model that gives the gradient of its loss for each row.

    Attributes
    ----------
    kind : str
        The library.
    layers : tuple of str
        Names of the parameters, in the order of the gradient.
    parameters : int
        Elements of a gradient.
    digest : str
        Identity of everything the model has learned.
    notes : tuple of str
        What was left out or replaced.
    """

    kind: str
    layers: tuple[str, ...]
    parameters: int
    digest: str
    notes: tuple[str, ...]

    def probe(self, batch: Batch) -> None:
        """Try some rows, before any work is done.

        Raises
        ------
        CoresiftError
            When the model cannot take them.
        """

    def gradients(self, batch: Batch) -> Sequence[NDArray[np.float32]]:
        """Gradients of rows in parts that follow one another, each of shape (rows, elements)."""

    def close(self) -> None:
        """Leave the library as it was found."""

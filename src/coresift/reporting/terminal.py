"""The map in characters: points in braille, of which each character holds two by four."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coresift.reporting.drawn import ABSENT, Layout

WIDE, HIGH = 72, 22
_BRAILLE = 0x2800
# bit of each dot of a character, by column and row from above
_DOTS = np.array([[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]], np.int64)
_BLOCKS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"

# a run of characters, and whether they hold a selected point
Piece = tuple[str, bool]


def plot(layout: Layout, chosen: NDArray[np.bool_]) -> list[list[Piece]]:
    """Draw a layout.

    Returns
    -------
    list of list of tuple
        For each line its pieces; a character with a selected point is one of those points alone.
    """
    there = layout.x != ABSENT
    all_dots = _cells(layout, there & ~chosen)
    mine = _cells(layout, there & chosen)
    lines = []
    for row in range(HIGH):
        pieces: list[Piece] = []
        for column in range(WIDE):
            marked = bool(mine[column, row])
            dots = mine[column, row] if marked else all_dots[column, row]
            character = chr(_BRAILLE + int(dots)) if dots else " "
            if pieces and pieces[-1][1] == marked:
                pieces[-1] = pieces[-1][0] + character, marked
            else:
                pieces.append((character, marked))
        lines.append(pieces)
    return lines


def _cells(layout: Layout, some: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Dots of each character, shape (WIDE, HIGH), the first line on top."""
    across = (layout.x[some].astype(np.int64) + 32_767) * (2 * WIDE - 1) // 65_534
    down = (32_767 - layout.y[some].astype(np.int64)) * (4 * HIGH - 1) // 65_534
    dots = np.zeros((2 * WIDE, 4 * HIGH), np.bool_)
    dots[across, down] = True
    cells = np.zeros((WIDE, HIGH), np.int64)
    for i in range(2):
        for j in range(4):
            cells += dots[i::2, j::4] * _DOTS[i, j]
    return cells


def bars(shares: NDArray[np.number], width: int = WIDE) -> str:
    """Numbers as a line of blocks; the largest of those that fall into one place."""
    if len(shares) > width:
        bounds = np.linspace(0, len(shares), width + 1).astype(int)
        shares = np.maximum.reduceat(shares, bounds[:-1])
    most = float(shares.max(initial=0.0))
    levels = np.ceil(shares / most * 8).astype(int) if most > 0.0 else np.zeros(len(shares), int)
    return "".join(_BLOCKS[level] for level in levels)

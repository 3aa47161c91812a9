"""Attention for the terminal: a table of block characters, as wide as its words are many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len

SHADES = " ░▒▓█"
LIMITS = (0.05, 0.25, 0.5, 0.75)
"""The least weight of each shade but the first."""
FIELD = 2
"""Terminal columns of one weight: a letter of any script fits in."""


def shaded(
    weights: NDArray[np.floating[Any]], source: Sequence[str], target: Sequence[str], notes: Sequence[str] = ()
) -> list[str]:
    """Lines of a heat map, [target, source]: source pieces from top to bottom above it, target pieces to the left.

    `notes`: what stands behind each row.
    """
    margin = max(map(cell_len, target), default=0)
    depth = max(map(len, source), default=0)
    upright = [piece.rjust(depth) for piece in source]
    lines = [
        " " * (margin + 1) + "".join(_padded(letters[k], FIELD) for letters in upright).rstrip() for k in range(depth)
    ]
    levels = np.searchsorted(LIMITS, weights, side="right")
    for row, (piece, shades) in enumerate(zip(target, levels, strict=True)):
        fields = "".join(SHADES[level] * FIELD for level in shades)
        note = f" {notes[row]}" if notes else ""
        lines.append(f"{_padded(piece, margin)} {fields}{note}".rstrip())
    return lines


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))

"""A heat map for the terminal has a field a weight, darker for more, under and beside its pieces."""

from __future__ import annotations

import numpy as np
from rich.cells import cell_len

from nmt.evaluation.shades import shaded


def test_a_heat_map_by_hand() -> None:
    weights = np.array([[0.8, 0.2, 0.0], [0.04, 0.3, 0.66]])
    assert shaded(weights, ["ab", "c", "."], ["xyz", "w"], ["0.50", "0.25"]) == [
        "    a",
        "    b c .",
        "xyz ██░░   0.50",
        "w     ▒▒▓▓ 0.25",
    ]


def test_every_limit_is_the_least_weight_of_its_shade() -> None:
    (line,) = shaded(np.array([[0.049, 0.05, 0.25, 0.5, 0.75, 1.0]]), [""] * 6, ["x"])
    assert line == "x   ░░▒▒▓▓████"


def test_wide_letters_take_a_field() -> None:
    lines = shaded(np.full((2, 3), 1.0), ["日本", "a", "語"], ["犬", "ab"])
    assert lines[0] == "   日"
    assert lines[1] == "   本a 語"
    assert [cell_len(line) for line in lines[2:]] == [3 + 6, 3 + 6]

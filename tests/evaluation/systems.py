"""Made-up systems: references whose words are lost at a known rate."""

from __future__ import annotations

import random

from tests.corpora import toy_pair


def sentences(number: int, seed: int = 1) -> tuple[list[str], list[str]]:
    """Sources and references of the toy language, two pairs a line so that four words match in a row."""
    rng = random.Random(seed)
    lines = [[toy_pair(rng) for _ in range(2)] for _ in range(number)]
    return tuple([" ".join(pair[side] for pair in line) for line in lines] for side in (0, 1))  # type: ignore[return-value]


def worsened(references: list[str], rate: float, seed: int) -> list[str]:
    """Each word but the first of a line is another one with probability `rate`."""
    rng = random.Random(seed)
    return [
        " ".join(word if not k or rng.random() >= rate else "falsch" for k, word in enumerate(line.split()))
        for line in references
    ]

"""Loops in a translation that its source has not: the way in which a decoder that has lost its place goes on.

Knows nothing of models; works on any tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

LONGEST = 12
"""Tokens of a run that is looked for again."""


def times_repeated(tokens: Sequence[int]) -> int:
    """How often in a row the same run of tokens comes, at most: 1 for none twice in a row.

    A single token counts from its third time on: "sehr sehr" and "000" are no loops.
    """
    length = len(tokens)
    if length - len(set(tokens)) < 2:
        return 1
    most = 1
    for period in range(1, min(LONGEST, length // 2) + 1):
        run = best = 0
        for i in range(period, length):
            run = run + 1 if tokens[i] == tokens[i - period] else 0
            best = max(best, run)
        most = max(most, best // period + 1 - (period == 1 and best > 0))
    return most


def is_loop(source: Sequence[int], target: Sequence[int]) -> bool:
    """Whether a translation says a thing three times in a row, and more often than its source does."""
    times = times_repeated(target)
    return times > 2 and times > times_repeated(source)

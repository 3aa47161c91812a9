"""Loops in a translation that its source has not: the way in which a decoder that has lost its place goes on.

Knows nothing of models or vocabularies: works on words, and on letters within long ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

LONGEST = 12
"""Words of a run that is looked for again."""
TIMES = 3
"""So often in a row is a loop, if the source does not do it as often."""

_WORD = re.compile(r"[^\W\d_]+")
_LONG = re.compile(r"[^\W\d_]{12,}")
_WITHIN = re.compile(r"(.{2,6}?)\1{2,}|(.)\2{5,}")


def times_repeated(words: Sequence[str]) -> int:
    """How often in a row the same run of words comes, at most: 1 where none comes twice in a row."""
    length = len(words)
    if length - len(set(words)) < TIMES - 1:
        return 1
    most = 1
    for period in range(1, min(LONGEST, length // 2) + 1):
        run = 0
        for i in range(period, length):
            run = run + 1 if words[i] == words[i - period] else 0
            if run and run // period + 1 > most:
                most = run // period + 1
    return most


def is_loop(source: str, target: str) -> bool:
    """Whether a translation says a thing three times in a row, and more often than its source does."""
    words = _WORD.findall(target.lower())
    times = times_repeated(words)
    if times >= TIMES and times > times_repeated(_WORD.findall(source.lower())):
        return True
    # within words: "hahaha" may be laughter, where the source laughs too
    return any(_WITHIN.search(word[0]) for word in _LONG.finditer(target)) and not _WITHIN.search(source)

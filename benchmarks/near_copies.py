"""Sentences that stand in training text but for one token: a test that has many of them is easier than it looks.

Tokens are words and single signs, in lower case. Neighbours are found by what is left of a sentence when one of its
tokens is taken out or covered, so nothing is compared with everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_TOKEN = re.compile(r"\w+|[^\w\s]")
_COVER = ""
"""In the place of a token; no token is empty."""

Tokens = tuple[str, ...]


class NearCopies:
    """What of other text is a sentence of this one, or one token away from it. Sentences are kept as hashes."""

    def __init__(self, sentences: Iterable[str]) -> None:
        self._whole: set[int] = set()
        self._covered: set[int] = set()
        self._shortened: set[int] = set()
        for sentence in sentences:
            tokens = _tokens(sentence)
            self._whole.add(hash(tokens))
            self._covered.update(map(hash, _covered(tokens)))
            self._shortened.update(map(hash, _shortened(tokens)))

    def has(self, sentence: str) -> bool:
        """Whether a sentence is there, or one that has a token more, less or another."""
        tokens = _tokens(sentence)
        return (
            hash(tokens) in self._whole
            or hash(tokens) in self._shortened
            or any(hash(other) in self._covered for other in _covered(tokens))
            or any(hash(other) in self._whole for other in _shortened(tokens))
        )


def _tokens(sentence: str) -> Tokens:
    return tuple(_TOKEN.findall(sentence.lower()))


def _covered(tokens: Tokens) -> Iterator[Tokens]:
    return ((*tokens[:place], _COVER, *tokens[place + 1 :]) for place in range(len(tokens)))


def _shortened(tokens: Tokens) -> Iterator[Tokens]:
    return (tokens[:place] + tokens[place + 1 :] for place in range(len(tokens)))

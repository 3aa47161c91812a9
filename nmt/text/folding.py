"""Signs that a vocabulary lacks, read as those that it has: ” as ", ’ as ', a soft hyphen as nothing.

A sign that is spelt in bytes tells a model nothing, and the sentence around it suffers. Folding is for what a model
reads, not for what is written: nothing here changes the length of a text, so places in it stay what they are. Knows
nothing of models.
"""

from __future__ import annotations

from collections.abc import Callable

_ALIKE = {'"': "“”„‟«»″〝〞", "'": "‘’‚‛‹›′`´ʼ", "-": "‐‑‒–—―−"}
_SOFT = "\u00ad\u2060"
"""What stands inside words and is not seen: soft hyphen, word joiner."""
_NOTHING = "\x01"
"""A character that tokenizers leave out, as SentencePiece's own rules of normalisation do."""


class Folding:
    """Texts as one vocabulary can read them best."""

    def __init__(self, is_known: Callable[[str], bool], is_left_out: Callable[[str], bool]) -> None:
        """`is_known`: whether the vocabulary has a character. `is_left_out`: whether it reads a text as without it."""
        self._families: list[tuple[frozenset[str], dict[int, str]]] = []
        for plain, signs in _ALIKE.items():
            lacking = frozenset(sign for sign in signs if not is_known(sign))
            if lacking and is_known(plain):
                self._families.append((lacking, {ord(sign): plain for sign in signs}))
        if is_left_out(_NOTHING):
            lacking = frozenset(sign for sign in _SOFT if not is_left_out(sign))
            self._families.append((lacking, dict.fromkeys(map(ord, lacking), _NOTHING)))

    def __call__(self, text: str) -> str:
        """The text with signs in the place of those that the vocabulary lacks, as long as before.

        Where one of a kind is lacking its like go with it: the vocabulary of a model from German knows “ as the end of
        a quotation, which in English it begins.
        """
        if text.isascii():
            return text
        for lacking, plain in self._families:
            if not lacking.isdisjoint(text):
                text = text.translate(plain)
        return text

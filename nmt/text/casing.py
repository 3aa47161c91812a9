"""Capitals that say how, not what: SHOUTED sentences, Title Case Headings, and the first letter of a sentence.

Models have hardly seen the first two: they are translated as if they were written normally, and shouted ones are
shouted again. Nothing here changes the length of a text, so places in it stay what they are. Knows nothing of models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import Enum

Cost = Callable[[str], int]
"""How many pieces a vocabulary needs for a word."""


class Casing(Enum):
    """How a sentence is written."""

    NORMAL = "normal"
    UPPER = "upper"
    TITLE = "title"


_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_FIRST = re.compile(r"[\W_]*([^\W\d_])[\w.'’-]*")
"""A text's first word, where no digit stands before it, and its first letter."""
_ENDS = (".", "!", "?", "…")
"""What a sentence ends with, and a heading does not."""
_SMALL = frozenset(
    [
        "a",
        "an",
        "and",
        "as",
        "at",
        "but",
        "by",
        "for",
        "from",
        "in",
        "into",
        "nor",
        "of",
        "off",
        "on",
        "or",
        "over",
        "per",
        "the",
        "to",
        "up",
        "via",
        "with",
    ]
)
_MOST_PIECES = 1
"""A single word in capitals of more pieces than this, written normally, is taken for an abbreviation."""
_NOUNS_TOO = ("de", "lb")
"""Languages in which capitals begin every noun: many of them are no heading."""


def casing_of(text: str, language: str, cost: Cost) -> Casing:
    """Whether a sentence is shouted or a heading. `language`: its own."""
    if text.isupper():
        words = _WORD.findall(text)
        longest = max(words, key=len, default="")
        if len(words) > 1 and len(longest) > 3:
            return Casing.UPPER
        if len(words) == 1 and len(longest) > 2 and cost(normal_word(longest, cost)) <= _MOST_PIECES:
            return Casing.UPPER
        return Casing.NORMAL
    if language in _NOUNS_TOO or text.endswith(_ENDS):
        return Casing.NORMAL
    if _LOWER_THEN_LOWER.search(text):  # two words in a row in small letters, the first of them no article or the like
        return Casing.NORMAL
    words = _WORD.findall(text)
    if len(words) < 3 or not words[0][0].isupper():
        return Casing.NORMAL
    is_title = all(word[0].isupper() or word in _SMALL for word in words)
    return Casing.TITLE if is_title and sum(word[0].isupper() for word in words) > 2 else Casing.NORMAL


_LOWER_THEN_LOWER = re.compile(r"\b[a-zß-öø-ÿ]{4,} [a-zß-öø-ÿ]{4,}\b")


def normal(text: str, casing: Casing, cost: Cost) -> str:
    """The sentence as it would be written normally, as long as before: each word in the form the vocabulary knows best.

    Words in a heading that are in capitals from end to end are left: they are abbreviations.
    """
    if casing is Casing.NORMAL:
        return text
    result = _WORD.sub(
        lambda word: word[0] if casing is Casing.TITLE and word[0].isupper() else normal_word(word[0], cost), text
    )
    first = _WORD.search(result)
    if first is None:
        return result
    return result[: first.start()] + _upper(result[first.start()]) + result[first.start() + 1 :]


def normal_word(word: str, cost: Cost) -> str:
    """In small letters, or with a capital where the vocabulary has fewer pieces for it: names, German nouns, "I"."""
    small = "".join(map(_lower, word))
    capital = _upper(small[0]) + small[1:]
    return capital if cost(capital) < cost(small) or small == "i" or small.startswith(("i'", "i’")) else small


def restored(text: str, casing: Casing) -> str:
    """Part of a translation with the capitals of its original: headings have none of their own in most languages."""
    return text.upper() if casing is Casing.UPPER else text


def first_edits(source: str, text: str, *, is_open: bool = False) -> Iterator[tuple[int, int, str]]:
    """What is to be written in the place of which characters of `text`, a translation of `source`: a capital first.

    A sentence that begins with a capital and ends with a mark (or `is_open`: goes on in another part) is translated by
    a sentence. Words with a capital elsewhere (pH, iPhone) stay.
    """
    ours = _FIRST.match(text)
    if ours is None or not ours[1].islower() or not (is_open or source.rstrip("\"'”’“»)]").endswith(_ENDS)):
        return
    theirs = _FIRST.match(source)
    word = text[ours.start(1) : ours.end()]
    if theirs is None or not theirs[1].isupper() or not word.islower():
        return
    capital = ours[1].title()  # not upper: Georgian has capitals, but begins no sentence with one
    if len(capital) == 1 and capital != ours[1]:
        yield ours.start(1), ours.end(1), capital


def like(model: str, text: str) -> str:
    """A term with the capitals of what it stands for: all of them, or the first."""
    if len(model) > 1 and model.isupper():
        return text.upper()
    if model[:1].isupper() and text[:1].islower():
        return text[:1].upper() + text[1:]
    return text


def _lower(character: str) -> str:
    lowered = character.lower()
    return lowered if len(lowered) == 1 else character


def _upper(character: str) -> str:
    raised = character.upper()
    return raised if len(raised) == 1 else character

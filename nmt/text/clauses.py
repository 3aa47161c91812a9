"""Translations of a sentence's parts, made to fit together: a model writes every part as if it were a sentence.

Knows nothing of models. `nmt.text.sentences` says where a sentence is cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from nmt.text.casing import Cost, normal_word

_STOPS = re.compile(r"\s*[.!?,;:…。！？，；：]*\s*\Z")
_MARK = re.compile(r"(?:\s*[,;:，、；：]|\s+[-–—]|[–—])[\"'”’“»)\]]*\Z")
"""What a clause ends with, with the blank before a dash."""
_FIRST = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


def part_edits(source: str, text: str, cost: Cost, *, continues: bool, is_open: bool) -> Iterator[tuple[int, int, str]]:
    """What is to be written in the place of which characters of `text`, the translation of a part of a sentence.

    A part behind which the sentence goes on ends as its source does, and not with a full stop. One that the sentence
    goes on with begins with a small letter where its source does, but for words that are better known with a capital:
    names, German nouns, "I". `cost`: pieces of a word in the vocabulary of `text`.
    """
    if continues and source[:1].islower() and (first := _FIRST.match(text)) and _is_capitalised(first[0]):
        small = normal_word(first[0], cost)
        if small != first[0]:
            yield first.start(), first.end(), small
    if is_open and (stop := _STOPS.search(text)) and stop.start() > 0:
        mark = _MARK.search(source)
        end = mark[0] if mark else ""
        if stop[0] != end:
            yield stop.start(), stop.end(), end


def _is_capitalised(word: str) -> bool:
    return word[0].isupper() and not word[1:].isupper()

"""Terminology: where terms of a glossary stand in a text, and what is to stand in the translation. No inflection.

A glossary is pairs of a source term and a target term. Terms are found at the borders of words, the longest first: as
they are written, or else whatever their capitals, which the target term then takes over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from nmt.text.casing import like
from nmt.text.protect import Span

Terms = tuple[tuple[str, str], ...]

_TOKEN = re.compile(r"\w+|[^\w\s]")


class Glossary:
    """Terms by their first word, so that a text is gone through once however many there are."""

    def __init__(self, terms: Terms) -> None:
        self._by_first: dict[str, list[tuple[str, str]]] = {}
        for source, target in terms:
            source = " ".join(source.split())
            if first := _TOKEN.match(source):
                self._by_first.setdefault(first[0].lower(), []).append((source, target.strip()))
        for entries in self._by_first.values():
            entries.sort(key=lambda entry: -len(entry[0]))

    def find(self, text: str) -> list[Span]:
        """The terms of a text, in order, none over another, each with what stands for it."""
        if not self._by_first:
            return []
        found: list[Span] = []
        end = 0
        for token in _TOKEN.finditer(text):
            if token.start() < end:
                continue
            entries = self._by_first.get(token[0].lower(), ())
            if entries and (span := _match(text, token.start(), entries)):
                found.append(span)
                end = span.end
        return found


glossary = lru_cache(maxsize=16)(Glossary)
"""Made once for each set of terms: the texts of a request share theirs."""


def _match(text: str, start: int, entries: Sequence[tuple[str, str]]) -> Span | None:
    """The longest term at a place; of those as long, the one with the same capitals."""
    best: Span | None = None
    for source, target in entries:
        end = start + len(source)
        here = text[start:end]
        if best is not None and end < best.end:
            break
        if here.replace("\n", " ") == source:
            out = target
        elif here.lower() == source.lower() and best is None:
            out = like(here, target)
        else:
            continue
        if _is_border(text, start) and _is_border(text, end):
            best = Span(start, end, "term", out)
            if here == source:
                break
    return best


def _is_border(text: str, at: int) -> bool:
    """Whether no word goes on over this place."""
    return not (0 < at < len(text) and _is_word(text[at - 1]) and _is_word(text[at]))


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"

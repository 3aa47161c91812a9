"""Edits as `nmt.text` proposes them, made."""

from __future__ import annotations

from collections.abc import Iterable


def edited(text: str, edits: Iterable[tuple[int, int, str]]) -> str:
    """`text` with what is to be written in the place of which characters, none over another."""
    for start, end, written in sorted(edits, reverse=True):
        text = text[:start] + written + text[end:]
    return text

"""Where the pieces of a vocabulary stand in a text, by character. Knows nothing of models."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from nmt.text.sampling import SPACE
from nmt.text.words import GLUE

Range = tuple[int, int]

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_AHEAD = 24
"""Characters by which a text may differ from what its pieces say before they are thought to have come apart."""


def offsets(pieces: Sequence[str], text: str) -> list[Range]:
    """The characters of `text` that each piece stands for; no character for one that cannot be found.

    `pieces`: as a tokenizer shows them. The text may be written in other forms of the same characters (NFKC).
    """
    characters: list[tuple[str, int]] = [
        (c, place) for place, whole in enumerate(text) for c in unicodedata.normalize("NFKC", whole) if not c.isspace()
    ]
    ranges: list[Range] = []
    at = 0
    pending = b""
    first_of_bytes = 0
    for piece in pieces:
        bare = piece.replace(SPACE, "").replace(GLUE, "")
        if byte := _BYTE.fullmatch(piece):
            if not pending:
                first_of_bytes = len(ranges)
            pending += bytes([int(byte[1], 16)])
            bare = _decoded(pending)
            if not bare:
                ranges.append((0, 0))
                continue
            pending = b""
        elif pending:
            pending = b""
        found = _find(characters, bare, at)
        if found is None:
            place = characters[at][1] if at < len(characters) else len(text)
            ranges.append((place, place))
            continue
        start, stop = found
        ranges.append(
            (characters[start][1], characters[stop - 1][1] + 1) if stop > start else _empty(characters, start)
        )
        if byte:
            ranges[first_of_bytes:] = [ranges[-1]] * (len(ranges) - first_of_bytes)
        at = stop
    return ranges


def _decoded(raw: bytes) -> str:
    """The character of some bytes; nothing while it is not complete."""
    try:
        return unicodedata.normalize("NFKC", raw.decode("utf-8"))
    except UnicodeDecodeError:
        return ""


def _empty(characters: Sequence[tuple[str, int]], at: int) -> Range:
    place = characters[at][1] if at < len(characters) else (characters[-1][1] + 1 if characters else 0)
    return place, place


def _find(characters: Sequence[tuple[str, int]], bare: str, at: int) -> Range | None:
    """Where a piece's characters stand, at `at` or a little behind."""
    length = len(bare)
    for start in range(at, min(at + _AHEAD, len(characters)) + 1):
        if "".join(c for c, _ in characters[start : start + length]) == bare:
            return start, min(start + length, len(characters))
        if not length:
            break
    return None

"""Tags in strings that are not read as markup: of subtitles, of messages of programs. They become marks, no more."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from nmt.documents.base import Unit
from nmt.documents.inline import Inline, Mark, Piece

_TAG = re.compile(r"<(/?)([A-Za-z][\w:.-]{0,60})((?:\s[^<>]{0,2000})?)(/?)>")


def pieces_of(text: str, also: re.Pattern[str] | None = None) -> Iterator[Piece]:
    """Texts and tags in turn; the content of a mark is the tag as it is written. `also`: what else is a mark."""
    end = 0
    pattern = _TAG if also is None else re.compile(f"{_TAG.pattern}|{also.pattern}")
    for match in pattern.finditer(text):
        if match.start() > end:
            yield text[end : match.start()]
        end = match.end()
        if not match[2] or match[4] or match[3].endswith("/"):
            yield Mark("empty", match[2] or "", match[0])
        else:
            yield Mark("close" if match[1] else "open", match[2].lower(), match[0])
    if end < len(text):
        yield text[end:]


def as_written(pieces: Sequence[Piece]) -> str:
    """Pieces whose marks have their own text for a content, put together."""
    return "".join(piece if isinstance(piece, str) else piece.content for piece in pieces)


class Tagged(NamedTuple):
    """A string's unit, and the way back from a translation of it."""

    unit: Unit
    render: Callable[[str], str | None]


def tagged(text: str, place: str, also: re.Pattern[str] | None = None) -> Tagged | None:
    """The unit of a string that may hold tags; None where it has no words."""
    inline = Inline(pieces_of(text, also))
    if not inline.has_words:
        return None

    def render(translation: str) -> str | None:
        core = inline.read(translation)
        return None if core is None else as_written([*inline.before, *core, *inline.after])

    return Tagged(inline.unit(place), render)

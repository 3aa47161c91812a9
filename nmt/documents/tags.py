"""Tags in strings that are not read as markup: of subtitles, of messages of programs. They become marks, no more."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from nmt.documents.base import Unit
from nmt.documents.inline import Inline, Mark, Piece

_SAID = frozenset({"img", "input"})
_SILENT = frozenset({"br", "hr", "wbr"})
"""Of the tags without text, which programs have in the place of words."""
_TAG = re.compile(r"<(/?)([A-Za-z][\w:.-]{0,60}|\d{1,3}(?=\s?/?>))((?:\s[^<>]{0,2000})?)(/?)>")


def pieces_of(text: str, also: re.Pattern[str] | None = None) -> Iterator[Piece]:
    """Texts and tags in turn; the content of a mark is the tag as it is written. `also`: what else is a mark."""
    end = 0
    pattern = _TAG if also is None else re.compile(f"{_TAG.pattern}|{also.pattern}")
    for match in pattern.finditer(text):
        if match.start() > end:
            yield text[end : match.start()]
        end = match.end()
        name = (match[2] or "").lower().partition(".")[0]  # WebVTT: <c.yellow>, </c>
        if not name or match[4] or match[3].endswith("/"):
            yield Mark("empty", name, match[0], is_said=bool(name) and name not in _SILENT)
        else:
            yield Mark("close" if match[1] else "open", name, match[0], is_said=name in _SAID)
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

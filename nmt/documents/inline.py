"""Text with codes in it: what a document holds between and around words, as tags that a translator can move.

Every format turns its own markup into pieces, strings and marks, and gets pieces back. In between stands a text such as
`a <g id="1">bold</g> word<x id="2"/>`; a mark that nobody would read aloud is `<m id="2"/>`. Knows no format.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from xml.sax.saxutils import escape, unescape

from nmt.documents.base import Unit, has_words

Kind = Literal["open", "close", "empty"]


class Mark(NamedTuple):
    """A piece that is no text. An opening mark and the closing one of the same name embrace what lies between."""

    kind: Kind
    name: str
    content: Any
    """What it is in the document; nobody here looks at it."""
    is_said: bool = False
    """Whether something is read aloud in its place, as of a field or a picture. Else words are put together over it."""


Piece = str | Mark

_TAG = re.compile(r'<g id="(\d{1,6})">|(</g>)|<[mx] id="(\d{1,6})"/>')


@dataclass(frozen=True)
class _Code:
    """A mark under a number. Opening and closing mark have the same one."""

    kind: Kind
    number: int
    mark: Mark


class Inline:
    """A run of pieces, and the unit that is made of its core: from the first word to the last and what embraces them.

    Opening and closing marks that do not nest stand for themselves.
    """

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces = _nested(_joined(pieces))
        self.start, self.end = _core(self._pieces)
        """Indices of the core's first piece and of the one after its last, after neighbouring texts were joined."""
        self._core = self._number(self._pieces[self.start : self.end])
        self.has_words = any(has_words(piece) for piece in self._core if isinstance(piece, str))

    def unit(self, place: str) -> Unit:
        """The core as a unit."""
        if all(isinstance(piece, str) for piece in self._core):
            return Unit("".join(map(str, self._core)), place)
        return Unit("".join(_written(piece) for piece in self._core), place, "xml")

    @property
    def before(self) -> list[Piece]:
        """The pieces before the core."""
        return [_plain(piece) for piece in self._pieces[: self.start]]

    @property
    def after(self) -> list[Piece]:
        """The pieces after the core."""
        return [_plain(piece) for piece in self._pieces[self.end :]]

    @property
    def core(self) -> list[Piece]:
        """The pieces of the core itself."""
        return [_plain(piece) for piece in self._pieces[self.start : self.end]]

    def read(self, translation: str) -> list[Piece] | None:
        """The core's pieces in a translation's order; None where it has not the same codes, or they do not nest."""
        codes = [piece for piece in self._core if isinstance(piece, _Code)]
        if not codes:
            return [translation] if translation else []
        singles = {code.number: code.mark for code in codes if code.kind == "empty"}
        pairs: dict[int, list[Mark]] = {}
        for code in codes:
            if code.kind != "empty":
                pairs.setdefault(code.number, []).append(code.mark)
        return _read(translation, singles, pairs)

    def _number(self, pieces: Sequence[Piece | _Code]) -> list[str | _Code]:
        """Codes numbered from 1 in the order in which they open."""
        numbers: dict[int, int] = {}
        numbered: list[str | _Code] = []
        for piece in pieces:
            if isinstance(piece, _Code):
                numbers.setdefault(piece.number, len(numbers) + 1)
                piece = _Code(piece.kind, numbers[piece.number], piece.mark)
            assert not isinstance(piece, Mark)
            numbered.append(piece)
        return numbered


def _read(translation: str, singles: dict[int, Mark], pairs: dict[int, list[Mark]]) -> list[Piece] | None:
    pieces: list[Piece] = []
    opened: list[int] = []
    seen: set[int] = set()
    end = 0
    for tag in _TAG.finditer(translation):
        if not _append_text(pieces, translation[end : tag.start()]):
            return None
        end = tag.end()
        if tag[2]:
            if not opened:
                return None
            pieces.append(pairs.pop(opened.pop())[1])
        elif tag[1]:
            number = int(tag[1])
            if number not in pairs or number in seen:
                return None
            opened.append(number)
            seen.add(number)
            pieces.append(pairs[number][0])
        else:
            single = singles.pop(int(tag[3]), None)
            if single is None:
                return None
            pieces.append(single)
    if opened or pairs or singles or not _append_text(pieces, translation[end:]):
        return None
    return pieces


def _append_text(pieces: list[Piece], written: str) -> bool:
    if "<" in written:  # a tag that is none of ours
        return False
    if written:
        pieces.append(unescape(written, {"&quot;": '"', "&apos;": "'", "&#39;": "'"}))
    return True


def _written(piece: str | _Code) -> str:
    if isinstance(piece, str):
        return escape(piece)
    if piece.kind == "empty":
        return f'<{"x" if piece.mark.is_said else "m"} id="{piece.number}"/>'
    return f'<g id="{piece.number}">' if piece.kind == "open" else "</g>"


def _plain(piece: str | _Code | Mark) -> Piece:
    return piece.mark if isinstance(piece, _Code) else piece


def _joined(pieces: Iterable[Piece]) -> list[Piece]:
    """Neighbouring texts as one, empty ones left out."""
    joined: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        elif piece != "":
            joined.append(piece)
    return joined


def _nested(pieces: Sequence[Piece]) -> list[str | _Code]:
    """Marks under numbers. A mark without its partner, or one that crosses another pair, becomes a code of its own."""
    partners: dict[int, int] = {}
    opened: list[int] = []
    names: dict[str, int] = {}
    for place, piece in enumerate(pieces):
        if isinstance(piece, str) or piece.kind == "empty":
            continue
        if piece.kind == "open":
            opened.append(place)
            names[piece.name] = names.get(piece.name, 0) + 1
        elif names.get(piece.name):
            while True:
                begin = opened.pop()
                name = pieces[begin].name  # type: ignore[union-attr]
                names[name] -= 1
                if name == piece.name:
                    break
            partners[place], partners[begin] = begin, place
    nested: list[str | _Code] = []
    for place, piece in enumerate(pieces):
        if isinstance(piece, str):
            nested.append(piece)
        elif place in partners:
            nested.append(_Code(piece.kind, min(place, partners[place]), piece))
        else:
            nested.append(_Code("empty", place, piece))
    return nested


def _core(pieces: Sequence[str | _Code]) -> tuple[int, int]:
    """From the first word to the last, widened or narrowed so that no pair has one mark inside and one outside."""
    words = [place for place, piece in enumerate(pieces) if isinstance(piece, str) and piece.strip()]
    if not words:
        return 0, 0
    start, end = words[0], words[-1] + 1
    places: dict[int, list[int]] = {}
    for place, piece in enumerate(pieces):
        if isinstance(piece, _Code) and piece.kind != "empty":
            places.setdefault(piece.number, []).append(place)
    for begin, close in sorted(places.values(), reverse=True):  # the innermost first
        inside = start <= begin < end, start <= close < end
        if inside[0] != inside[1]:
            start, end = min(start, begin), max(end, close + 1)
    return start, end

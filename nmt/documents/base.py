"""What every format has in common: a document is units of text to translate, and a way to write it with other texts.

Knows nothing of translating and of files: bytes come in, bytes go out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from nmt.documents.encoding import Coding
from nmt.errors import DocumentTooLarge

Markup = Literal["", "xml"]


@dataclass(frozen=True)
class Unit:
    """A text that is translated as a whole."""

    text: str
    place: str
    """Where it stands in the document, for messages."""
    markup: Markup = ""
    """What the text is written in. `xml`: tags `<g id="1">`, `</g>`, `<x id="2"/>` and `<m id="3"/>` stand for what is
    no text, `x` for what is said like a word."""


@dataclass(frozen=True)
class Languages:
    """Codes of what a document is translated from and into, as far as its format speaks of them.

    An empty source is that of the document's own header.
    """

    source: str
    target: str


@dataclass(frozen=True)
class Limits:
    """What a document may hold at most: a small file can unpack to a very large one."""

    max_bytes: int = 256 * 1024 * 1024
    """Of all that is unpacked from it."""
    max_units: int = 500_000
    max_entries: int = 10_000
    """Files in a package."""
    max_xml_bytes: int = 64 * 1024 * 1024
    """Of one XML file, whose tree takes many times as much memory."""
    max_pieces: int = 4_000_000
    """Lines and tags, together."""


class Document(Protocol):
    """A document that has been read."""

    @property
    def units(self) -> Sequence[Unit]:
        """What there is to translate, in the document's order."""
        ...

    def accepts(self, index: int, translation: str) -> bool:
        """Whether a translation of this unit keeps what the document needs: its tags, above all."""
        ...

    def write(self, translations: Sequence[str | None]) -> bytes:
        """The document with these texts in the place of its units', in their order; None leaves a unit as it is.

        What is the same as before is written as it stood. Call it once.
        """
        ...


class Slot(NamedTuple):
    """A unit's place in a text, and how a translation is written there."""

    unit: Unit
    start: int
    end: int
    render: Callable[[str], str | None]
    """None: the translation does not fit here."""


class Edit(NamedTuple):
    """New text for a piece of an old one."""

    start: int
    end: int
    text: str


class TextDocument:
    """A document of which everything but the translated pieces is written as it was read."""

    def __init__(
        self,
        text: str,
        coding: Coding,
        slots: Sequence[Slot],
        escape: Callable[[str], str] | None = None,
    ) -> None:
        """`escape`: what stands for a character that the document's encoding has not; without it that is an error."""
        self._text = text
        self._coding = coding
        self._slots = slots
        self._escape = escape
        self.units = [slot.unit for slot in slots]

    def accepts(self, index: int, translation: str) -> bool:
        """See `Document`."""
        return self._slots[index].render(translation) is not None

    def write(self, translations: Sequence[str | None]) -> bytes:
        """See `Document`."""
        return self._coding.encode(splice(self._text, self._edits(translations)), self._escape)

    def _edits(self, translations: Sequence[str | None]) -> Iterator[Edit]:
        for slot, translation in zip(self._slots, translations, strict=True):
            if translation is None or translation == slot.unit.text:
                continue
            written = slot.render(translation)
            if written is not None:
                yield Edit(slot.start, slot.end, written)


def splice(text: str, edits: Iterable[Edit]) -> str:
    """The text with edits made; they must not overlap."""
    pieces: list[str] = []
    end = 0
    for edit in sorted(edits):
        assert edit.start >= end, "edits overlap"
        pieces += (text[end : edit.start], edit.text)
        end = edit.end
    return "".join([*pieces, text[end:]])


def has_words(text: str) -> bool:
    """Whether there is anything to translate: a letter. Numbers by themselves stay as they are."""
    return any(character.isalpha() for character in text)


def one_line(text: str) -> str:
    """Line breaks as blanks, where a format has no room for them."""
    return re.sub(r"[\r\n]+", " ", text)


def line_of(text: str, place: int) -> str:
    """The place of a character, in words. For many of them use `Lines`."""
    return f"line {text.count(chr(10), 0, place) + 1}"


class Lines:
    """Numbers of lines for places that only grow: each character of a text is counted once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._seen = 0
        self._line = 1

    def at(self, place: int) -> str:
        """The line of a place, in words."""
        if place < self._seen:
            return line_of(self._text, place)
        self._line += self._text.count("\n", self._seen, place)
        self._seen = place
        return f"line {self._line}"


def check_pieces(text: str, limits: Limits) -> None:
    """Raises DocumentTooLarge for more lines and tags than allowed: each costs far more memory than its bytes."""
    if text.count("<") + text.count("\n") + text.count("\r") > limits.max_pieces:
        raise DocumentTooLarge(f"more than {limits.max_pieces:,} lines and tags: split the file")


def check_units(count: int, limits: Limits) -> None:
    """Raises DocumentTooLarge where a document has more units than allowed."""
    if count > limits.max_units:
        raise DocumentTooLarge(f"more than {limits.max_units:,} texts to translate: split the file")

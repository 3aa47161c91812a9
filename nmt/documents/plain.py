"""Plain text: a unit a line, or a unit a paragraph whose lines were wrapped. Blank lines and line ends stay."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from nmt.documents.base import (
    Languages,
    Limits,
    Slot,
    TextDocument,
    Unit,
    check_pieces,
    check_units,
    has_words,
    one_line,
)
from nmt.documents.encoding import decode

_LINE = re.compile(r"([^\r\n]*)(\r\n|\r|\n|\Z)")
_LIST_ITEM = re.compile(r"[-*+•–—] |\(?\w{1,3}[.)] ")
_NARROW = 50
"""Lines of a paragraph narrower than this were not wrapped for want of room: verses, addresses, lists."""


class Line(NamedTuple):
    """A line without its end."""

    text: str
    start: int
    number: int
    end: str
    """What ended it."""


def lines_of(text: str) -> Iterator[Line]:
    """The lines of a text, which end at line feeds, carriage returns, or both."""
    for number, match in enumerate(_LINE.finditer(text), start=1):
        if match[0]:
            yield Line(match[1], match.start(), number, match[2])


def read_lines(data: bytes, _: Languages, limits: Limits) -> TextDocument:
    """Every line is a unit."""
    text, coding = decode(data)
    check_pieces(text, limits)
    slots = []
    for line in lines_of(text):
        body = line.text.strip()
        if not has_words(body):
            continue
        start = line.start + line.text.index(body)
        slots.append(Slot(Unit(body, f"line {line.number}"), start, start + len(body), one_line))
        check_units(len(slots), limits)
    return TextDocument(text, coding, slots)


def read_paragraphs(data: bytes, _: Languages, limits: Limits) -> TextDocument:
    """Lines that were wrapped are one unit, and its translation is wrapped to the same width."""
    text, coding = decode(data)
    check_pieces(text, limits)
    slots = []
    for lines, width in _paragraphs(text):
        body = " ".join(line.text.strip() for line in lines)
        if not has_words(body):
            continue
        first, last = lines[0], lines[-1]
        start = first.start + len(first.text) - len(first.text.lstrip())
        end = last.start + len(last.text.rstrip())
        indents = [line.text[: len(line.text) - len(line.text.lstrip())] for line in lines[:2]]
        wrap = partial(_wrap, width=width, indents=indents, end=first.end) if len(lines) > 1 else one_line
        slots.append(Slot(Unit(body, f"line {first.number}"), start, end, wrap))
        check_units(len(slots), limits)
    return TextDocument(text, coding, slots)


def _wrap(translation: str, width: int, indents: list[str], end: str) -> str:
    """From behind the first line's indent on."""
    first, *rest = textwrap.wrap(
        translation,
        width,
        initial_indent=indents[0],
        subsequent_indent=indents[-1],
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]
    return end.join([first.removeprefix(indents[0]), *rest])


def _paragraphs(text: str) -> Iterator[tuple[list[Line], int]]:
    """Lines that belong together, and the width that they were wrapped to."""
    block: list[Line] = []
    for line in lines_of(text):
        if line.text.strip():
            block.append(line)
            continue
        yield from _unwrapped(block)
        block = []
    yield from _unwrapped(block)


def _unwrapped(block: list[Line]) -> Iterator[tuple[list[Line], int]]:
    """A line goes on in the next one if the next one's first word had no room in it, and that is no item of a list."""
    if not block:
        return
    width = max(len(line.text.rstrip()) for line in block)
    together = [block[0]]
    for line in block[1:]:
        before, body = together[-1].text.rstrip(), line.text.strip()
        had_no_room = len(before) + 1 + len(body.split(maxsplit=1)[0]) > width
        if width >= _NARROW and had_no_room and not _LIST_ITEM.match(body):
            together.append(line)
        else:
            yield together, width
            together = [line]
    yield together, width

"""Markdown: a unit a paragraph, heading, item or cell. Code, addresses, HTML and front matter are written as they were.

Read line by line and by the letter, not as a tree: what is not translated keeps every byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from nmt.documents.base import Languages, Limits, Slot, TextDocument, check_pieces, check_units
from nmt.documents.encoding import decode
from nmt.documents.inline import Inline, Mark, Piece
from nmt.documents.plain import Line, lines_of
from nmt.documents.tags import as_written, pieces_of

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_PREFIX = re.compile(
    r"(?:[ \t]*(?:>|[-*+](?=[ \t])|\d{1,9}[.)](?=[ \t])|#{1,6}(?=[ \t]))[ \t]*(?:\[[ xX]\][ \t]+)?)*[ \t]*"
)
_QUOTE = re.compile(r"[ \t]*(?:>[ \t]*)*")
_STARTS = re.compile(r"[-*+][ \t]|\d{1,9}[.)][ \t]|#{1,6}[ \t]")
_NO_TEXT = re.compile(r"[ \t]*+(?:(?:[-*_=][ \t]*+){3,}+|[-=]++|\[[^\]]+\]:.*|</?[A-Za-z!?].*|[|:\- \t]*+)\Z")
_MARK = re.compile(
    r"(?P<code>(?P<ticks>`+)(?!`).{0,2000}?(?<!`)(?P=ticks)(?!`))"
    r"|(?P<escape>\\[!-/:-@\[-`{-~])"
    r"|(?P<image>!\[[^\]]{0,500}\](?:\([^()\s]{0,2000}(?:[ \t]+\"[^\"]{0,500}\")?\)|\[[^\]]{0,200}\])?)"
    r"|(?P<address><(?:[a-z][a-z0-9+.-]{1,31}:|[^\s<>@]{1,200}@)[^\s<>]{0,2000}>|https?://[^\s<>)\]]{1,2000})"
    r"|(?P<open>\[)(?=[^\[\]]{1,1000}\](?:\(|\[))"
    r"|(?P<close>\](?:\((?:[^()\s]|\([^()\s]{0,200}\)){0,2000}"
    r"(?:[ \t]+(?:\"[^\"]{0,500}\"|'[^']{0,500}'))?\)|\[[^\]]{0,200}\]))"
    r"|(?P<strong>\*{1,3}|~~|(?<!\w)_{1,3}|_{1,3}(?!\w))",
)


def read_markdown(data: bytes, _: Languages, limits: Limits) -> TextDocument:
    """Reads CommonMark with tables and front matter."""
    text, coding = decode(data)
    check_pieces(text, limits)
    slots: list[Slot] = []
    for block in _blocks(list(lines_of(text))):
        for start, end, number in block:
            slot = _slot(text, start, end, number)
            if slot is not None:
                slots.append(slot)
                check_units(len(slots), limits)
    return TextDocument(text, coding, slots)


def _blocks(lines: list[Line]) -> Iterator[list[tuple[int, int, int]]]:
    """Spans of text with the number of their line: of a paragraph one, of a table's row one a cell."""
    fence = ""
    place = _behind_front_matter(lines)
    begun: tuple[int, int, int] | None = None
    depth = 0
    is_code = True
    while place < len(lines):
        line = lines[place]
        place += 1
        body = line.text.strip()
        opened = _FENCE.match(line.text)
        if fence or opened:
            if begun:
                yield [begun]
            begun = None
            if not fence:
                fence = opened[1] if opened else ""
            elif opened and opened[1].startswith(fence) and not body.strip(fence[0]):
                fence = ""
            continue
        if not body or _NO_TEXT.match(line.text) or (is_code and begun is None and re.match(r" {4}|\t", line.text)):
            if begun:
                yield [begun]
            begun = None
            is_code = not body or (is_code and re.match(r" {4}|\t", line.text) is not None)
            continue
        is_code = False
        if body.startswith("|") and body.endswith("|") and len(body) > 1:
            if begun:
                yield [begun]
            begun = None
            yield list(_cells(line))
            continue
        prefix = _PREFIX.match(line.text)
        assert prefix is not None
        start, end = line.start + prefix.end(), line.start + len(line.text.rstrip().removesuffix("\\"))
        quote = _QUOTE.match(line.text)
        assert quote is not None
        quotes = quote[0].count(">")
        if begun is None or quotes > depth or _STARTS.match(line.text, quote.end()):
            if begun:
                yield [begun]
            begun, depth = (start, end, line.number), quotes
        else:
            begun = (begun[0], end, begun[2])
        is_last = line.text.endswith(("  ", "\\")) or line.text.lstrip().startswith("#")
        if is_last:
            yield [begun]
            begun = None
    if begun:
        yield [begun]


def _behind_front_matter(lines: list[Line]) -> int:
    if lines and lines[0].text.rstrip() in ("---", "+++"):
        for place, line in enumerate(lines[1:], start=1):
            if line.text.rstrip() == lines[0].text.rstrip():
                return place + 1
    return 0


def _cells(line: Line) -> Iterator[tuple[int, int, int]]:
    for cell in re.finditer(r"(?:[^|\\\r\n]|\\.)+", line.text):
        inner = cell[0].strip()
        if inner:
            start = line.start + cell.start() + cell[0].index(inner)
            yield start, start + len(inner), line.number


def _slot(text: str, start: int, end: int, number: int) -> Slot | None:
    written = text[start:end]
    # a line of a quotation or of an item may have a prefix of its own: the translation is one line
    plain = re.sub(r"[ \t]*(?:\r\n|\r|\n)[ \t]*(?:>[ \t]*)*", " ", written)
    inline = Inline(_pieces(plain))
    if not inline.has_words:
        return None

    def render(translation: str) -> str | None:
        read = inline.read(translation)
        if not read:
            return None
        return re.sub(r"[\r\n]+", " ", as_written([*inline.before, *read, *inline.after]))

    return Slot(inline.unit(f"line {number}"), start, end, render)


def _pieces(text: str) -> Iterator[Piece]:
    end = 0
    opened: list[str] = []
    for match in _MARK.finditer(text):
        yield from pieces_of(text[end : match.start()])
        end = match.end()
        strong = match["strong"]
        if match["open"]:
            yield Mark("open", "[", match[0])
        elif match["close"]:
            yield Mark("close", "[", match[0])
        elif strong:
            yield from _emphasis(strong, opened, is_before_word=bool(text[end : end + 1].strip()))
        else:
            yield Mark("empty", "", match[0], is_said=True)
    yield from pieces_of(text[end:])


def _emphasis(run: str, opened: list[str], *, is_before_word: bool) -> Iterator[Piece]:
    """A run of asterisks or the like: it ends what is open, or begins something where a word follows."""
    if run in opened:
        opened.remove(run)
        yield Mark("close", run, run)
    elif len(run) == 3 and {run[0], run[:2]} <= set(opened):
        for _ in range(2):
            inner = next(mark for mark in reversed(opened) if mark[0] == run[0])
            opened.remove(inner)
            yield Mark("close", inner, inner)
    elif is_before_word:
        opened.append(run)
        yield Mark("open", run, run)
    else:
        yield run

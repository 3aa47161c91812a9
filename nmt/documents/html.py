"""HTML: a unit a run of text and inline elements between two others. Every byte outside of these is written as it was.

Read by the letter of the page, not as a tree: what is malformed stays malformed.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from nmt.documents.base import (
    Edit,
    Languages,
    Limits,
    Lines,
    Slot,
    TextDocument,
    Unit,
    check_pieces,
    check_units,
    has_words,
    splice,
)
from nmt.documents.encoding import Coding, decode, marked
from nmt.documents.inline import Inline, Mark, Piece

# fmt: off
INLINE = frozenset({
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "data", "del", "dfn", "em", "font", "i", "ins", "label",
    "mark", "nobr", "q", "rp", "rt", "ruby", "s", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u",
})
"""Elements that a sentence reaches across; any other ends it."""
INLINE_VOID = frozenset({"img", "input", "wbr"})
SAID = frozenset({"img", "input"})
"""Of these those that stand for a word."""
VOID = INLINE_VOID | {
    "area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "keygen", "link", "meta", "param",
    "source", "track",
}
RAW = frozenset({"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"})
"""Elements whose content is no markup."""
KEPT = frozenset({
    "audio", "canvas", "code", "kbd", "math", "object", "pre", "samp", "svg", "template", "var", "video",
}) | (RAW - {"title"})
"""Elements whose content is not translated."""
KEPT_INLINE = frozenset({"code", "kbd", "math", "samp", "svg", "var"})
READ = frozenset({"alt", "title", "placeholder", "aria-label"})
"""Attributes that people read."""
DESCRIPTIONS = frozenset({"description", "og:title", "og:description", "twitter:title", "twitter:description"})
"""Of `meta` elements: those whose `content` is read, too."""
MUTE = frozenset({"link", "script", "style"})
"""Elements whose attributes nobody reads: the title of a style sheet is its name."""
# fmt: on

Kind = Literal["text", "open", "close", "other"]

_NAME = re.compile(r"</?([A-Za-z][^\s/>]*)")
_QUOTE_OR_END = re.compile(r"[>\"']")
_CHARSET = re.compile(rb"""<meta\s[^>]{0,300}?charset\s*=\s*["']?\s*([A-Za-z0-9._:-]+)""", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"""<\?xml\s[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._:-]+)""")
_ATTRIBUTE = re.compile(r"""\s(translate|class)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_PAIR = re.compile(r"""(?P<name>[^\s"'>/=]++)(?:\s*+=\s*+(?P<value>"[^"]*+"|'[^']*+'|[^\s"'>]++))?""")
_REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_SPACES = ("&nbsp;", "&#160;", "&#xa0;", "&#xA0;", "&#XA0;", "&ensp;", "&emsp;", "&thinsp;")
_OTHERS = (
    ("<!--", "-->"),
    ("<![CDATA[", "]]>"),
    ("<!", ">"),
    ("<?php", "?>"),
    ("<?=", "?>"),
    ("<?", ">"),
    ("<%", "%>"),
    ("</", ">"),
)
"""What is neither text nor tag, and what ends it; programs that make pages write the last but one."""
_XHTML = re.compile(r"\A\s*<\?xml\s|<html\s[^>]{0,300}http://www\.w3\.org/1999/xhtml", re.IGNORECASE)
_SNIFFED = 4096
"""Bytes in which a page names its encoding (the standard has browsers look into 1024)."""


class Token(NamedTuple):
    """A piece of the page: a text, a tag, or anything else. `name`: of a tag, in lower case."""

    kind: Kind
    start: int
    end: int
    name: str = ""


def read_html(data: bytes, _: Languages, limits: Limits) -> TextDocument:
    """Reads a page or a piece of one."""
    text, coding = decode(data, _charset(data))
    check_pieces(text, limits)
    is_xhtml = _XHTML.search(text, 0, _SNIFFED) is not None
    tokens = list(_tokens(text, is_xhtml=is_xhtml))
    partners = _partners(text, tokens)
    lines = Lines(text)
    slots: list[Slot] = []
    space = "&#160;" if is_xhtml else "&nbsp;"
    read = _Attributes(text, [], {})
    for run in _runs(text, tokens, partners):
        slot = _slot(text, run, lines, space, read)
        if slot is not None:
            slots.append(slot)
            check_units(len(slots), limits)
    lines = Lines(text)
    for slot in _attributes(text, tokens, partners, lines, space):
        read.slots.append(slot)
        check_units(len(slots) + len(read.slots), limits)
    return HtmlDocument(text, coding, slots, read)


class _Attributes(NamedTuple):
    """The attributes of a page, in order, and what is written for those that are translated, by place."""

    text: str
    slots: list[Slot]
    written: dict[int, str]

    def between(self, start: int, end: int) -> list[Edit]:
        """Changes of a part of the page."""
        first = bisect_left(self.slots, start, key=lambda slot: slot.start)
        changes: list[Edit] = []
        for slot in self.slots[first:]:
            if slot.start >= end:
                break
            if slot.start in self.written:
                changes.append(Edit(slot.start, slot.end, self.written[slot.start]))
        return changes

    def part(self, start: int, end: int) -> str:
        """A part of the page with its attributes translated."""
        changes = [Edit(edit.start - start, edit.end - start, edit.text) for edit in self.between(start, end)]
        return splice(self.text[start:end], changes)


class HtmlDocument(TextDocument):
    """A page. Attributes are units, too, behind the text; one may stand inside a run of text."""

    def __init__(self, text: str, coding: Coding, runs: Sequence[Slot], attributes: _Attributes) -> None:
        slots = [*runs, *attributes.slots]
        super().__init__(text, coding, slots, escape=lambda character: f"&#{ord(character)};")
        self._runs = len(runs)
        self._attributes = attributes

    def _edits(self, translations: Sequence[str | None]) -> Iterator[Edit]:
        for slot, translation in zip(self._attributes.slots, translations[self._runs :], strict=True):
            if translation is not None and translation != slot.unit.text:
                written = slot.render(translation)
                if written is not None:
                    self._attributes.written[slot.start] = written
        position = 0
        for slot, translation in zip(self._slots[: self._runs], translations[: self._runs], strict=True):
            if translation is None or translation == slot.unit.text:
                continue
            written = slot.render(translation)
            if written is not None:
                yield from self._attributes.between(position, slot.start)
                yield Edit(slot.start, slot.end, written)
                position = slot.end
        yield from self._attributes.between(position, len(self._text))


def _attributes(
    text: str, tokens: Sequence[Token], partners: dict[int, int], lines: Lines, space: str
) -> Iterator[Slot]:
    """Attributes that people read, but for those of elements that are not translated and of what is in these."""
    place = 0
    while place < len(tokens):
        token = tokens[place]
        skip_to = _kept_until(text, tokens, partners, place)
        if token.kind == "open" and token.name not in MUTE and not _is_kept(text, token):
            for name, start, end in _read_by_people(text, token):
                if slot := _value_slot(text, start, end, f"{lines.at(start)}, {name}", space):
                    yield slot
        place = place + 1 if skip_to is None else skip_to + 1


def _read_by_people(text: str, token: Token) -> list[tuple[str, int, int]]:
    """Name and place of the value of each attribute that is read, quotation marks included."""
    pairs = [
        (found["name"].lower(), *found.span("value"))
        for found in _PAIR.finditer(text, token.start + 1 + len(token.name), token.end - 1)
        if found["value"]
    ]
    names = READ
    if token.name == "meta":
        kinds = {text[start:end].strip("\"' ").lower() for name, start, end in pairs if name in ("name", "property")}
        names = READ | {"content"} if kinds & DESCRIPTIONS else READ
    return [pair for pair in pairs if pair[0] in names]


def _value_slot(text: str, start: int, end: int, place: str, space: str) -> Slot | None:
    """An attribute's value; one without quotation marks gets some."""
    quote = text[start] if text[start] in "\"'" else ""
    raw = text[start + len(quote) : end - len(quote)]
    shown = _shown(raw)
    if not has_words(shown):
        return None
    as_written = {html.unescape(found[0]): found[0] for found in _REFERENCE.finditer(raw)}
    mark = quote or '"'
    names = {mark: "&quot;" if mark == '"' else "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;", "\xa0": space}
    table = str.maketrans({**names, **{c: written for c, written in as_written.items() if len(c) == 1}})
    before, behind = shown[: len(shown) - len(shown.lstrip())], shown[len(shown.rstrip()) :]

    def render(translation: str) -> str | None:
        new = translation.strip()
        return f"{mark}{before}{new.translate(table)}{behind}{mark}" if new else None

    return Slot(Unit(shown.strip(), place), start, end, render)


def _charset(data: bytes) -> str | None:
    if marked(data):
        return None
    head = data[:_SNIFFED]
    found = _XML_ENCODING.match(head.lstrip()) or _CHARSET.search(head)
    name = found[1].decode("ascii") if found else None
    if name and name.lower().startswith("utf-16"):  # the page could be read so far: it is not
        return "utf-8"
    return "cp1252" if name and name.lower() in ("iso-8859-1", "latin1", "latin-1", "us-ascii", "ascii") else name


def _tokens(text: str, *, is_xhtml: bool) -> Iterator[Token]:
    """The page cut at its tags; the tokens together are the whole. In XHTML an element may end where it begins."""
    place = begun = 0
    while (start := text.find("<", place)) >= 0:
        token = _token(text, start)
        if token is None:  # a "<" that begins nothing
            place = start + 1
            continue
        if start > begun:
            yield Token("text", begun, start)
        yield token
        place = begun = token.end
        if token.kind == "open" and token.name in RAW and not (is_xhtml and text.endswith("/>", 0, token.end)):
            close = re.compile(rf"</{token.name}(?=[\s/>])", re.IGNORECASE).search(text, place)
            begun = close.start() if close else len(text)
            if begun > place:
                yield Token("text" if token.name == "title" else "other", place, begun)
            place = begun
    if begun < len(text):
        yield Token("text", begun, len(text))


def _token(text: str, start: int) -> Token | None:
    name = _NAME.match(text, start)
    if name:
        end = _tag_end(text, name.end())
        kind: Kind = "close" if text[start + 1] == "/" else "open"
        return Token("other" if end is None else kind, start, end or len(text), name[1].lower())
    for begin, close in _OTHERS:
        if text.startswith(begin, start):
            end = text.find(close, start + (2 if begin == "<!--" else len(begin)))  # <!--> is a whole comment
            return Token("other", start, len(text) if end < 0 else end + len(close))
    return None


def _tag_end(text: str, place: int) -> int | None:
    """Behind a tag's ">". None where the page ends inside the tag: then, as browsers have it, the rest is no text."""
    while found := _QUOTE_OR_END.search(text, place):
        if found[0] == ">":
            return found.end()
        place = found.end()
        # only a value may be quoted: elsewhere a quotation mark is a letter like others
        if text[max(0, found.start() - 20) : found.start()].rstrip().endswith("="):
            end = text.find(found[0], place)
            if end < 0:
                return None
            place = end + 1
    return None


def _partners(text: str, tokens: Sequence[Token]) -> dict[int, int]:
    """The closing tag of each opening one that has its own, by index of tokens."""
    partners: dict[int, int] = {}
    opened: list[int] = []
    names: dict[str, int] = {}
    for place, token in enumerate(tokens):
        if token.kind == "open" and token.name not in VOID and not text.endswith("/>", token.start, token.end):
            opened.append(place)
            names[token.name] = names.get(token.name, 0) + 1
        elif token.kind == "close" and names.get(token.name):
            while True:
                begin = opened.pop()
                names[tokens[begin].name] -= 1
                if tokens[begin].name == token.name:
                    break
            partners[begin] = place
    return partners


class _Part(NamedTuple):
    """A piece of a run, and where it stands."""

    piece: Piece
    start: int
    end: int


def _runs(text: str, tokens: Sequence[Token], partners: dict[int, int]) -> Iterator[list[_Part]]:
    run: list[_Part] = []
    place = 0
    while place < len(tokens):
        token = tokens[place]
        skip_to = _kept_until(text, tokens, partners, place)
        if token.kind == "text":
            run.append(_Part(text[token.start : token.end], token.start, token.end))
        elif skip_to is not None and (token.name in KEPT_INLINE or token.name in INLINE):
            end = tokens[skip_to].end
            run.append(_Part(Mark("empty", token.name, (token.start, end), is_said=True), token.start, end))
        elif token.kind != "other" and (token.name in INLINE or token.name in INLINE_VOID):
            run.append(_Part(_mark(text, token), token.start, token.end))
        elif run and not (token.kind == "other" and text.startswith("<!--", token.start)):
            yield from _balanced(run)
            run = []
        elif run:  # a comment inside a sentence
            run.append(_Part(Mark("empty", "!", (token.start, token.end)), token.start, token.end))
        place = place + 1 if skip_to is None else skip_to + 1
    yield from _balanced(run)


def _kept_until(text: str, tokens: Sequence[Token], partners: dict[int, int], place: int) -> int | None:
    """Index of the token that ends an element which is not translated; None where this one begins none."""
    token = tokens[place]
    if token.kind != "open" or place not in partners:
        return None
    if token.name in KEPT:
        return partners[place]
    return partners[place] if _is_kept(text, token) else None


def _is_kept(text: str, token: Token) -> bool:
    """Whether an element says of itself that it is not to be translated."""
    for attribute in _ATTRIBUTE.finditer(text, token.start, token.end):
        value = (attribute[2] or attribute[3] or attribute[4] or "").lower()
        if value == "no" if attribute[1].lower() == "translate" else "notranslate" in value.split():
            return True
    return False


def _mark(text: str, token: Token) -> Mark:
    where = token.start, token.end
    if token.kind == "close":
        return Mark("close", token.name, where)
    is_empty = token.name in VOID or text.endswith("/>", *where)
    return Mark("empty" if is_empty else "open", token.name, where, is_said=token.name in SAID)


def _balanced(run: list[_Part]) -> Iterator[list[_Part]]:
    """The run, cut at tags whose partners lie outside it: they must stay between the same sentences."""
    opened: list[int] = []
    alone: set[int] = set()
    for place, part in enumerate(run):
        if isinstance(part.piece, str) or part.piece.kind == "empty":
            continue
        if part.piece.kind == "open":
            opened.append(place)
        elif opened and run[opened[-1]].piece.name == part.piece.name:  # type: ignore[union-attr]
            opened.pop()
        else:
            alone.add(place)
    alone.update(opened)
    part_run: list[_Part] = []
    for place, part in enumerate(run):
        if place in alone:
            yield part_run
            part_run = []
        else:
            part_run.append(part)
    yield part_run


def _slot(text: str, run: list[_Part], lines: Lines, space: str, attributes: _Attributes) -> Slot | None:
    """`space`: how a space that does not break is written. Tags are written with their attributes as they then are."""
    parts = _merged(run)
    inline = Inline(_shown(part.piece) if isinstance(part.piece, str) else part.piece for part in parts)
    if not inline.has_words:
        return None
    core = parts[inline.start : inline.end]
    start, end = core[0].start, core[-1].end
    begins, ends = isinstance(core[0].piece, str), isinstance(core[-1].piece, str)
    first, last = _inner(text, start, core[0].end)[0], _inner(text, core[-1].start, end)[1]
    leading, trailing = text[start:first] if begins else "", text[last:end] if ends else ""
    unit = inline.unit(lines.at(start + len(leading)))

    def render(translation: str) -> str | None:
        read = inline.read(translation)
        if not read:
            return None
        if begins and isinstance(read[0], str):
            read[0] = read[0].lstrip()
        if ends and isinstance(read[-1], str):
            read[-1] = read[-1].rstrip()
        written = "".join(
            _escaped(piece, space) if isinstance(piece, str) else attributes.part(*piece.content) for piece in read
        )
        return f"{leading}{written}{trailing}"

    return Slot(unit, start, end, render)


def _shown(text: str) -> str:
    """A text of the page as it is shown."""
    return re.sub(r"[ \t\r\n\f]+", " ", html.unescape(text))


def _inner(text: str, start: int, end: int) -> tuple[int, int]:
    """The part of a piece between the white space around it, which may be written as character references."""
    while start < end:
        if text[start].isspace():
            start += 1
        elif space := next((space for space in _SPACES if text.startswith(space, start, end)), None):
            start += len(space)
        else:
            break
    while end > start:
        if text[end - 1].isspace():
            end -= 1
        elif space := next((space for space in _SPACES if text.endswith(space, start, end)), None):
            end -= len(space)
        else:
            break
    return start, end


def _merged(parts: Sequence[_Part]) -> list[_Part]:
    """Neighbouring texts as one, as `Inline` has them."""
    merged: list[_Part] = []
    for part in parts:
        if merged and isinstance(part.piece, str) and isinstance(merged[-1].piece, str):
            merged[-1] = _Part(merged[-1].piece + part.piece, merged[-1].start, part.end)
        else:
            merged.append(part)
    return merged


def _escaped(text: str, space: str) -> str:
    return html.escape(text, quote=False).replace("\xa0", space)

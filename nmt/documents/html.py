"""HTML: a unit a run of text and inline elements between two others. Every byte outside of these is written as it was.

Read by the letter of the page, not as a tree: what is malformed stays malformed.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from nmt.documents.base import Languages, Limits, Lines, Slot, TextDocument, check_pieces, check_units
from nmt.documents.encoding import decode, marked
from nmt.documents.inline import Inline, Mark, Piece

# fmt: off
INLINE = frozenset({
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "data", "del", "dfn", "em", "font", "i", "ins", "label",
    "mark", "nobr", "q", "rp", "rt", "ruby", "s", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u",
})
"""Elements that a sentence reaches across; any other ends it."""
INLINE_VOID = frozenset({"img", "input", "wbr"})
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
# fmt: on

Kind = Literal["text", "open", "close", "other"]

_NAME = re.compile(r"</?([A-Za-z][^\s/>]*)")
_QUOTE_OR_END = re.compile(r"[>\"']")
_CHARSET = re.compile(rb"""<meta\s[^>]{0,300}?charset\s*=\s*["']?\s*([A-Za-z0-9._:-]+)""", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"""<\?xml\s[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._:-]+)""")
_ATTRIBUTE = re.compile(r"""\s(translate|class)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
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
    for run in _runs(text, tokens, partners):
        slot = _slot(text, run, lines, "&#160;" if is_xhtml else "&nbsp;")
        if slot is not None:
            slots.append(slot)
            check_units(len(slots), limits)
    return TextDocument(text, coding, slots, escape=lambda character: f"&#{ord(character)};")


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
            run.append(_Part(Mark("empty", token.name, text[token.start : end]), token.start, end))
        elif token.kind != "other" and (token.name in INLINE or token.name in INLINE_VOID):
            run.append(_Part(_mark(text, token), token.start, token.end))
        elif run and not (token.kind == "other" and text.startswith("<!--", token.start)):
            yield from _balanced(run)
            run = []
        elif run:  # a comment inside a sentence
            run.append(_Part(Mark("empty", "!", text[token.start : token.end]), token.start, token.end))
        place = place + 1 if skip_to is None else skip_to + 1
    yield from _balanced(run)


def _kept_until(text: str, tokens: Sequence[Token], partners: dict[int, int], place: int) -> int | None:
    """Index of the token that ends an element which is not translated; None where this one begins none."""
    token = tokens[place]
    if token.kind != "open" or place not in partners:
        return None
    if token.name in KEPT:
        return partners[place]
    for attribute in _ATTRIBUTE.finditer(text, token.start, token.end):
        value = (attribute[2] or attribute[3] or attribute[4] or "").lower()
        if value == "no" if attribute[1].lower() == "translate" else "notranslate" in value.split():
            return partners[place]
    return None


def _mark(text: str, token: Token) -> Mark:
    written = text[token.start : token.end]
    if token.kind == "close":
        return Mark("close", token.name, written)
    is_empty = token.name in VOID or written.endswith("/>")
    return Mark("empty" if is_empty else "open", token.name, written)


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


def _slot(text: str, run: list[_Part], lines: Lines, space: str) -> Slot | None:
    """`space`: how a space that does not break is written."""
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
        written = "".join(_escaped(piece, space) if isinstance(piece, str) else piece.content for piece in read)
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

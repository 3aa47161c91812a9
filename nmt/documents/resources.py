"""Texts of programs, a language a file: JSON, Java properties, Apple strings. Values are translated, keys are not.

Everything but translated values is written byte for byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from nmt.documents.base import Languages, Limits, Lines, Slot, TextDocument, check_pieces, check_units
from nmt.documents.encoding import Coding, decode, marked
from nmt.documents.tags import tagged
from nmt.errors import DocumentError

_JSON_STRING = re.compile(r'"((?:[^"\\\x00-\x1f]|\\.)*+)"([ \t\r\n]*+:)?')
_GAP = r"(?:\s|/\*.*?\*/|//[^\r\n]*+)*+"
_STRINGS = re.compile(
    rf"""(?P<comment>/\*.*?(?:\*/|\Z)|//[^\r\n]*)
    |(?P<key>"(?:[^"\\]|\\.)*+"|[\w.-]++){_GAP}={_GAP}"(?P<value>(?:[^"\\]|\\.)*+)"{_GAP}(?:;|\Z)
    |(?P<space>\s++)""",
    re.VERBOSE | re.DOTALL,
)
_PROPERTY = re.compile(
    r"""[ \t\f]*+(?P<key>(?:[^\\:= \t\f\r\n]|\\(?:.|\Z))*+)(?:[ \t\f]*+[:=][ \t\f]*+|[ \t\f]++|(?=[\r\n]|\Z))
    (?P<value>(?:[^\\\r\n]|\\(?:\r\n|.|\Z))*+)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\[uU][0-9A-Fa-f]{4}")
_PAIRS = re.compile("[\ud800-\udbff][\udc00-\udfff]")


class Write(Protocol):
    """How a value is written in a format."""

    def __call__(self, value: str, *, escapes: bool) -> str:
        """`escapes`: with letters outside of ASCII as escapes."""
        ...


Found = Iterator[tuple[int, int, str]]
"""Start and end of a value as it is written, and what it says."""


def read_json(data: bytes, _: Languages, limits: Limits) -> TextDocument:
    """Every string that is no key is a unit. Raises DocumentError for what is no JSON."""
    text, coding = decode(data)
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        place = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise DocumentError("not JSON", place=place) from None

    def found() -> Found:
        for match in _JSON_STRING.finditer(text):
            if match[2] is None:
                yield match.start(1), match.end(1), json.loads(f'"{match[1]}"')

    def write(value: str, *, escapes: bool) -> str:
        return json.dumps(value, ensure_ascii=escapes)[1:-1]

    return _document(text, coding, found(), limits, write)


def read_properties(data: bytes, _: Languages, limits: Limits) -> TextDocument:
    """Java's format: UTF-8 where the bytes are that, else ISO 8859-1. What was ASCII stays so, by escapes."""
    try:
        text, coding = decode(data)
    except DocumentError:
        if marked(data) or b"\x00" in data:
            raise
        text, coding = decode(data, "iso-8859-1")
    is_ascii = text.isascii() or coding.name != "utf-8"

    def found() -> Found:
        place = 0
        while place < len(text):
            blank = re.compile(r"[ \t\f]*+(?:[#!][^\r\n]*+)?(?:\r\n|\r|\n|\Z)").match(text, place)
            if blank:
                place = blank.end() if blank.end() > place else len(text)
                continue
            match = _PROPERTY.match(text, place)
            assert match is not None, "anything is a key"
            yield (
                match.start("value"),
                match.end("value"),
                _said(re.sub(r"\\(?:\r\n|\r|\n)[ \t\f]*", "", match["value"])),
            )
            end = re.compile(r"\r\n|\r|\n|\Z").match(text, match.end())
            place = match.end() if end is None else max(end.end(), match.end() + (match.end() == place))

    def write(value: str, *, escapes: bool) -> str:
        escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
        escaped = f"\\{escaped}" if escaped.startswith(" ") else escaped
        return "".join(_escaped(c, "u") for c in escaped) if escapes or is_ascii else escaped

    return _document(text, coding, found(), limits, write)


def read_strings(data: bytes, _: Languages, limits: Limits) -> TextDocument:
    """Apple's format. Raises DocumentError for a line that is none of its."""
    text, coding = decode(data)

    def found() -> Found:
        place = 0
        while place < len(text):
            match = _STRINGS.match(text, place)
            if match is None:
                raise DocumentError("not a strings file", place=f"line {text.count(chr(10), 0, place) + 1}")
            if match["key"]:
                yield match.start("value"), match.end("value"), _said(match["value"])
            place = match.end()

    def write(value: str, *, escapes: bool) -> str:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
        return "".join(_escaped(c, "U") for c in escaped) if escapes else escaped

    return _document(text, coding, found(), limits, write)


def _document(text: str, coding: Coding, found: Found, limits: Limits, write: Write) -> TextDocument:
    check_pieces(text, limits)
    lines = Lines(text)
    slots: list[Slot] = []
    has_escapes = text.isascii() and _ESCAPED.search(text) is not None
    for start, end, value in found:
        unit = tagged(value, lines.at(start))
        if unit is None:
            continue

        written = text[start:end]
        escapes = has_escapes or (written.isascii() and _ESCAPED.search(written) is not None)
        slots.append(Slot(unit.unit, start, end, partial(_rendered, unit.render, partial(write, escapes=escapes))))
        check_units(len(slots), limits)
    return TextDocument(text, coding, slots)


def _rendered(read: Callable[[str], str | None], write: Callable[[str], str], translation: str) -> str | None:
    said = read(translation)
    return None if not said or not said.strip() else write(said)


def _said(value: str) -> str:
    """What a value says, its escapes resolved."""
    letters = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}
    plain = re.sub(
        r"\\(?:[uU]([0-9A-Fa-f]{4})|(.)|\Z)",
        lambda m: chr(int(m[1], 16)) if m[1] else letters.get(m[2], m[2] or ""),
        value,
    )
    joined = _PAIRS.sub(lambda m: m[0].encode("utf-16", "surrogatepass").decode("utf-16"), plain)
    return joined.encode("utf-8", "replace").decode()  # half a pair is no character


def _escaped(character: str, letter: str) -> str:
    if character.isascii():
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\{letter}{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2))

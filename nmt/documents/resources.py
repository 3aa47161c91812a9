"""Texts of programs, a language a file: JSON, Java properties, Apple strings. Values are translated, keys are not.

Everything but translated values is written byte for byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from nmt.documents.base import Languages, Limits, Lines, Slot, TextDocument, check_pieces, check_units
from nmt.documents.encoding import Coding, decode, marked
from nmt.documents.tags import tagged
from nmt.errors import DocumentError

_JSON_STRING = re.compile(r'"((?:[^"\\\x00-\x1f]|\\.)*+)"([ \t\r\n]*+:)?')
_STRINGS = re.compile(
    r"""(?P<comment>/\*.*?(?:\*/|\Z)|//[^\r\n]*)
    |(?P<key>"(?:[^"\\]|\\.)*+"|[\w.-]++)\s*+=\s*+"(?P<value>(?:[^"\\]|\\.)*+)"\s*+;
    |(?P<space>\s++)""",
    re.VERBOSE | re.DOTALL,
)
_PROPERTY = re.compile(
    r"""[ \t\f]*+(?P<key>(?:[^\\:=\s]|\\.)++)(?:[ \t\f]*+[:=][ \t\f]*+|[ \t\f]++|(?=[\r\n]|\Z))
    (?P<value>(?:[^\\\r\n]|\\\r\n|\\.)*+)""",
    re.VERBOSE | re.DOTALL,
)
_PAIRS = re.compile("[\ud800-\udbff][\udc00-\udfff]")

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
    is_ascii = text.isascii() and "\\u" in text

    def found() -> Found:
        for match in _JSON_STRING.finditer(text):
            if match[2] is None:
                yield match.start(1), match.end(1), json.loads(f'"{match[1]}"')

    return _document(text, coding, found(), limits, lambda value: json.dumps(value, ensure_ascii=is_ascii)[1:-1])


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
            if match is None:
                raise DocumentError("not a properties file", place=f"line {text.count(chr(10), 0, place) + 1}")
            yield (
                match.start("value"),
                match.end("value"),
                _said(re.sub(r"\\(?:\r\n|\r|\n)[ \t\f]*", "", match["value"])),
            )
            end = re.compile(r"\r\n|\r|\n|\Z").match(text, match.end())
            place = match.end() if end is None else max(end.end(), match.end() + (match.end() == place))

    def write(value: str) -> str:
        escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
        escaped = f"\\{escaped}" if escaped.startswith(" ") else escaped
        return "".join(_escaped(c) for c in escaped) if is_ascii else escaped

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

    def write(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")

    return _document(text, coding, found(), limits, write)


def _document(text: str, coding: Coding, found: Found, limits: Limits, write: Callable[[str], str]) -> TextDocument:
    check_pieces(text, limits)
    lines = Lines(text)
    slots: list[Slot] = []
    for start, end, value in found:
        unit = tagged(value, lines.at(start))
        if unit is None:
            continue

        def render(translation: str, read: Callable[[str], str | None] = unit.render) -> str | None:
            said = read(translation)
            return None if not said or not said.strip() else write(said)

        slots.append(Slot(unit.unit, start, end, render))
        check_units(len(slots), limits)
    return TextDocument(text, coding, slots)


def _said(value: str) -> str:
    """What a value says, its escapes resolved."""
    letters = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}
    plain = re.sub(
        r"\\(?:[uU]([0-9A-Fa-f]{4})|(.))", lambda m: chr(int(m[1], 16)) if m[1] else letters.get(m[2], m[2]), value
    )
    joined = _PAIRS.sub(lambda m: m[0].encode("utf-16", "surrogatepass").decode("utf-16"), plain)
    return joined.encode("utf-8", "replace").decode()  # half a pair is no character


def _escaped(character: str) -> str:
    if character.isascii():
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2))

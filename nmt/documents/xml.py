"""XML, read so that it can do no harm and written so that what was not touched says the same.

No entity of the document's own is accepted (a small file could grow to gigabytes), nothing is fetched, and elements lie
at most 256 deep. The declaration, the encoding and the line ends are written as they were; quotation marks around
attributes and blanks inside tags may change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

from nmt.documents.base import Limits, check_pieces
from nmt.documents.encoding import decode, marked
from nmt.documents.inline import Piece
from nmt.errors import DocumentError, DocumentTooLarge

Element = Any
"""lxml's, which has no types."""

_DECLARATION = re.compile(r"\ufeff?<\?xml\s[^>]*?\?>\s*")
_ENCODING = re.compile(rb"""<\?xml\s[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._:-]+)""")


class XmlDocument:
    """A tree, and how its file was written."""

    def __init__(self, data: bytes, limits: Limits, name: str = "") -> None:
        """`name`: of a file in a package, for errors. Raises DocumentError."""
        if len(data) > limits.max_xml_bytes:
            raise DocumentTooLarge(f"more than {limits.max_xml_bytes:,} bytes of XML", place=name)
        found = None if marked(data) else _ENCODING.match(data)
        declared = None if found is None else found[1].decode("ascii")
        text, self._coding = decode(data, "utf-8" if declared and declared.lower() == "utf-16" else declared)
        check_pieces(text, limits)
        head = _DECLARATION.match(text)
        self._head = head[0] if head else ""
        body = text[len(self._head) :]
        stripped = body.rstrip()
        self._tail = body[len(stripped) :]
        self._has_crlf = "\r\n" in text
        if "<!ENTITY" in stripped and "<!DOCTYPE" in stripped:
            line = text.count("\n", 0, text.index("<!ENTITY")) + 1
            raise DocumentError("declares an XML entity: remove the declaration", place=_place(name, line))
        parser = etree.XMLParser(
            encoding="utf-8",
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            strip_cdata=False,
            huge_tree=False,
        )
        try:
            self.root: Element = etree.fromstring(stripped.encode("utf-8"), parser)
        except etree.XMLSyntaxError as error:
            line = (error.lineno or 1) + self._head.count("\n")
            raise DocumentError(f"not well-formed XML: {error.msg[:150]}", place=_place(name, line)) from None
        self._lines_before = self._head.count("\n")

    def place(self, element: Element) -> str:
        """The line of an element, in words."""
        return f"line {(element.sourceline or 1) + self._lines_before}"

    def write(self) -> bytes:
        """The file. A character that its encoding has not becomes a reference."""
        body = etree.tostring(self.root.getroottree(), encoding="unicode")
        text = f"{self._head.lstrip(chr(0xFEFF))}{body}"
        if self._has_crlf:
            text = re.sub(r"\r?\n", "\r\n", text)
        return self._coding.encode(text + self._tail, lambda character: f"&#{ord(character)};")


def _place(name: str, line: int) -> str:
    return f"{name}, line {line}" if name else f"line {line}"


def local(element: Element) -> str:
    """An element's name without its namespace; empty for comments and processing instructions."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def namespace(element: Element) -> str:
    """An element's namespace with its braces, to put before names; empty where it has none."""
    return element.tag[: element.tag.index("}") + 1] if element.tag.startswith("{") else ""


def children(element: Element, name: str) -> list[Element]:
    """Children of that name, whatever their namespace."""
    return [child for child in element if local(child) == name]


def child(element: Element, name: str) -> Element | None:
    """The first child of that name."""
    return next(iter(children(element, name)), None)


def append_text(element: Element, text: str) -> None:
    """Text behind everything that is in an element."""
    if not text:
        return
    last = next(element.iterchildren(reversed=True), None)
    if last is not None:
        last.tail = (last.tail or "") + text
    else:
        element.text = (element.text or "") + text


def clear_content(element: Element) -> None:
    """Remove all that is in an element; its attributes and what follows it stay."""
    for inner in list(element):
        element.remove(inner)
    element.text = None


def texts_of(element: Element) -> Iterator[str]:
    """All text in an element."""
    for text in element.itertext(with_tail=False):
        yield str(text)


def legal(pieces: list[Piece]) -> list[Piece]:
    """Without characters that XML cannot hold."""
    return [_legal(piece) if isinstance(piece, str) else piece for piece in pieces]


def _legal(text: str) -> str:
    return re.sub(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)

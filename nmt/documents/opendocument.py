"""OpenDocument texts and presentations: a unit a paragraph, or a piece of one between tabs and line breaks.

Of body, tables, frames, notes, headers and footers. Comments and deleted text stay as they are, as does every other
part of the package.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from nmt.documents.base import Languages, Limits
from nmt.documents.inline import Kind, Piece
from nmt.documents.package import Package
from nmt.documents.runs import Atom, PackageDocument, TextPart
from nmt.documents.xml import Element, XmlDocument, append_text, clear_content, local
from nmt.errors import DocumentError

PARTS = ("content.xml", "styles.xml")
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
_PARAGRAPHS = (f"{_TEXT}p", f"{_TEXT}h")
_CONTAINERS = frozenset({"span", "a", "meta"})
_SEPARATORS = frozenset({"tab", "line-break"})
_END = re.compile(
    r"(annotation|(?:bookmark|reference-mark|change|toc-mark|alphabetical-index-mark|user-index-mark)(?=-))(-start|-end)?"
)
"""What has a beginning and an end; a comment's beginning is the comment."""
_KEYS = (f"{_TEXT}name", f"{_OFFICE}name", f"{_TEXT}change-id", f"{_TEXT}id")
"""Attributes that name both."""
_SILENT = re.compile(rf"{_END.pattern}|bookmark|reference-mark|change|[a-z-]+-mark|note|s")
_KEPT = frozenset({"tracked-changes", "annotation"})
"""What lies in these is not translated."""


def read_opendocument(data: bytes, _: Languages, limits: Limits) -> PackageDocument:
    """Reads an .odt or .odp. Raises DocumentError for another package."""
    package = Package(data, limits, "OpenDocument")
    if not package.files.get("mimetype", b"").startswith(b"application/vnd.oasis.opendocument."):
        raise DocumentError("not an OpenDocument file: it does not say what it is")
    if b"encryption-data" in package.files.get("META-INF/manifest.xml", b""):
        raise DocumentError("protected by a password: save it without one")
    if PARTS[0] not in package.files:
        raise DocumentError(f"not an OpenDocument file: no {PARTS[0]} in it")
    parts = []
    unseen: dict[Element, frozenset[str]] = {}
    for name in PARTS:
        if name in package.files:
            xml = XmlDocument(package.files[name], limits, name)
            unseen[xml.root] = frozenset(_unseen_styles(xml.root))
            parts.append(TextPart(name, xml, list(_paragraphs(xml.root))))
    return PackageDocument(package, parts, OpenText(unseen), limits)


def _paragraphs(root: Element) -> Iterator[Element]:
    for element in root.iter(*_PARAGRAPHS):
        if not any(local(holder) in _KEPT for holder in element.iterancestors()):
            yield element


def _unseen_styles(root: Element) -> set[str]:
    """Names of styles of text that only note when something was changed, as LibreOffice makes them."""
    names = set()
    for style in root.iter(f"{_STYLE}style"):
        properties = list(style)
        is_parentless = style.get(f"{_STYLE}family") == "text" and not style.get(f"{_STYLE}parent-style-name")
        attributes = [name for element in properties for name in element.attrib]
        if is_parentless and all(name.endswith("rsid") for name in attributes) and not any(map(len, properties)):
            names.add(style.get(f"{_STYLE}name", ""))
    return names


class OpenText:
    """The `Dialect` of OpenDocument: text lies in paragraphs and spans themselves."""

    def __init__(self, unseen: Mapping[Element, frozenset[str]]) -> None:
        """`unseen`: styles that change nothing that is seen, by the root of the part whose they are."""
        self._unseen = unseen

    def atoms(self, paragraph: Element) -> list[Atom]:
        """See `Dialect`."""
        return list(_atoms(paragraph, self._unseen[paragraph.getroottree().getroot()]))

    def inner(self, container: Element) -> Element:
        """See `Dialect`."""
        return container

    def empty(self, holder: Element) -> None:
        """See `Dialect`."""
        clear_content(holder)

    def look(self, run: Element | None) -> str:
        """See `Dialect`: formatting is containers."""
        return ""

    def size(self, run: Element | None) -> int:
        """See `Dialect`."""
        return 0

    def put_text(self, holder: Element, text: str, like: Element | None) -> None:
        """See `Dialect`."""
        append_text(holder, re.sub(r"\s*[\r\n\t]\s*", " ", text))

    def put_part(self, holder: Element, part: Element, like: Element) -> None:
        """See `Dialect`: there are no runs."""
        raise AssertionError("unreachable")

    def is_said(self, thing: Atom) -> bool:
        """See `Dialect`. Of frames those that stand in the line."""
        anchor = thing.element.get(f"{_TEXT}anchor-type", "as-char")
        return anchor == "as-char" and not _SILENT.fullmatch(local(thing.element))

    def pair(self, thing: Atom) -> tuple[Kind, str]:
        """See `Dialect`."""
        end = _END.fullmatch(local(thing.element))
        key = next((value for name in _KEYS if (value := thing.element.get(name))), "")
        if end is None or not key:
            return "empty", ""
        return "close" if end[2] == "-end" else "open", f"={end[1]} {key}"

    def order(self, pieces: Sequence[Piece]) -> Sequence[int]:
        """See `Dialect`."""
        return ()


def _atoms(holder: Element, unseen: frozenset[str]) -> Iterator[Atom]:
    yield from _text(holder.text)
    for element in holder:
        name = local(element)
        if name == "span" and element.get(f"{_TEXT}style-name") in unseen:
            yield from _atoms(element, unseen)
        elif name in _CONTAINERS:
            yield Atom("open", element)
            yield from _atoms(element, unseen)
            yield Atom("close", element)
        elif name and name != "soft-page-break":
            yield Atom("separator" if name in _SEPARATORS else "thing", element)
        yield from _text(element.tail)


def _text(text: str | None) -> Iterator[Atom]:
    if text:
        yield Atom("text", None, re.sub(r"[ \t\r\n]+", " ", text))

"""Electronic books: every page as HTML, and the table of contents. All else of the package is written as it was."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import unquote

from nmt.documents.base import Document, Languages, Limits, Unit, check_units
from nmt.documents.html import read_html
from nmt.documents.inline import Inline
from nmt.documents.package import Package
from nmt.documents.xml import Element, XmlDocument, local
from nmt.errors import DocumentError

CONTAINER = "META-INF/container.xml"
_PAGES = ("application/xhtml+xml", "text/html")
_CONTENTS = "application/x-dtbncx+xml"


def read_epub(data: bytes, languages: Languages, limits: Limits) -> Book:
    """Reads EPUB 2 and 3. Raises DocumentError for another package, and for a book that is locked."""
    package = Package(data, limits, "EPUB")
    if CONTAINER not in package.files:
        raise DocumentError(f"not an EPUB file: no {CONTAINER} in it")
    if "META-INF/rights.xml" in package.files:
        raise DocumentError("protected against copying: it cannot be read")
    documents: dict[str, Document] = {}
    for root in _named(package, limits, CONTAINER, "rootfile", "full-path", base=""):
        items = XmlDocument(_file(package, root), limits, root).root.iter("{*}item")
        for item in items:
            name = posixpath.normpath(posixpath.join(posixpath.dirname(root), unquote(item.get("href", ""))))
            kind = item.get("media-type", "").lower()
            if name in package.files and name not in documents and kind in (*_PAGES, _CONTENTS):
                read = _read_contents if kind == _CONTENTS else read_html
                documents[name] = read(package.files[name], languages, limits)
    if not documents:
        raise DocumentError("not an EPUB file: it has no pages")
    return Book(package, documents, limits)


def _named(package: Package, limits: Limits, name: str, tag: str, attribute: str, base: str) -> list[str]:
    root = XmlDocument(_file(package, name), limits, name).root
    return [posixpath.join(base, found) for element in root.iter(f"{{*}}{tag}") if (found := element.get(attribute))]


def _file(package: Package, name: str) -> bytes:
    if name not in package.files:
        raise DocumentError(f"not an EPUB file: {name} is missing")
    return package.files[name]


class Book:
    """A `Document` made of others."""

    def __init__(self, package: Package, documents: dict[str, Document], limits: Limits) -> None:
        self._package = package
        self._documents = documents
        self._owners = [(document, i) for document in documents.values() for i in range(len(document.units))]
        self.units = [
            replace(unit, place=f"{name}, {unit.place}")
            for name, document in documents.items()
            for unit in document.units
        ]
        check_units(len(self.units), limits)

    def accepts(self, index: int, translation: str) -> bool:
        """See `Document`."""
        document, own = self._owners[index]
        return document.accepts(own, translation)

    def write(self, translations: Sequence[str | None]) -> bytes:
        """See `Document`."""
        place = 0
        written: dict[str, bytes] = {}
        for name, document in self._documents.items():
            given = translations[place : place + len(document.units)]
            place += len(document.units)
            changes = (t not in (None, unit.text) for t, unit in zip(given, document.units, strict=True))
            if any(changes):
                written[name] = document.write(given)
        return self._package.write(written)


def _read_contents(data: bytes, _: Languages, limits: Limits) -> Contents:
    return Contents(XmlDocument(data, limits))


class Contents:
    """A `Document`: the table of contents of EPUB 2 (NCX), whose entries are plain texts."""

    def __init__(self, xml: XmlDocument) -> None:
        self._xml = xml
        self._elements: list[Element] = []
        self.units: list[Unit] = []
        for element in xml.root.iter("{*}text"):
            inline = Inline([element.text or ""])
            if local(element) == "text" and inline.has_words and not len(element):
                self._elements.append(element)
                self.units.append(inline.unit(xml.place(element)))

    def accepts(self, index: int, translation: str) -> bool:
        """See `Document`."""
        return bool(translation.strip())

    def write(self, translations: Sequence[str | None]) -> bytes:
        """See `Document`."""
        for element, translation in zip(self._elements, translations, strict=True):
            if translation is not None:
                element.text = translation
        return self._xml.write()

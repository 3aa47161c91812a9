"""PowerPoint presentations: a unit a paragraph of a slide or of its notes, or a piece of one between line breaks.

Layouts, diagrams and charts stay as they are, as does every other part of the package.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from copy import deepcopy

from lxml import etree

from nmt.documents.base import Languages, Limits
from nmt.documents.docx import CONTENT_TYPES
from nmt.documents.inline import Kind, Piece
from nmt.documents.package import Package
from nmt.documents.runs import Atom, PackageDocument, TextPart
from nmt.documents.xml import Element, XmlDocument, child, local, namespace
from nmt.errors import DocumentError

_TEXT_PART = re.compile(
    r"application/vnd\.openxmlformats-officedocument\.presentationml\.(?:slide|notesSlide)\+xml", re.IGNORECASE
)
_UNSEEN = frozenset({"lang", "altLang", "dirty", "err", "noProof", "smtClean", "smtId", "bmk"})
"""Attributes of formatting that nobody sees."""


def read_pptx(data: bytes, _: Languages, limits: Limits) -> PackageDocument:
    """Reads a presentation. Raises DocumentError for another package."""
    package = Package(data, limits, "PowerPoint")
    if CONTENT_TYPES not in package.files:
        raise DocumentError("not a PowerPoint file: no list of its parts in it")
    types = XmlDocument(package.files[CONTENT_TYPES], limits, CONTENT_TYPES)
    if not any("presentationml" in element.get("ContentType", "") for element in types.root):
        raise DocumentError("not a PowerPoint file: it has no presentation")
    found = (element for element in types.root if _TEXT_PART.fullmatch(element.get("ContentType", "")))
    parts = []
    for name in dict.fromkeys(element.get("PartName", "").removeprefix("/") for element in found):
        if name in package.files:
            xml = XmlDocument(package.files[name], limits, name)
            paragraphs = [p for p in xml.root.iter("{*}p") if namespace(p).endswith("drawingml/2006/main}")]
            parts.append(TextPart(name, xml, paragraphs))
    return PackageDocument(package, parts, Slides(), limits)


class Slides:
    """DrawingML: the `Dialect` of PowerPoint."""

    def atoms(self, paragraph: Element) -> list[Atom]:
        """See `Dialect`."""
        return list(_atoms(paragraph))

    def inner(self, container: Element) -> Element:
        """See `Dialect`: there are no containers."""
        raise AssertionError("unreachable")

    def empty(self, holder: Element) -> None:
        """See `Dialect`: properties stay."""
        for element in list(holder):
            if local(element) == "pPr":
                element.tail = None
            else:
                holder.remove(element)
        holder.text = None

    def look(self, run: Element | None) -> str:
        """See `Dialect`."""
        properties = None if run is None else child(run, "rPr")
        if properties is None:
            return ""
        attributes = sorted(f"{name}={value}" for name, value in properties.attrib.items() if name not in _UNSEEN)
        inner = "".join(etree.tostring(element, method="c14n", with_tail=False).decode() for element in properties)
        return f"{' '.join(attributes)}{inner}"

    def size(self, run: Element | None) -> int:
        """See `Dialect`."""
        properties = None if run is None else child(run, "rPr")
        return 0 if properties is None else sum(1 for _ in properties.iter())

    def put_text(self, holder: Element, text: str, like: Element | None) -> None:
        """See `Dialect`."""
        run = etree.SubElement(holder, f"{namespace(holder)}r")
        properties = None if like is None else child(like, "rPr")
        if properties is not None:
            copy = deepcopy(properties)
            copy.tail = None
            run.append(copy)
        etree.SubElement(run, f"{namespace(holder)}t").text = re.sub(r"\s*[\r\n\t]\s*", " ", text)

    def put_part(self, holder: Element, part: Element, like: Element) -> None:
        """See `Dialect`: a run is all text."""
        raise AssertionError("unreachable")

    def is_said(self, thing: Atom) -> bool:
        """See `Dialect`: fields and formulas."""
        return True

    def pair(self, thing: Atom) -> tuple[Kind, str]:
        """See `Dialect`."""
        return "empty", ""

    def order(self, pieces: Sequence[Piece]) -> Sequence[int]:
        """See `Dialect`."""
        return ()


def _atoms(paragraph: Element) -> Iterator[Atom]:
    for element in paragraph:
        name = local(element)
        if name == "r":
            text = child(element, "t")
            yield Atom("text", element, re.sub(r"[\r\n]+", " ", "" if text is None else text.text or ""))
        elif name in ("br", "endParaRPr"):  # the latter must stay the last
            yield Atom("separator", element)
        elif name and name != "pPr":
            yield Atom("thing", element)

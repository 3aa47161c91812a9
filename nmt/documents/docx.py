"""Word documents: a unit a paragraph, or a piece of one between tabs and line breaks.

Of body, tables, text boxes, headers, footers, footnotes and endnotes. Formatting, links and what else lies inside a
paragraph become codes in its unit and follow their words; every other part of the package is written as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from copy import deepcopy

from lxml import etree

from nmt.documents.base import Languages, Limits
from nmt.documents.inline import Kind, Piece
from nmt.documents.package import Package
from nmt.documents.runs import Atom, PackageDocument, TextPart, atoms_of
from nmt.documents.xml import Element, XmlDocument, child, local, namespace
from nmt.errors import DocumentError

CONTENT_TYPES = "[Content_Types].xml"
_TEXT_PART = re.compile(
    r"application/vnd\.(?:openxmlformats-officedocument\.wordprocessingml|ms-word)\."
    r"(?:(?:document|template)(?:\.macroEnabled\w*)?\.main|header|footer|footnotes|endnotes)\+xml",
    re.IGNORECASE,
)
_SPACE = "{http://www.w3.org/XML/1998/namespace}space"
_CONTAINERS = frozenset({"hyperlink", "smartTag", "ins", "moveTo", "sdt", "customXml", "fldSimple", "dir", "bdo"})
_GONE = frozenset({"del", "moveFrom"})
_DROPPED = frozenset({"proofErr", "lastRenderedPageBreak", "softHyphen"})
"""A program's notes to itself about words that are no longer there."""
_SEPARATORS = frozenset({"tab", "ptab", "br", "cr"})
_CONTROLS = frozenset(
    {"bibliography", "checkbox", "citation", "comboBox", "date", "docPartList", "dropDownList", "picture"}
)
"""Content controls whose text is no sentence."""
_END = re.compile(r"(bookmark|commentRange|moveFromRange|moveToRange|perm|customXml\w+Range)(Start|End)")
_UNSAID = re.compile(rf"{_END.pattern}|\w+(?:Reference|Ref)|del|moveFrom|rPr|")
_UNSAID_FIELD = re.compile(r"\s*(?:XE|TC|TA|RD)\b", re.IGNORECASE)
"""Entries of an index or a table, which show nothing where they stand."""
_UNSEEN = frozenset({"lang", "noProof", "rPrChange"})
"""Formatting that nobody sees."""


def read_docx(data: bytes, _: Languages, limits: Limits) -> PackageDocument:
    """Reads a document or a template. Raises DocumentError for another package."""
    package = Package(data, limits, "Word")
    parts = []
    for name in _part_names(package, limits):
        xml = XmlDocument(package.files[name], limits, name)
        parts.append(TextPart(name, xml, list(_paragraphs(xml.root))))
    return PackageDocument(package, parts, Word(), limits)


def _paragraphs(root: Element) -> Iterator[Element]:
    """Those that are translated: not what is deleted, and not the content of a control such as a date."""
    for paragraph in root.iter(f"{namespace(root)}p"):
        if not any(local(holder) in _GONE or _is_control(holder) for holder in paragraph.iterancestors()):
            yield paragraph


def _part_names(package: Package, limits: Limits) -> list[str]:
    """The parts with text, in the order in which the package names them."""
    if CONTENT_TYPES not in package.files:
        raise DocumentError("not a Word file: no list of its parts in it")
    types = XmlDocument(package.files[CONTENT_TYPES], limits, CONTENT_TYPES)
    parts = (element for element in types.root if _TEXT_PART.fullmatch(element.get("ContentType", "")))
    named = (element.get("PartName", "").removeprefix("/") for element in parts)
    found = [name for name in dict.fromkeys(named) if name in package.files]
    if not found:
        raise DocumentError("not a Word file: it has no document part")
    return found


class Word:
    """WordprocessingML: the `Dialect` of Word."""

    def atoms(self, paragraph: Element) -> list[Atom]:
        """See `Dialect`."""
        return _grouped(list(_atoms(paragraph)))

    def inner(self, container: Element) -> Element:
        """See `Dialect`."""
        inner = _inner(container)
        assert inner is not None
        return inner

    def empty(self, holder: Element) -> None:
        """See `Dialect`: properties stay."""
        for element in list(holder):
            if local(element).endswith("Pr"):
                element.tail = None
            else:
                holder.remove(element)
        holder.text = None

    def look(self, run: Element | None) -> str:
        """See `Dialect`."""
        properties = _properties(run)
        if properties is None:
            return ""
        seen = (element for element in properties if local(element) not in _UNSEEN)
        return "".join(etree.tostring(element, method="c14n", with_tail=False).decode() for element in seen)

    def size(self, run: Element | None) -> int:
        """See `Dialect`."""
        properties = _properties(run)
        return 0 if properties is None else sum(1 for _ in properties.iter())

    def put_text(self, holder: Element, text: str, like: Element | None) -> None:
        """See `Dialect`."""
        element = etree.SubElement(_run_like(holder, like), f"{namespace(holder)}t")
        element.text = re.sub(r"\s*[\r\n\t]\s*", " ", text)
        if element.text != element.text.strip():
            element.set(_SPACE, "preserve")

    def put_part(self, holder: Element, part: Element, like: Element) -> None:
        """See `Dialect`."""
        _run_like(holder, like).append(part)

    def is_said(self, thing: Atom) -> bool:
        """See `Dialect`."""
        if thing.parts:
            return not _UNSAID_FIELD.match("".join(map(_instruction, thing.parts)))
        element = thing.element if thing.child is None else thing.child
        return any(_is_said(part) for part in (element if local(element) == "r" else [element]))

    def pair(self, thing: Atom) -> tuple[Kind, str]:
        """See `Dialect`."""
        end = _END.fullmatch(local(thing.element))
        key = _attribute(thing.element, "id")
        if end is None or not key:
            return "empty", ""
        return "open" if end[2] == "Start" else "close", f"={end[1]} {key}"

    def order(self, pieces: Sequence[Piece]) -> Sequence[int]:
        """Beginnings and ends of fields that go on elsewhere: none may end before it begins."""
        return [id(atom.element) for atom in atoms_of(pieces) if not atom.parts and _field_mark(atom)]


def _properties(run: Element | None) -> Element | None:
    """A run's formatting, which is its first child."""
    first = None if run is None else next(iter(run), None)  # len() would count all of its children
    return first if first is not None and local(first) == "rPr" else None


def _is_said(thing: Element) -> bool:
    """Whether an element stands for a word; pictures and boxes do that stand in the line."""
    if _UNSAID.fullmatch(local(thing)):
        return False
    is_floating = next(thing.iter("{*}anchor"), None) is not None
    return not is_floating and not any("position:absolute" in part.get("style", "") for part in thing.iter("{*}shape"))


def _run_like(holder: Element, run: Element | None) -> Element:
    """A new run at the end of a holder, with the formatting of another."""
    new = etree.SubElement(holder, f"{namespace(holder)}r", {} if run is None else dict(run.attrib))
    properties = _properties(run)
    if properties is not None:
        copy = deepcopy(properties)
        copy.tail = None
        new.append(copy)
    return new


def _atoms(parent: Element) -> Iterator[Atom]:
    for element in parent:
        name = local(element)
        if name in _DROPPED or name.endswith("Pr") or not name:
            continue
        if name == "r":
            yield from _atoms_of_run(element)
        elif name in _CONTAINERS and (inner := _inner(element)) is not None:
            yield Atom("open", element)
            yield from _atoms(inner)
            yield Atom("close", element)
        else:
            yield Atom("thing", element)


def _atoms_of_run(run: Element) -> Iterator[Atom]:
    inside = [element for element in run if local(element) not in ("rPr", "", *_DROPPED)]
    if not any(local(element) in ("t", "noBreakHyphen", *_SEPARATORS) for element in inside):
        if inside:
            yield Atom("thing", run)
        return
    for element in inside:
        name = local(element)
        if name == "t":
            yield Atom("text", run, re.sub(r"[\r\n]+", " ", element.text or ""))
        elif name == "noBreakHyphen":
            yield Atom("text", run, "\u2011")
        else:
            yield Atom("separator" if name in _SEPARATORS else "thing", run, child=element)


def _inner(container: Element) -> Element | None:
    """What holds a container's runs; None where they are to be left alone."""
    name = local(container)
    if name == "sdt":
        return None if _is_control(container) else child(container, "sdtContent")
    if name == "fldSimple":
        return container if _is_link(_attribute(container, "instr")) else None
    return container


def _is_control(element: Element) -> bool:
    properties = child(element, "sdtPr") if local(element) == "sdt" else None
    return properties is not None and any(local(inner) in _CONTROLS for inner in properties)


def _attribute(element: Element, name: str) -> str:
    """The value of an attribute in the element's own namespace."""
    return str(element.get(f"{namespace(element)}{name}", ""))


def _is_link(instruction: str) -> bool:
    return instruction.strip().upper().startswith("HYPERLINK")


def _grouped(atoms: list[Atom]) -> list[Atom]:
    """A field is one thing; but a link's text is text like any other, and the field a container around it."""
    marks = [_field_mark(atom) for atom in atoms]
    ends = _field_ends(atoms, marks)
    grouped: list[Atom] = []
    place = 0
    while place < len(atoms):
        end = ends.get(place)
        if end is None:
            grouped.append(atoms[place])
            place += 1
            continue
        field = atoms[place : end + 1]
        begin = field[0].element
        cut = next((n for n, mark in enumerate(marks[place : end + 1]) if mark == "separate"), None)
        if cut is not None and _is_link("".join(map(_instruction, field[:cut]))):
            grouped.append(Atom("open", begin, parts=tuple(field[: cut + 1])))
            grouped += field[cut + 1 : -1]
            grouped.append(Atom("close", begin, parts=(field[-1],)))
        else:
            grouped.append(Atom("thing", begin, parts=tuple(field)))
        place = end + 1
    return grouped


def _field_ends(atoms: Sequence[Atom], marks: Sequence[str]) -> dict[int, int]:
    """Where each field ends that begins and ends in one container of this paragraph."""
    ends: dict[int, int] = {}
    begun: list[tuple[int, int]] = []
    containers = [0]
    for place, (atom, mark) in enumerate(zip(atoms, marks, strict=True)):
        if atom.kind == "open":
            containers.append(id(atom.element))
        elif atom.kind == "close":
            containers.pop()
        if mark == "begin":
            begun.append((place, containers[-1]))
        elif mark == "end" and begun:
            begin, container = begun.pop()
            if container == containers[-1]:
                ends[begin] = place
    return ends


def _field_mark(atom: Atom) -> str:
    """begin, separate or end; empty for what is no field's character."""
    mark = next(iter(_things(atom, "fldChar")), None)
    return "" if mark is None else _attribute(mark, "fldCharType")


def _instruction(atom: Atom) -> str:
    return "".join(element.text or "" for element in _things(atom, "instrText"))


def _things(atom: Atom, name: str) -> list[Element]:
    """Elements of that name in a thing that is a run, or a part of one."""
    if atom.kind != "thing" or local(atom.element) != "r":
        return []
    return [e for e in (atom.element if atom.child is None else [atom.child]) if local(e) == name]

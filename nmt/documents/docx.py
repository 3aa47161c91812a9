"""Word documents: a unit a paragraph, or a piece of one between tabs and line breaks.

Of body, tables, text boxes, headers, footers, footnotes and endnotes. Formatting, links and what else lies inside a
paragraph become codes in its unit and follow their words; every other part of the package is written as it was.

A paragraph is taken apart into atoms: text with its formatting, things (a picture, a footnote's mark, a field),
beginnings and ends of containers (a link, a content control), and separators.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal, NamedTuple

from lxml import etree

from nmt.documents.base import Languages, Limits, Unit, check_units
from nmt.documents.inline import Inline, Mark, Piece
from nmt.documents.package import Package
from nmt.documents.xml import Element, XmlDocument, child, legal, local, namespace
from nmt.errors import DocumentError

CONTENT_TYPES = "[Content_Types].xml"
_TEXT_PART = re.compile(
    r"application/vnd\.(?:openxmlformats-officedocument\.wordprocessingml|ms-word)\."
    r"(?:(?:document|template)(?:\.macroEnabled\w*)?\.main|header|footer|footnotes|endnotes)\+xml",
    re.IGNORECASE,
)
_SPACE = "{http://www.w3.org/XML/1998/namespace}space"
_CONTAINERS = frozenset({"hyperlink", "smartTag", "ins", "moveTo", "sdt", "customXml", "fldSimple", "dir", "bdo"})
_DROPPED = frozenset({"proofErr", "lastRenderedPageBreak", "softHyphen"})
"""A program's notes to itself about words that are no longer there."""
_SEPARATORS = frozenset({"tab", "ptab", "br", "cr"})
_CONTROLS = frozenset(
    {"bibliography", "checkbox", "citation", "comboBox", "date", "docPartList", "dropDownList", "picture"}
)
"""Content controls whose text is no sentence."""
_MOST_OF_FIELD = 1000
"""Atoms."""
_UNSEEN = frozenset({"lang", "noProof", "rPrChange"})
"""Formatting that nobody sees."""


@dataclass(frozen=True, eq=False)
class _Atom:
    """What a paragraph is made of."""

    kind: Literal["text", "thing", "separator", "open", "close"]
    element: Element
    """A run, a container, or any other child of a paragraph."""
    text: str = ""
    child: Element | None = None
    """The part of a run that it is, where it is not the whole."""
    parts: tuple[_Atom, ...] = ()
    """Of an atom made of others, which stay together."""


class _Container(NamedTuple):
    """A mark's content: the beginning of a container, and the run whose formatting a text in it has."""

    atom: _Atom
    run: Element | None


class _Format(NamedTuple):
    """A mark's content: the run whose formatting the text in between has."""

    run: Element


def read_docx(data: bytes, _: Languages, limits: Limits) -> Docx:
    """Reads a document or a template. Raises DocumentError for another package."""
    return Docx(Package(data, limits, "Word"), limits)


class Docx:
    """A `Document`."""

    def __init__(self, package: Package, limits: Limits) -> None:
        self._package = package
        self._parts: dict[str, XmlDocument] = {}
        self._paragraphs: list[_Paragraph] = []
        self.units: list[Unit] = []
        self._inlines: list[Inline] = []
        for name in _part_names(package, limits):
            part = self._parts[name] = XmlDocument(package.files[name], limits, name)
            for number, element in enumerate(list(part.root.iter(f"{namespace(part.root)}p")), start=1):
                paragraph = _Paragraph(element, name, f"{name.rpartition('/')[2]}, paragraph {number}")
                if paragraph.units:
                    self._paragraphs.append(paragraph)
                    self._inlines += paragraph.inlines
                    self.units += paragraph.units
                    check_units(len(self.units), limits)

    def accepts(self, index: int, translation: str) -> bool:
        """See `Document`."""
        return _read(self._inlines[index], translation) is not None

    def write(self, translations: Sequence[str | None]) -> bytes:
        """See `Document`."""
        place = 0
        changed: set[str] = set()
        for paragraph in self._paragraphs:
            given = translations[place : place + len(paragraph.units)]
            place += len(paragraph.units)
            if paragraph.write(given):
                changed.add(paragraph.part)
        return self._package.write({name: self._parts[name].write() for name in changed})


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


class _Paragraph:
    """A paragraph, taken apart."""

    def __init__(self, element: Element, part: str, place: str) -> None:
        self.part = part
        self._element = element
        self._parts: list[tuple[list[_Atom], Inline | None]] = []
        """Stretches with their words, and the atoms in between."""
        self.units: list[Unit] = []
        self.inlines: list[Inline] = []
        for stretch in _stretches(_grouped(list(_atoms(element)))):
            inline = Inline(_pieces(stretch))
            self._parts.append((stretch, inline if inline.has_words else None))
            if inline.has_words:
                self.inlines.append(inline)
                self.units.append(inline.unit(place))

    def write(self, translations: Sequence[str | None]) -> bool:
        """Put the paragraph together again with these texts; whether anything has changed."""
        read: dict[int, list[Piece]] = {}
        for inline, unit, translation in zip(self.inlines, self.units, translations, strict=True):
            pieces = None if translation in (None, unit.text) else _read(inline, str(translation))
            if pieces is not None:
                read[id(inline)] = [*inline.before, *pieces, *inline.after]
        if not read:
            return False
        writer = _Writer(self._element)
        for stretch, inline_ in self._parts:
            if inline_ is not None and id(inline_) in read:
                writer.put_pieces(read[id(inline_)], _base_run(stretch))
            else:
                for atom in stretch:
                    writer.put(atom)
        return True


class _Writer:
    """Fills a paragraph anew. Runs of text are made; everything else is moved, for it may hold paragraphs itself."""

    def __init__(self, paragraph: Element) -> None:
        self._stack = [paragraph]
        self._namespace = namespace(paragraph)
        _empty(paragraph)

    def put(self, atom: _Atom) -> None:
        """Append an atom as it is."""
        for part in atom.parts:
            self.put(part)
        if atom.parts:
            return
        if atom.kind == "open":
            inner = _inner(atom.element)
            assert inner is not None
            _empty(inner)
            self._append(atom.element)
            self._stack.append(inner)
        elif atom.kind == "close":
            self._stack.pop()
        elif atom.kind == "text":
            self._put_text(atom.text, atom.element)
        elif atom.child is not None:
            self._run_like(atom.element).append(_without_tail(atom.child))
        else:
            self._append(atom.element)

    def put_pieces(self, pieces: list[Piece], run: Element | None) -> None:
        """Append a translation; its text outside of all marks has the formatting of `run`."""
        runs = [run]
        for piece in legal(pieces):
            if isinstance(piece, str):
                self._put_text(piece, runs[-1])
            elif isinstance(piece.content, _Format | _Container):
                runs.append(piece.content.run)
                if isinstance(piece.content, _Container):
                    self.put(piece.content.atom)
            elif piece.kind == "close":
                runs.pop()
                if piece.content is not None:
                    self.put(piece.content)
            else:
                self.put(piece.content)

    def _put_text(self, text: str, like: Element | None) -> None:
        if not text:
            return
        element = etree.SubElement(self._run_like(like), f"{self._namespace}t")
        element.text = re.sub(r"\s*[\r\n\t]\s*", " ", text)
        if element.text != element.text.strip():
            element.set(_SPACE, "preserve")

    def _run_like(self, run: Element | None) -> Element:
        """A new run with the formatting of another."""
        new = etree.SubElement(self._stack[-1], f"{self._namespace}r", {} if run is None else dict(run.attrib))
        properties = None if run is None else child(run, "rPr")
        if properties is not None:
            new.append(_without_tail(deepcopy(properties)))
        return new

    def _append(self, element: Element) -> None:
        self._stack[-1].append(_without_tail(element))


def _without_tail(element: Element) -> Element:
    element.tail = None
    return element


def _empty(holder: Element) -> None:
    """Take out everything but properties."""
    holder.text = None
    for element in list(holder):
        if local(element).endswith("Pr"):
            element.tail = None
        else:
            holder.remove(element)


def _read(inline: Inline, translation: str) -> list[Piece] | None:
    """The pieces of a translation; None where they do not fit, or a field would end before it begins."""
    pieces = inline.read(translation)
    return pieces if pieces and _open_fields(pieces) == _open_fields(inline.core) else None


def _open_fields(pieces: Sequence[Piece]) -> list[int]:
    """Beginnings and ends of fields that go on beyond these pieces, in order."""
    atoms = (piece.content for piece in pieces if isinstance(piece, Mark) and isinstance(piece.content, _Atom))
    return [id(atom.element) for atom in atoms if not atom.parts and _field_mark(atom)]


def _atoms(parent: Element) -> Iterator[_Atom]:
    for element in parent:
        name = local(element)
        if name in _DROPPED or name.endswith("Pr") or not name:
            continue
        if name == "r":
            yield from _atoms_of_run(element)
        elif name in _CONTAINERS and (inner := _inner(element)) is not None:
            yield _Atom("open", element)
            yield from _atoms(inner)
            yield _Atom("close", element)
        else:
            yield _Atom("thing", element)


def _atoms_of_run(run: Element) -> Iterator[_Atom]:
    inside = [element for element in run if local(element) not in ("rPr", "", *_DROPPED)]
    if not any(local(element) in ("t", "noBreakHyphen", *_SEPARATORS) for element in inside):
        if inside:
            yield _Atom("thing", run)
        return
    for element in inside:
        name = local(element)
        if name == "t":
            yield _Atom("text", run, re.sub(r"[\r\n]+", " ", element.text or ""))
        elif name == "noBreakHyphen":
            yield _Atom("text", run, "\u2011")
        else:
            yield _Atom("separator" if name in _SEPARATORS else "thing", run, child=element)


def _inner(container: Element) -> Element | None:
    """What holds a container's runs; None where they are to be left alone."""
    name = local(container)
    if name == "sdt":
        properties = child(container, "sdtPr")
        if properties is not None and any(local(element) in _CONTROLS for element in properties):
            return None
        return child(container, "sdtContent")
    if name == "fldSimple":
        return container if _is_link(_attribute(container, "instr")) else None
    return container


def _attribute(element: Element, name: str) -> str:
    """The value of an attribute in the element's own namespace."""
    return str(element.get(f"{namespace(element)}{name}", ""))


def _is_link(instruction: str) -> bool:
    return instruction.strip().upper().startswith("HYPERLINK")


def _grouped(atoms: list[_Atom]) -> list[_Atom]:
    """A field is one thing; but a link's text is text like any other, and the field a container around it."""
    grouped: list[_Atom] = []
    place = 0
    while place < len(atoms):
        end = _field_end(atoms, place)
        if end is None:
            grouped.append(atoms[place])
            place += 1
            continue
        field = atoms[place : end + 1]
        begin = field[0].element
        cut = next((n for n, atom in enumerate(field) if _field_mark(atom) == "separate"), None)
        if cut is not None and _is_link("".join(map(_instruction, field[:cut]))):
            grouped.append(_Atom("open", begin, parts=tuple(field[: cut + 1])))
            grouped += field[cut + 1 : -1]
            grouped.append(_Atom("close", begin, parts=(field[-1],)))
        else:
            grouped.append(_Atom("thing", begin, parts=tuple(field)))
        place = end + 1
    return grouped


def _field_mark(atom: _Atom) -> str:
    """begin, separate or end; empty for what is no field's character."""
    mark = next(iter(_things(atom, "fldChar")), None)
    return "" if mark is None else _attribute(mark, "fldCharType")


def _instruction(atom: _Atom) -> str:
    return "".join(element.text or "" for element in _things(atom, "instrText"))


def _things(atom: _Atom, name: str) -> list[Element]:
    """Elements of that name in a thing that is a run, or a part of one."""
    if atom.kind != "thing" or local(atom.element) != "r":
        return []
    return [e for e in (atom.element if atom.child is None else [atom.child]) if local(e) == name]


def _field_end(atoms: Sequence[_Atom], begin: int) -> int | None:
    """Where the field that begins here ends, if that is in the same container."""
    if _field_mark(atoms[begin]) != "begin":
        return None
    depth = containers = 0
    for place in range(begin, min(len(atoms), begin + _MOST_OF_FIELD)):
        mark = _field_mark(atoms[place])
        containers += (atoms[place].kind == "open") - (atoms[place].kind == "close")
        depth += (mark == "begin") - (mark == "end")
        if containers < 0:
            return None
        if depth == 0:
            return place if containers == 0 else None
    return None


def _stretches(atoms: Sequence[_Atom]) -> Iterator[list[_Atom]]:
    """The atoms, cut at separators and at both ends of containers that hold one; what cuts stands by itself."""
    cutting: set[int] = set()
    opened: list[Element] = []
    for atom in atoms:
        if atom.kind == "open":
            opened.append(atom.element)
        elif atom.kind == "close":
            opened.pop()
        elif atom.kind == "separator":
            cutting.update(map(id, opened))
    stretch: list[_Atom] = []
    for atom in atoms:
        if atom.kind == "separator" or (atom.kind in ("open", "close") and id(atom.element) in cutting):
            yield stretch
            yield [atom]
            stretch = []
        else:
            stretch.append(atom)
    yield stretch


def _pieces(stretch: Sequence[_Atom]) -> Iterator[Piece]:
    """Text and marks; text in the formatting that is commonest has no mark for it."""
    bases = [_look(_base_run(stretch))]
    look = bases[-1]
    for place, atom in enumerate(stretch):
        if atom.kind == "text":
            own = _look(atom.element)
            if own != look and atom.text.strip():
                if look != bases[-1]:
                    yield Mark("close", look, None)
                if own != bases[-1]:
                    yield Mark("open", own, _Format(atom.element))
                look = own
            yield atom.text
            continue
        if atom.kind not in ("open", "close"):
            yield Mark("empty", "", atom)
            continue
        if look != bases[-1]:
            yield Mark("close", look, None)
        if atom.kind == "open":
            run = next((after.element for after in stretch[place:] if after.kind == "text"), None)
            bases.append(_look(run))
            yield Mark("open", f"#{id(atom.element)}", _Container(atom, run))
        elif len(bases) > 1:
            bases.pop()
            yield Mark("close", f"#{id(atom.element)}", atom)
        look = bases[-1]
    if look != bases[-1]:
        yield Mark("close", look, None)


def _base_run(stretch: Sequence[_Atom]) -> Element | None:
    """A run with the formatting that most of the text outside of containers has."""
    sizes: Counter[str] = Counter()
    runs: dict[str, Element] = {}
    depth = 0
    for atom in stretch:
        depth += (atom.kind == "open") - (atom.kind == "close")
        if atom.kind == "text" and not depth:
            look = _look(atom.element)
            runs.setdefault(look, atom.element)
            sizes[look] += len(atom.text.strip())
    return runs[max(sizes, key=lambda look: sizes[look])] if sizes else None


def _look(run: Element | None) -> str:
    """A run's formatting, as far as it is seen."""
    properties = None if run is None else child(run, "rPr")
    if properties is None:
        return ""
    seen = (element for element in properties if local(element) not in _UNSEEN)
    return "".join(etree.tostring(element, method="c14n", with_tail=False).decode() for element in seen)

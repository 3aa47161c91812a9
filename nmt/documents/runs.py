"""Packages whose text lies in paragraphs of formatted pieces: office documents. Knows no format; a `Dialect` does.

A paragraph is taken apart into atoms: text with its formatting, things (a picture, a footnote's mark, a field),
beginnings and ends of containers (a link, a content control), and separators. A stretch between separators is a unit;
formatting, containers and things in it become its codes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple, Protocol

from nmt.documents.base import Limits, Unit, check_units, has_words
from nmt.documents.inline import Inline, Kind, Mark, Piece
from nmt.documents.package import Package
from nmt.documents.xml import Element, XmlDocument, legal
from nmt.errors import DocumentTooLarge


@dataclass(frozen=True, eq=False)
class Atom:
    """What a paragraph is made of."""

    kind: Literal["text", "thing", "separator", "open", "close"]
    element: Element
    """A run, a container, or any other child of a paragraph."""
    text: str = ""
    child: Element | None = None
    """The part of a run that it is, where it is not the whole."""
    parts: tuple[Atom, ...] = ()
    """Of an atom made of others, which stay together."""


class Dialect(Protocol):
    """How a format writes paragraphs."""

    def atoms(self, paragraph: Element) -> list[Atom]:
        """What a paragraph is made of, in order; opening and closing atoms nest."""
        ...

    def inner(self, container: Element) -> Element:
        """The element that holds what is in a container."""
        ...

    def empty(self, holder: Element) -> None:
        """Take out of a paragraph or container what `atoms` has told of."""
        ...

    def look(self, run: Element | None) -> str:
        """A run's formatting, as far as it is seen; equal for runs that look the same."""
        ...

    def size(self, run: Element | None) -> int:
        """How many elements a copy of a run's formatting has."""
        ...

    def put_text(self, holder: Element, text: str, like: Element | None) -> None:
        """Append text with the formatting of a run."""
        ...

    def put_part(self, holder: Element, part: Element, like: Element) -> None:
        """Append what was a part of a run, in a run of its own."""
        ...

    def is_said(self, thing: Atom) -> bool:
        """Whether a thing stands for a word, as a field does; not a bookmark, a note's number, deleted text."""
        ...

    def pair(self, thing: Atom) -> tuple[Kind, str]:
        """What a thing opens or closes, by a name that both ends have; `empty` for one that stands by itself."""
        ...

    def order(self, pieces: Sequence[Piece]) -> Sequence[int]:
        """Something that must be the same of a unit and of its translation, such as the order of some things."""
        ...


Look = Callable[[Element | None], str]
"""See `Dialect.look`."""


class _Container(NamedTuple):
    """A mark's content: the beginning of a container, and the run whose formatting a text in it has."""

    atom: Atom
    run: Element | None


class _Format(NamedTuple):
    """A mark's content: the run whose formatting the text in between has."""

    run: Element


class TextPart(NamedTuple):
    """A file of a package, and its paragraphs."""

    name: str
    xml: XmlDocument
    paragraphs: Sequence[Element]


class PackageDocument:
    """A `Document`: a package with paragraphs in some of its files; every other one is written as it was."""

    def __init__(self, package: Package, parts: Sequence[TextPart], dialect: Dialect, limits: Limits) -> None:
        self._package = package
        self._parts = {part.name: part.xml for part in parts}
        self._dialect = dialect
        self._paragraphs: list[_Paragraph] = []
        self.units: list[Unit] = []
        self._inlines: list[Inline] = []
        copies = 0
        for part in parts:
            short = part.name.rpartition("/")[2]
            for number, element in enumerate(part.paragraphs, start=1):
                paragraph = _Paragraph(element, part.name, f"{short}, paragraph {number}", dialect)
                if paragraph.units:
                    copies += paragraph.copies
                    if copies > limits.max_pieces:  # each piece of text is written with formatting of its own
                        raise DocumentTooLarge(
                            f"more than {limits.max_pieces:,} tags of formatting to write: split the file",
                            place=paragraph.units[0].place,
                        )
                    self._paragraphs.append(paragraph)
                    self._inlines += paragraph.inlines
                    self.units += paragraph.units
                    check_units(len(self.units), limits)

    def accepts(self, index: int, translation: str) -> bool:
        """See `Document`."""
        return _read(self._inlines[index], translation, self._dialect) is not None

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


class _Paragraph:
    """A paragraph, taken apart."""

    def __init__(self, element: Element, part: str, place: str, dialect: Dialect) -> None:
        self.part = part
        self._element = element
        self._dialect = dialect
        self._parts: list[tuple[list[Atom], Element | None, Inline | None]] = []
        """Stretches with the run that most of their text is like, and their words; and the atoms in between."""
        self.units: list[Unit] = []
        self.inlines: list[Inline] = []
        self.copies = 0
        """Elements of formatting that are written with a translation, at most."""
        look, size = cache(dialect.look), cache(dialect.size)  # a run of many pieces is looked at once
        for stretch in _stretches(dialect.atoms(element)):
            base = _base_run(stretch, look)
            inline = Inline(_paired(list(_pieces(stretch, base, look, dialect)), dialect))
            self._parts.append((stretch, base, inline if inline.has_words else None))
            self.copies += len(stretch) * max((size(atom.element) for atom in stretch), default=0)
            if inline.has_words:
                self.inlines.append(inline)
                self.units.append(inline.unit(place))

    def write(self, translations: Sequence[str | None]) -> bool:
        """Put the paragraph together again with these texts; whether anything has changed."""
        read: dict[int, list[Piece]] = {}
        for inline, unit, translation in zip(self.inlines, self.units, translations, strict=True):
            pieces = None if translation in (None, unit.text) else _read(inline, str(translation), self._dialect)
            if pieces is not None:
                read[id(inline)] = [*inline.before, *pieces, *inline.after]
        if not read:
            return False
        writer = _Writer(self._element, self._dialect)
        for stretch, base, words in self._parts:
            if words is not None and id(words) in read:
                writer.put_pieces(read[id(words)], base)
            else:
                for atom in stretch:
                    writer.put(atom)
        return True


class _Writer:
    """Fills a paragraph anew. Text is written; everything else is moved, for it may hold paragraphs itself."""

    def __init__(self, paragraph: Element, dialect: Dialect) -> None:
        self._stack = [paragraph]
        self._dialect = dialect
        dialect.empty(paragraph)

    def put(self, atom: Atom) -> None:
        """Append an atom as it is."""
        for part in atom.parts:
            self.put(part)
        if atom.parts:
            return
        if atom.kind == "open":
            inner = self._dialect.inner(atom.element)
            self._dialect.empty(inner)
            self._append(atom.element)
            self._stack.append(inner)
        elif atom.kind == "close":
            self._stack.pop()
        elif atom.kind == "text":
            self._dialect.put_text(self._stack[-1], atom.text, atom.element)
        elif atom.child is not None:
            atom.child.tail = None
            self._dialect.put_part(self._stack[-1], atom.child, atom.element)
        else:
            self._append(atom.element)

    def put_pieces(self, pieces: list[Piece], run: Element | None) -> None:
        """Append a translation; its text outside of all marks has the formatting of `run`."""
        runs = [run]
        for piece in legal(pieces):
            if isinstance(piece, str):
                if piece:
                    self._dialect.put_text(self._stack[-1], piece, runs[-1])
            elif isinstance(piece.content, _Format | _Container):
                runs.append(piece.content.run)
                if isinstance(piece.content, _Container):
                    self.put(piece.content.atom)
            elif piece.kind == "close" and (piece.content is None or piece.content.kind == "close"):
                runs.pop()
                if piece.content is not None:
                    self.put(piece.content)
            else:
                self.put(piece.content)

    def _append(self, element: Element) -> None:
        element.tail = None
        self._stack[-1].append(element)


def atoms_of(pieces: Sequence[Piece]) -> Iterator[Atom]:
    """The things and ends of containers among pieces."""
    for piece in pieces:
        if isinstance(piece, Mark) and isinstance(piece.content, Atom):
            yield piece.content


def _read(inline: Inline, translation: str, dialect: Dialect) -> list[Piece] | None:
    """The pieces of a translation; None where they do not fit."""
    pieces = inline.read(translation)
    return pieces if pieces and dialect.order(pieces) == dialect.order(inline.core) else None


def _stretches(atoms: Sequence[Atom]) -> Iterator[list[Atom]]:
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
    stretch: list[Atom] = []
    for atom in atoms:
        if atom.kind == "separator" or (atom.kind in ("open", "close") and id(atom.element) in cutting):
            yield stretch
            yield [atom]
            stretch = []
        else:
            stretch.append(atom)
    yield stretch


def _pieces(stretch: Sequence[Atom], base: Element | None, look_of: Look, dialect: Dialect) -> Iterator[Piece]:
    """Text and marks; text in the formatting that is commonest has no mark for it."""
    bases = [look_of(base)]
    look = bases[-1]
    runs = _runs_behind(stretch)
    things: list[Mark] = []  # behind the last text: whether they are within its formatting shows with the next one
    for place, atom in enumerate(stretch):
        if atom.kind == "text":
            own = look_of(atom.element)
            if own != look and atom.text.strip():
                if look != bases[-1]:
                    yield Mark("close", look, None)
                yield from things
                things = []
                if own != bases[-1]:
                    yield Mark("open", own, _Format(atom.element))
                look = own
            yield from things
            things = []
            yield atom.text
            continue
        if atom.kind not in ("open", "close"):
            things.append(Mark("empty", "", atom, is_said=dialect.is_said(atom)))
            continue
        if look != bases[-1]:
            yield Mark("close", look, None)
        yield from things
        things = []
        if atom.kind == "open":
            run = runs[place]
            bases.append(look_of(run))
            yield Mark("open", f"#{id(atom.element)}", _Container(atom, run))
        elif len(bases) > 1:
            bases.pop()
            yield Mark("close", f"#{id(atom.element)}", atom)
        look = bases[-1]
    if look != bases[-1]:
        yield Mark("close", look, None)
    yield from things


def _paired(pieces: list[Piece], dialect: Dialect) -> list[Piece]:
    """Things that embrace words as pairs, where they nest with each other, formatting and containers."""
    ends = [dialect.pair(p.content) if isinstance(p, Mark) and p.kind == "empty" else ("empty", "") for p in pieces]
    closed = {name for kind, name in ends if kind == "close"}
    opened: list[tuple[str, int, int]] = []
    words = 0
    for place, (piece, (kind, name)) in enumerate(zip(pieces, ends, strict=True)):
        if isinstance(piece, str):
            words += has_words(piece)
        elif piece.kind == "open":
            opened.append((piece.name, place, words))
        elif piece.kind == "close":
            while opened.pop()[0] != piece.name:
                pass
        elif kind == "open" and name in closed:
            opened.append((name, place, words))
        elif kind == "close" and opened and opened[-1][0] == name:
            _, begin, words_before = opened.pop()
            if words > words_before:
                pieces[begin] = Mark("open", name, pieces[begin].content)  # type: ignore[union-attr]
                pieces[place] = Mark("close", name, piece.content)
    return pieces


def _runs_behind(stretch: Sequence[Atom]) -> list[Element | None]:
    """For each atom the run of the first text from there on."""
    runs: list[Element | None] = []
    run: Element | None = None
    for atom in reversed(stretch):
        run = atom.element if atom.kind == "text" else run
        runs.append(run)
    return runs[::-1]


def _base_run(stretch: Sequence[Atom], look_of: Look) -> Element | None:
    """A run with the formatting that most of the text outside of containers has."""
    sizes: Counter[str] = Counter()
    runs: dict[str, Element] = {}
    depth = 0
    for atom in stretch:
        depth += (atom.kind == "open") - (atom.kind == "close")
        if atom.kind == "text" and not depth:
            look = look_of(atom.element)
            runs.setdefault(look, atom.element)
            sizes[look] += len(atom.text.strip())
    return runs[max(sizes, key=lambda look: sizes[look])] if sizes else None

"""XLIFF 1.2 and 2: what has no translation yet is a unit, inline elements are kept, and `target` is filled in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

from lxml import etree

from nmt.documents.base import Languages, Limits, Unit, check_units
from nmt.documents.codes import Names, fill, inline_of
from nmt.documents.inline import Inline
from nmt.documents.xml import Element, XmlDocument, child, children, clear_content, local, namespace, texts_of
from nmt.errors import DocumentError

NAMES_1 = Names(frozenset({"g", "mrk"}), {"bpt": "ept", "bx": "ex"}, ("rid", "id"))
NAMES_2 = Names(frozenset({"pc", "mrk"}), {"sc": "ec", "sm": "em"}, ("startRef", "id"))

_OPEN_STATES = frozenset({"new", "needs-translation", "initial"})


def read_xliff(data: bytes, languages: Languages, limits: Limits) -> Xliff:
    """Reads XLIFF. Raises DocumentError for another root, another version, or another target language."""
    document = XmlDocument(data, limits)
    root = document.root
    version = root.get("version", "")
    if local(root) != "xliff":
        raise DocumentError(f"not XLIFF: its root is <{local(root)}>", place=document.place(root))
    if version not in ("1.0", "1.1", "1.2") and not version.startswith("2."):
        raise DocumentError(
            f"XLIFF {version or 'without a version'}: 1.2 and 2 can be read", place=document.place(root)
        )
    return Xliff(document, languages, limits, is_2=version.startswith("2."))


class Xliff:
    """A `Document`."""

    def __init__(self, document: XmlDocument, languages: Languages, limits: Limits, *, is_2: bool) -> None:
        self._document = document
        self._languages = languages
        self._names = NAMES_2 if is_2 else NAMES_1
        self._is_2 = is_2
        self._segments: list[list[tuple[Element, Inline]]] = []
        """Of each holder of a target: its pieces of source that have words."""
        self._holders: list[tuple[Element, Element]] = []
        """Each with the element whose content the target's is made of."""
        self.units: list[Unit] = []
        self._inlines: list[Inline] = []
        self._check_languages()
        for holder, source, parts in self._untranslated(document.root):
            found = [(part, inline) for part in parts if (inline := inline_of(part, self._names)).has_words]
            if not found:
                continue
            self._holders.append((holder, source))
            self._segments.append(found)
            for part, inline in found:
                self.units.append(inline.unit(document.place(part)))
                self._inlines.append(inline)
            check_units(len(self.units), limits)

    def accepts(self, index: int, translation: str) -> bool:
        """See `Document`."""
        return bool(self._inlines[index].read(translation))

    def write(self, translations: Sequence[str | None]) -> bytes:
        """See `Document`. A target is filled in where all of its segments have been translated."""
        place = 0
        is_changed = False
        for (holder, source), segments in zip(self._holders, self._segments, strict=True):
            given = translations[place : place + len(segments)]
            place += len(segments)
            read = [None if t is None else inline.read(t) for t, (_, inline) in zip(given, segments, strict=True)]
            if all(read):
                parts = {
                    part: [*inline.before, *(pieces or ()), *inline.after]
                    for (part, inline), pieces in zip(segments, read, strict=True)
                }
                self._fill(holder, source, parts)
                is_changed = True
        if is_changed:
            self._name_language()
        return self._document.write()

    def _check_languages(self) -> None:
        root = self._document.root
        stated = [(root, "trgLang")] if self._is_2 else [(file, "target-language") for file in children(root, "file")]
        for element, attribute in stated:
            code = element.get(attribute)
            if code and _primary(code) != _primary(self._languages.target):
                raise DocumentError(
                    f"{attribute} is {code}, and the translation would be {self._languages.target}",
                    place=self._document.place(element),
                )

    def _name_language(self) -> None:
        root = self._document.root
        elements = [root] if self._is_2 else children(root, "file")
        for element in elements:
            attribute = "trgLang" if self._is_2 else "target-language"
            if not element.get(attribute):
                element.set(attribute, self._languages.target)

    def _untranslated(
        self, element: Element, translates: bool = True
    ) -> Iterator[tuple[Element, Element, list[Element]]]:
        """(parent of the target, element that it is like, its segments) of what is to be translated."""
        for inner in element:
            name = local(inner)
            translated = {"yes": True, "no": False}.get(inner.get("translate", "") if name else "", translates)
            if name in ("file", "body", "group"):
                yield from self._untranslated(inner, translated)
            elif name == "trans-unit" and translated and inner.get("approved") != "yes":
                source = child(inner, "source")
                if source is not None and _is_open(inner, child(inner, "target")):
                    cut = child(inner, "seg-source")
                    marked = (
                        [] if cut is None else [m for m in cut.iter() if local(m) == "mrk" and m.get("mtype") == "seg"]
                    )
                    yield inner, cut if marked else source, marked or [source]
            elif name == "unit" and translated:
                for segment in children(inner, "segment"):
                    source = child(segment, "source")
                    if source is not None and _is_open(segment, child(segment, "target")):
                        yield segment, source, [source]

    def _fill(self, holder: Element, source: Element, parts: dict[Element, list[Any]]) -> None:
        target = child(holder, "target")
        if target is None:
            target = etree.Element(f"{namespace(holder)}target")
            last = child(holder, "seg-source") if not self._is_2 else None
            before = source if last is None else last
            target.tail = before.tail
            holder.insert(holder.index(before) + 1, target)
        clear_content(target)
        if source in parts:
            fill(target, parts[source])
        else:
            self._fill_segments(target, source, parts)
        if self._is_2:
            holder.set("state", "translated")
        else:
            target.set("state", "needs-review-translation")
            target.set("state-qualifier", "leveraged-mt")

    def _fill_segments(self, target: Element, cut: Element, parts: dict[Element, list[Any]]) -> None:
        """A target with the segments of a `seg-source`."""
        copy = deepcopy(cut)
        originals = [element for element in cut.iter() if element in parts]
        copies = dict(zip(cut.iter(), copy.iter(), strict=True))
        for original in originals:
            clear_content(copies[original])
            fill(copies[original], parts[original])
        target.text = copy.text
        target.extend(list(copy))


def _is_segment(element: Element) -> bool:
    return local(element) == "mrk" and element.get("mtype") == "seg"


def _is_open(holder: Element, target: Element | None) -> bool:
    if target is None or not "".join(texts_of(target)).strip():
        return True
    return (target.get("state") or holder.get("state") or "") in _OPEN_STATES


def _primary(code: str) -> str:
    return code.replace("_", "-").partition("-")[0].lower()

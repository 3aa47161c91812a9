"""TMX translation memories: a unit with a variant in the source language and none in the target's gets one.

The new variant's `creationid` is `MT`, so that people can tell what no one has checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lxml import etree

from nmt.documents.base import Languages, Limits, Unit, check_units
from nmt.documents.codes import Names, fill, inline_of
from nmt.documents.inline import Inline
from nmt.documents.xml import Element, XmlDocument, child, children, local, namespace
from nmt.errors import DocumentError

NAMES = Names(frozenset({"hi"}), {"bpt": "ept"}, ("i",))
CREATION_ID = "MT"
_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


class _Place(NamedTuple):
    """Where a translation goes: the unit, the variant it is made of, that variant's segment."""

    unit: Element
    variant: Element
    inline: Inline


def read_tmx(data: bytes, languages: Languages, limits: Limits) -> Memory:
    """Reads TMX 1.4. Raises DocumentError for another root."""
    document = XmlDocument(data, limits)
    if local(document.root) != "tmx":
        raise DocumentError(f"not TMX: its root is <{local(document.root)}>", place=document.place(document.root))
    return Memory(document, languages, limits)


class Memory:
    """A `Document`. Languages are compared by their primary subtag, whole where both have the same one."""

    def __init__(self, document: XmlDocument, languages: Languages, limits: Limits) -> None:
        self._document = document
        self._languages = languages
        header = child(document.root, "header")
        source_code = languages.source or ("" if header is None else header.get("srclang", ""))
        self._is_whole = _primary(source_code) == _primary(languages.target)
        self._places: list[_Place] = []
        self.units: list[Unit] = []
        for unit in (element for element in document.root.iter() if local(element) == "tu"):
            variants = {self._key(_language(variant)): variant for variant in reversed(children(unit, "tuv"))}
            source = variants.get(self._key(source_code))
            if source is None or self._key(languages.target) in variants:
                continue
            segment = child(source, "seg")
            inline = None if segment is None else inline_of(segment, NAMES)
            if inline is None or not inline.has_words:
                continue
            self._places.append(_Place(unit, source, inline))
            self.units.append(inline.unit(document.place(source)))
            check_units(len(self.units), limits)

    def accepts(self, index: int, translation: str) -> bool:
        """See `Document`."""
        return bool(self._places[index].inline.read(translation))

    def write(self, translations: Sequence[str | None]) -> bytes:
        """See `Document`."""
        for place, translation in zip(self._places, translations, strict=True):
            pieces = None if translation is None else place.inline.read(translation)
            if pieces:
                self._add(place, [*place.inline.before, *pieces, *place.inline.after])
        return self._document.write()

    def _add(self, place: _Place, pieces: Sequence[object]) -> None:
        attribute = _XML_LANG if place.variant.get(_XML_LANG) is not None else "lang"
        variant = etree.Element(f"{namespace(place.variant)}tuv", {attribute: self._languages.target})
        variant.set("creationid", CREATION_ID)
        model = child(place.variant, "seg")
        assert model is not None
        segment = etree.SubElement(variant, model.tag, dict(model.attrib))
        variant.text, segment.tail = place.variant.text, model.tail
        fill(segment, pieces)  # type: ignore[arg-type]
        last = children(place.unit, "tuv")[-1]
        variant.tail, last.tail = last.tail, place.unit.text if len(place.unit) == 1 else place.unit[0].tail
        place.unit.insert(place.unit.index(last) + 1, variant)

    def _key(self, code: str) -> str:
        return code.replace("_", "-").lower() if self._is_whole else _primary(code)


def _language(variant: Element) -> str:
    return variant.get(_XML_LANG) or variant.get("lang") or ""


def _primary(code: str) -> str:
    return code.replace("_", "-").partition("-")[0].lower()

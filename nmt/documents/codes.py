"""Inline elements of XLIFF and TMX as marks, and pieces as inline elements again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import NamedTuple

from lxml import etree

from nmt.documents.inline import Inline, Mark, Piece
from nmt.documents.tags import pieces_of
from nmt.documents.xml import Element, append_text, legal, local

_SAID = frozenset({"x", "ph"})
"""Placeholders. Other elements without text are half a pair, or a program's notes."""


class Begin(NamedTuple):
    """The beginning of an element with text in it."""

    element: Element


class End(NamedTuple):
    """Its end."""


class Names(NamedTuple):
    """What the inline elements of a format are called."""

    spans: frozenset[str]
    """With text in them."""
    pairs: dict[str, str]
    """Opening codes and what closes them: two elements without text to translate."""
    keys: Sequence[str]
    """Attributes that name a pair, the first that is there counts."""


def inline_of(element: Element, names: Names) -> Inline:
    """The content of an element."""
    return Inline(_pieces(element, names))


def _pieces(element: Element, names: Names) -> Iterator[Piece]:
    paired = _paired(element, names)
    yield from pieces_of(element.text or "")
    for child in element:
        name = local(child)
        if _is_kept(child):
            yield Mark("empty", name, child, is_said=True)
        elif name in names.spans:
            key = f"{id(child)}"
            yield Mark("open", key, Begin(child))
            yield from _pieces(child, names)
            yield Mark("close", key, End())
        elif child in paired:
            yield Mark("open" if name in names.pairs else "close", paired[child], child)
        else:
            yield Mark("empty", name, child, is_said=name in _SAID)
        yield from pieces_of(child.tail or "")


def _is_kept(element: Element) -> bool:
    """Whether XLIFF says of a part of a text that it is not to be translated."""
    return local(element) == "mrk" and (element.get("translate") == "no" or element.get("mtype") == "protected")


def _paired(element: Element, names: Names) -> dict[Element, str]:
    """Codes among an element's children whose partner is another one, each with their common name."""
    opened: dict[tuple[str, str], Element] = {}
    paired: dict[Element, str] = {}
    for child in element:
        name = local(child)
        key = next((value for attribute in names.keys if (value := child.get(attribute))), "")
        if name in names.pairs and key:
            opened[names.pairs[name], key] = child
        elif key and (begin := opened.pop((name, key), None)) is not None:
            paired[begin] = paired[child] = f"{name} {key}"
    return paired


def fill(element: Element, pieces: Sequence[Piece]) -> None:
    """Put pieces behind what is in an element: text, and copies of the elements that marks stand for."""
    stack = [element]
    for piece in legal(list(pieces)):
        if isinstance(piece, str):
            append_text(stack[-1], piece)
        elif isinstance(piece.content, str):  # a tag in the text itself
            append_text(stack[-1], piece.content)
        elif isinstance(piece.content, Begin):
            model = piece.content.element
            stack.append(etree.SubElement(stack[-1], model.tag, dict(model.attrib), nsmap=model.nsmap))
        elif isinstance(piece.content, End):
            stack.pop()
        else:
            copy = deepcopy(piece.content)
            copy.tail = None
            stack[-1].append(copy)

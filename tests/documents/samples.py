"""Translators that need no model, and small files of the formats that are archives."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping

from nmt.documents import FORMATS, Limits, Unit, read_document
from nmt.documents.base import Document

Translate = Callable[[Unit], str | None]

WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
RELATIONS = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
_PART = "application/vnd.openxmlformats-officedocument.wordprocessingml"


def read(
    form: str, data: bytes | str, source: str = "en", target: str = "de", limits: Limits | None = None
) -> Document:
    """A document of a format, by the format's name."""
    raw = data.encode() if isinstance(data, str) else data
    return read_document(raw, FORMATS[form], source, target, limits or Limits())


def units(form: str, data: bytes | str) -> list[str]:
    """The texts of a document's units."""
    return [unit.text for unit in read(form, data).units]


def rewritten(form: str, data: bytes | str, translate: Translate, target: str = "de") -> bytes:
    """A document with every unit translated; fails where one is not accepted."""
    document = read(form, data, target=target)
    translations = [translate(unit) for unit in document.units]
    for index, translation in enumerate(translations):
        assert translation is None or document.accepts(index, translation), document.units[index]
    return document.write(translations)


def same(unit: Unit) -> str:
    """The text itself."""
    return unit.text


def loud(unit: Unit) -> str:
    """Upper case between tags."""
    return _between_tags(unit, str.upper)


def turned(unit: Unit) -> str:
    """Upper case, and everything that lies beside each other at the top in reverse order: codes move."""
    if not unit.markup:
        return unit.text.upper()
    parts: list[str] = []
    depth = 0
    for token in re.findall(r"<[^>]*>|[^<]+", unit.text):
        if depth:
            parts[-1] += token if token.startswith("<") else token.upper()
        else:
            parts.append(token if token.startswith("<") else token.upper())
        depth += token.startswith("<g ") - (token == "</g>")
    return "".join(reversed(parts))


def _between_tags(unit: Unit, change: Callable[[str], str]) -> str:
    if not unit.markup:
        return change(unit.text)
    # references such as &amp; are letters to be left alone
    return re.sub(r"(<[^>]*>|&\w+;)|([^<&]+)", lambda m: m[1] or change(m[2]), unit.text)


def archive(files: Mapping[str, str | bytes]) -> bytes:
    """A ZIP archive of these files."""
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return output.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    """The files of an archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def word(body: str, **parts: str) -> bytes:
    """A Word file with this body; `header="<w:p>..."` and so on for further parts."""
    files = {
        f"word/{name}1.xml": f"<w:{_roots[name]} {WORD} {RELATIONS}>{part}</w:{_roots[name]}>"
        for name, part in parts.items()
    }
    overrides = "".join(
        f'<Override PartName="/{name}" ContentType="{_PART}.{name[5:].partition("1")[0]}+xml"/>' for name in files
    )
    types = (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        f'<Override PartName="/word/document.xml" ContentType="{_PART}.document.main+xml"/>{overrides}</Types>'
    )
    document = (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        f"<w:document {WORD} {RELATIONS}><w:body>{body}</w:body></w:document>"
    )
    relations = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="r1" Target="word/document.xml" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/></Relationships>'
    )
    own = {"[Content_Types].xml": types, "_rels/.rels": relations, "word/document.xml": document}
    return archive({**own, **files, "word/media/image1.png": b"\x89PNG\x00"})


_roots = {"header": "hdr", "footer": "ftr", "footnotes": "footnotes", "endnotes": "endnotes", "comments": "comments"}

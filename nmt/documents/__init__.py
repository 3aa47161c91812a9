"""Files of many formats as units of text to translate, and written back with everything else as it was.

`read_document` gives a `Document`; one file a format lies behind it, loaded when it is first needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePath

from nmt.documents.base import Document, Languages, Limits, Unit
from nmt.errors import DocumentError

Reader = Callable[[bytes, Languages, Limits], Document]


@dataclass(frozen=True)
class Format:
    """A format that can be read and written."""

    name: str
    title: str
    suffixes: tuple[str, ...]
    """With their dot, the usual one first. Empty: only for those who ask for the format by name."""
    media_type: str
    reader: str
    """Module of this package and function in it."""
    is_binary: bool = False
    """Not a text that people read as it is."""

    def read(self, data: bytes, languages: Languages, limits: Limits) -> Document:
        """See `read_document`."""
        module, _, function = self.reader.partition(":")
        reader: Reader = getattr(import_module(f"{__name__}.{module}"), function)
        return reader(data, languages, limits)


FORMATS = {
    known.name: known
    for known in (
        Format("text", "plain text, line by line", (".txt",), "text/plain", "plain:read_lines"),
        Format("paragraphs", "plain text with wrapped lines", (), "text/plain", "plain:read_paragraphs"),
        Format("html", "HTML", (".html", ".htm", ".xhtml"), "text/html", "html:read_html"),
        Format("srt", "SubRip subtitles", (".srt",), "application/x-subrip", "subtitles:read_srt"),
        Format("vtt", "WebVTT subtitles", (".vtt",), "text/vtt", "subtitles:read_vtt"),
        Format("markdown", "Markdown", (".md", ".markdown"), "text/markdown", "markdown:read_markdown"),
        Format("json", "JSON", (".json",), "application/json", "resources:read_json"),
        Format(
            "properties", "Java properties", (".properties",), "text/x-java-properties", "resources:read_properties"
        ),
        Format("strings", "Apple strings", (".strings",), "text/plain", "resources:read_strings"),
        Format("po", "gettext catalogue", (".po", ".pot"), "text/x-gettext-translation", "po:read_po"),
        Format("xliff", "XLIFF 1.2 and 2", (".xlf", ".xliff"), "application/x-xliff+xml", "xliff:read_xliff"),
        Format("tmx", "TMX translation memory", (".tmx",), "application/x-tmx+xml", "tmx:read_tmx"),
        Format(
            "docx",
            "Word document",
            (".docx",),
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            "docx:read_docx",
            is_binary=True,
        ),
        Format(
            "pptx",
            "PowerPoint presentation",
            (".pptx",),
            "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            "pptx:read_pptx",
            is_binary=True,
        ),
        Format(
            "odt",
            "OpenDocument text",
            (".odt", ".ott"),
            "application/vnd.oasis.opendocument.text",
            "opendocument:read_opendocument",
            is_binary=True,
        ),
        Format(
            "odp",
            "OpenDocument presentation",
            (".odp", ".otp"),
            "application/vnd.oasis.opendocument.presentation",
            "opendocument:read_opendocument",
            is_binary=True,
        ),
        Format("epub", "electronic book", (".epub",), "application/epub+zip", "epub:read_epub", is_binary=True),
    )
}
"""By name."""

DEFAULT_LIMITS = Limits()

SUFFIXES = {suffix: known for known in FORMATS.values() for suffix in known.suffixes}


def format_of(name: str) -> Format | None:
    """The format of a file by the end of its name, in upper or lower case; None for one that is not known."""
    return SUFFIXES.get(PurePath(name).suffix.lower())


def read_document(data: bytes, form: Format, source: str, target: str, limits: Limits = DEFAULT_LIMITS) -> Document:
    """Read a document that is to be translated from language `source` into `target` (codes such as `en`, `pt-BR`).

    Raises DocumentError where the bytes are not of that format, or hold more than the limits allow.
    """
    return form.read(data, Languages(source, target), limits)


__all__ = [
    "DEFAULT_LIMITS",
    "FORMATS",
    "SUFFIXES",
    "Document",
    "DocumentError",
    "Format",
    "Languages",
    "Limits",
    "Unit",
    "format_of",
    "read_document",
]

"""TMX 1.4 translation memories as a stream of units: constant memory, no tree.

Expat is used as it is because it tells the line of each unit, reads no external entity and needs no other library;
declarations of entities, with which a small file can grow to gigabytes, are refused, and so are entities that nothing
declares: where a document type is named, expat leaves them out of the text without a word.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple
from xml.parsers import expat

from nmt.errors import CorpusError

BLOCK_BYTES = 1 << 16
# Their content is markup of the tool that wrote the file; what a reader sees is in <seg> itself, <hi> and <sub>.
CODE_TAGS = frozenset({"bpt", "ept", "ph", "it", "ut"})


class Unit(NamedTuple):
    """One translation unit; `line` (from 1) is where its `<tu>` begins."""

    source: str
    target: str
    line: int


def read_units(file: BinaryIO, path: Path | str, source_lang: str, target_lang: str) -> Iterator[Unit]:
    """The units that have both languages; of several variants in one language the first counts.

    Languages are compared by their primary subtag ("en" takes "EN-gb"), or whole where both have the same one
    ("pt-BR" to "pt-PT"); "pt_BR" is read as "pt-BR". A line break in a segment becomes a blank.
    Raises CorpusError for malformed XML, another root than `<tmx>`, entities that XML does not know, and when no unit
    has both languages.
    """
    reader = _UnitReader(path, source_lang, target_lang)
    found = False
    block = b"start"
    while block:  # the last, empty block ends the document: expat may have kept some units back until then
        block = file.read(BLOCK_BYTES)
        units = reader.feed(block)
        found = found or bool(units)
        yield from units
    if not found:
        wanted, languages = f"{source_lang} and {target_lang}", ", ".join(sorted(reader.languages)) or "none"
        message = f"no unit with both {wanted}; set data.source_lang and data.target_lang to two of: {languages}"
        raise CorpusError(message, path=path)


class _UnitReader:
    """Expat callbacks that collect finished units. Text is kept while the innermost open tag is not a code tag."""

    def __init__(self, path: Path | str, source_lang: str, target_lang: str) -> None:
        self.languages: set[str] = set()
        self._path = path
        self._whole_tags = _primary(source_lang) == _primary(target_lang)
        self._wanted = (self._key(source_lang), self._key(target_lang))
        self._finished: list[Unit] = []
        self._segments: dict[str, str] = {}
        self._unit_line = 0
        self._language = ""
        self._open_tags: list[str] = []  # from <seg> inwards; empty outside a segment
        self._text: list[str] = []
        self._root_seen = False
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.EntityDeclHandler = self._refuse_declaration
        self._parser.SkippedEntityHandler = self._refuse_entity

    def feed(self, block: bytes) -> list[Unit]:
        """Parse on and return the units that ended; an empty block ends the document."""
        try:
            self._parser.Parse(block, not block)
        except expat.ExpatError as error:
            message = f"malformed TMX: {expat.ErrorString(error.code)}"
            raise CorpusError(message, path=self._path, line=error.lineno) from None
        except (LookupError, ValueError):  # how pyexpat says that it has no such codec, or none of one byte a character
            message = "declares an encoding that is not supported: convert the file to UTF-8"
            raise CorpusError(message, path=self._path) from None
        finished, self._finished = self._finished, []
        return finished

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self._root_seen:
            self._check_root(tag)
        if self._open_tags or tag == "seg":
            self._open_tags.append(tag)
        elif tag == "tu":
            self._unit_line = self._parser.CurrentLineNumber
            self._segments = {}
        elif tag == "tuv":
            language = (attributes.get("xml:lang") or attributes.get("lang") or "").replace("_", "-")
            self.languages.add(language)
            self._language = self._key(language)

    def _end(self, tag: str) -> None:
        if self._open_tags:
            self._open_tags.pop()
            if not self._open_tags:
                text = "".join(self._text).replace("\r", " ").replace("\n", " ")
                self._segments.setdefault(self._language, text)
                self._text = []
        elif tag == "tu":
            source, target = (self._segments.get(language) for language in self._wanted)
            if source is not None and target is not None:
                self._finished.append(Unit(source, target, self._unit_line))

    def _characters(self, text: str) -> None:
        if self._is_read():
            self._text.append(text)

    def _is_read(self) -> bool:
        return bool(self._open_tags) and self._open_tags[-1] not in CODE_TAGS

    def _check_root(self, tag: str) -> None:
        self._root_seen = True
        if tag != "tmx":
            raise CorpusError(f"not a TMX file: its root is <{tag}>", path=self._path)

    def _refuse_declaration(self, name: str, *_: object) -> None:
        message = f"declares the XML entity {name}; remove the declaration"
        raise CorpusError(message, path=self._path, line=self._parser.CurrentLineNumber)

    def _refuse_entity(self, name: str, is_parameter: bool) -> None:
        if self._is_read():
            message = f"the XML entity {name} is not declared; write the character itself"
            raise CorpusError(message, path=self._path, line=self._parser.CurrentLineNumber)

    def _key(self, language: str) -> str:
        return language.replace("_", "-").lower() if self._whole_tags else _primary(language)


def _primary(language: str) -> str:
    return language.replace("_", "-").partition("-")[0].lower()

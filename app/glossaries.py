"""Glossaries: what callers keep here, and what the operator gives for every request of a pair of languages.

A caller's own live in one SQLite file below NMT_STATE, or in memory where no such folder is set; each is seen by the
caller that made it and by nobody else. The operator's are TSV files below NMT_GLOSSARIES, read at the start. How a term
is honoured in a translation is the engine's matter.
"""

from __future__ import annotations

import csv
import io
import sqlite3
import threading
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from app.errors import BadRequest, NotFound
from app.settings import Settings
from nmt.errors import ConfigError

Terms: TypeAlias = tuple[tuple[str, str], ...]
"""Source term and target term, in the order given."""

FILE_NAME = "glossaries.sqlite"
MAX_TERM_BYTES = 1024
"""Of a term in UTF-8, DeepL's limit."""
MAX_TERMS = 100_000
"""Of one pair, when entries are added. (How many come at once the size of the request limits.)"""
MAX_READY_TERMS = 200_000
"""Of glossaries that are kept ready for use in memory."""
_START_CHARS = 3
_FEW = 100
_BUSY_S = 5.0
_VERSION = 1
_TOLD = "SELECT id, name, created FROM glossaries"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS glossaries (
    id TEXT PRIMARY KEY,
    caller TEXT NOT NULL,
    name TEXT NOT NULL,
    created TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS glossaries_by_caller ON glossaries (caller, created);
CREATE TABLE IF NOT EXISTS dictionaries (
    glossary TEXT NOT NULL REFERENCES glossaries (id) ON DELETE CASCADE,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    count INTEGER NOT NULL,
    entries TEXT NOT NULL,
    PRIMARY KEY (glossary, source, target)
);
"""

Pair: TypeAlias = tuple[str, str]
"""Language codes of source and target."""


@dataclass(frozen=True)
class Dictionary:
    """What is told of the entries for one pair of languages."""

    source: str
    target: str
    count: int
    """Of entries."""


@dataclass(frozen=True)
class Glossary:
    """What is told of a glossary without its entries."""

    id: str
    name: str
    created: datetime
    dictionaries: tuple[Dictionary, ...]
    """Ordered by pair."""


@dataclass
class TermIndex:
    """Terms by how they begin, so that those of a text are found without trying all."""

    terms: Terms
    by_start: dict[str, list[int]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._folded = [source.casefold() for source, _ in self.terms]
        for place, source in enumerate(self._folded):
            self.by_start.setdefault(source[:_START_CHARS], []).append(place)
        self._sizes = sorted({len(start) for start in self.by_start})

    def within(self, texts: Iterable[str]) -> Terms:
        """Those whose source stands in one of the texts, in whatever case. Long texts belong in another thread."""
        found: set[int] = set()
        for text in map(str.casefold, texts):  # one by one: no step of it keeps other threads waiting for long
            found.update(place for place in self._likely(text) if place in found or self._folded[place] in text)
        return tuple(self.terms[place] for place in sorted(found))

    def _likely(self, text: str) -> Iterable[int]:
        """Places of the terms that may stand in a text: those whose first and last letters do."""
        if len(self.terms) <= _FEW:
            return range(len(self.terms))
        there = {run for size in self._sizes for run in _runs(text, size)}
        starts = there & self.by_start.keys()
        places = (place for start in starts for place in self.by_start[start])
        return (place for place in places if self._folded[place][-_START_CHARS:] in there)


def _runs(text: str, size: int) -> Iterable[str]:
    """All runs of so many characters."""
    return map("".join, zip(*(text[skipped:] for skipped in range(size)), strict=False))


class _Recent:
    """The glossaries used last, ready for use: as many as have `MAX_READY_TERMS` together, and one at least."""

    def __init__(self) -> None:
        self._indices: OrderedDict[tuple[str, Pair], TermIndex] = OrderedDict()

    def get(self, glossary_id: str, pair: Pair) -> TermIndex | None:
        index = self._indices.get((glossary_id, pair))
        if index is not None:
            self._indices.move_to_end((glossary_id, pair))
        return index

    def put(self, glossary_id: str, pair: Pair, index: TermIndex) -> None:
        self._indices[glossary_id, pair] = index
        while len(self._indices) > 1 and sum(len(each.terms) for each in self._indices.values()) > MAX_READY_TERMS:
            self._indices.popitem(last=False)

    def forget(self, glossary_id: str) -> None:
        for key in [key for key in self._indices if key[0] == glossary_id]:
            del self._indices[key]


class GlossaryStore:
    """All glossaries. Methods may be called from any thread; those that write wait for the disk.

    Raises:
        ConfigError: the file of glossaries, or one of the operator's, cannot be used.
    """

    def __init__(self, folder: Path | None = None, shared: Path | None = None, *, max_glossaries: int = 1000) -> None:
        """`folder`: where they are kept; None: in memory. `shared`: the operator's. `max_glossaries`: of one caller."""
        self._max_glossaries = max_glossaries
        self._shared = (
            {} if shared is None else {stem: TermIndex(terms) for stem, terms in _read_shared(shared).items()}
        )
        self._lock = threading.Lock()
        self._database = _open(folder)
        self._recent = _Recent()

    def close(self) -> None:
        """Nothing can be asked afterwards."""
        with self._lock:
            self._database.close()

    def create(self, caller: str, name: str, dictionaries: Mapping[Pair, Terms]) -> Glossary:
        """Keep a new glossary. Raises BadRequest where the caller has as many as it may have."""
        glossary_id = str(uuid.uuid4())
        with self._lock, self._database:
            (count,) = self._database.execute("SELECT count(*) FROM glossaries WHERE caller = ?", [caller]).fetchone()
            if count >= self._max_glossaries:
                raise BadRequest(f"Too many glossaries: there may be {self._max_glossaries} at a time.")
            row = (glossary_id, caller, name, datetime.now(UTC).isoformat())
            self._database.execute("INSERT INTO glossaries VALUES (?, ?, ?, ?)", row)
            for pair, terms in dictionaries.items():
                self._put(glossary_id, pair, terms)
            return self._get(glossary_id, caller)

    def list(self, caller: str) -> list[Glossary]:
        """A caller's glossaries, oldest first."""
        with self._lock:
            rows = self._database.execute(f"{_TOLD} WHERE caller = ? ORDER BY created, id", [caller]).fetchall()
            return [self._glossary(row) for row in rows]

    def get(self, glossary_id: str, caller: str) -> Glossary:
        """One of a caller's. Raises NotFound where it has none of that id."""
        with self._lock:
            return self._get(glossary_id, caller)

    def entries(self, glossary_id: str, caller: str, pair: Pair) -> str:
        """Its entries for a pair as TSV, in the order given. Raises NotFound."""
        with self._lock:
            self._get(glossary_id, caller)
            return self._entries(glossary_id, pair)

    def terms(self, glossary_id: str, caller: str, pair: Pair) -> Terms:
        """Its entries for a pair, in the order given. Raises NotFound."""
        return _split(self.entries(glossary_id, caller, pair))

    def terms_within(self, glossary_id: str, caller: str, pair: Pair, texts: Sequence[str]) -> Terms:
        """Those of its entries for a pair that stand in one of the texts. Raises NotFound."""
        with self._lock:
            self._get(glossary_id, caller)
            index = self._recent.get(glossary_id, pair)
            if index is None:
                index = TermIndex(_split(self._entries(glossary_id, pair)))
                self._recent.put(glossary_id, pair, index)
        return index.within(texts)

    def change(
        self,
        glossary_id: str,
        caller: str,
        dictionaries: Mapping[Pair, Terms] = MappingProxyType({}),
        *,
        name: str = "",
        is_addition: bool = False,
    ) -> Glossary:
        """Give a glossary another name, or other entries; `is_addition`: what it has of other terms stays.

        Raises NotFound, and BadRequest where there would be too many entries.
        """
        with self._lock, self._database:
            self._recent.forget(glossary_id)
            known = {(each.source, each.target) for each in self._get(glossary_id, caller).dictionaries}
            if name:
                self._database.execute("UPDATE glossaries SET name = ? WHERE id = ?", [name, glossary_id])
            for pair, terms in dictionaries.items():
                if is_addition and pair in known:
                    terms = tuple((dict(_split(self._entries(glossary_id, pair))) | dict(terms)).items())
                    if len(terms) > MAX_TERMS:
                        raise BadRequest(f"Too many entries: {len(terms)}, where {MAX_TERMS} are allowed.")
                self._put(glossary_id, pair, terms)
            return self._get(glossary_id, caller)

    def delete(self, glossary_id: str, caller: str) -> None:
        """Raises NotFound."""
        with self._lock, self._database:
            self._get(glossary_id, caller)
            self._recent.forget(glossary_id)
            self._database.execute("DELETE FROM glossaries WHERE id = ?", [glossary_id])

    def delete_dictionary(self, glossary_id: str, caller: str, pair: Pair) -> None:
        """Forget the entries for one pair. Raises NotFound."""
        with self._lock, self._database:
            self._get(glossary_id, caller)
            self._recent.forget(glossary_id)
            query = "DELETE FROM dictionaries WHERE glossary = ? AND source = ? AND target = ?"
            if not self._database.execute(query, [glossary_id, *pair]).rowcount:
                raise _without(pair)

    def has_shared(self, source: str, target: str) -> bool:
        """Whether the operator has given terms for a pair of codes."""
        return _stem(source, target) in self._shared

    def shared(self, source: str, target: str, texts: Sequence[str]) -> Terms:
        """The operator's terms for a pair of codes that stand in these texts."""
        index = self._shared.get(_stem(source, target))
        return () if index is None else index.within(texts)

    @property
    def shared_pairs(self) -> Mapping[str, int]:
        """The pairs for which the operator has given terms, as its files are called, and how many."""
        return {stem: len(index.terms) for stem, index in self._shared.items()}

    def _get(self, glossary_id: str, caller: str) -> Glossary:
        row = self._database.execute(f"{_TOLD} WHERE id = ? AND caller = ?", [glossary_id, caller]).fetchone()
        if row is None:
            raise NotFound("Glossary not found.")
        return self._glossary(row)

    def _glossary(self, row: Sequence[str]) -> Glossary:
        glossary_id, name, created = row
        query = "SELECT source, target, count FROM dictionaries WHERE glossary = ? ORDER BY source, target"
        rows = self._database.execute(query, [glossary_id]).fetchall()
        return Glossary(glossary_id, name, datetime.fromisoformat(created), tuple(Dictionary(*each) for each in rows))

    def _entries(self, glossary_id: str, pair: Pair) -> str:
        query = "SELECT entries FROM dictionaries WHERE glossary = ? AND source = ? AND target = ?"
        row = self._database.execute(query, [glossary_id, *pair]).fetchone()
        if row is None:
            raise _without(pair)
        return str(row[0])

    def _put(self, glossary_id: str, pair: Pair, terms: Terms) -> None:
        row = (glossary_id, *pair, len(terms), write_tsv(terms))
        self._database.execute("INSERT OR REPLACE INTO dictionaries VALUES (?, ?, ?, ?, ?)", row)


@asynccontextmanager
async def open_glossaries(settings: Settings) -> AsyncIterator[GlossaryStore]:
    """The glossaries that the settings name. Raises ConfigError."""
    store = GlossaryStore(settings.state, settings.glossaries, max_glossaries=settings.max_glossaries)
    try:
        yield store
    finally:
        store.close()


def read_tsv(text: str) -> Terms:
    """Terms from lines of two columns; blank lines and a BOM are passed over. Raises BadRequest naming the line."""
    terms = []
    for number, line in enumerate(text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"), 1):
        if line.strip():
            columns = [column.strip() for column in line.split("\t")]
            if len(columns) != 2:
                raise _wrong(number, f"has {len(columns)} columns; a tab separates the two terms")
            terms.append((number, columns[0], columns[1]))
    return _checked(terms)


def read_csv(text: str) -> Terms:
    """Terms from CSV of two columns, or of four, the language codes last. Raises BadRequest naming the line."""
    terms = []
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        for row in reader:
            if any(column.strip() for column in row):
                if len(row) not in (2, 4):
                    raise _wrong(reader.line_num, f"has {len(row)} columns; there must be 2 or 4")
                terms.append((reader.line_num, row[0].strip(), row[1].strip()))
    except csv.Error as error:
        raise _wrong(reader.line_num, str(error)) from None
    return _checked(terms)


def write_tsv(terms: Terms) -> str:
    """Lines of two columns, without a line feed at the end: what DeepL sends."""
    return "\n".join(f"{source}\t{target}" for source, target in terms)


def _checked(entries: Iterable[tuple[int, str, str]]) -> Terms:
    terms: dict[str, str] = {}
    for number, source, target in entries:
        for term in (source, target):
            if not term:
                raise _wrong(number, "has an empty term")
            if any(ord(character) < 32 or character in "\x7f\u2028\u2029" for character in term):
                raise _wrong(number, "has a control character in a term")
            if len(term.encode()) > MAX_TERM_BYTES:
                raise _wrong(number, f"has a term of more than {MAX_TERM_BYTES} bytes")
        if source in terms:
            raise _wrong(number, "has a source term that was there before")
        terms[source] = target
    if not terms:
        raise BadRequest("Invalid glossary entries provided: there are none.")
    return tuple(terms.items())


def _wrong(line: int, what: str) -> BadRequest:
    return BadRequest(f"Invalid glossary entries provided: line {line} {what}.")


def _without(pair: Pair) -> NotFound:
    return NotFound(f"The glossary has no entries from {pair[0]} to {pair[1]}.")


def _split(entries: str) -> Terms:
    pairs = (line.split("\t", 1) for line in entries.split("\n"))
    return tuple((source, target) for source, target in pairs)


def _open(folder: Path | None) -> sqlite3.Connection:
    """The file of glossaries, made where there is none."""
    path = ":memory:" if folder is None else str(folder / FILE_NAME)
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / FILE_NAME).touch(0o600)
        database = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"NMT_STATE: {path} cannot be used: {error}") from None
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA foreign_keys = ON")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        elif version != _VERSION:
            raise ConfigError(f"{path}: version {version} of the file; this program reads version {_VERSION}")
    except sqlite3.Error as error:
        with suppress(sqlite3.Error):
            database.close()
        raise ConfigError(f"NMT_STATE: {path} cannot be used: {error}") from None
    return database


def _stem(source: str, target: str) -> str:
    """What the operator's file for a pair is called. (Codes may have hyphens themselves: zh-hans-en, en-pt-br.)"""
    return f"{source}-{target}".lower()


def _read_shared(folder: Path) -> dict[str, Terms]:
    """The operator's glossaries by the stems of their names: of en-de.tsv the terms of "en-de"."""
    if not folder.is_dir():
        raise ConfigError(f"NMT_GLOSSARIES: {folder} is not a folder")
    glossaries = {}
    for path in sorted(folder.glob("*.tsv")):
        stem = path.stem.lower()
        if "-" not in stem or stem.strip("-") != stem:
            raise ConfigError(f"{path}: the name says no pair of languages; en-de.tsv would")
        try:
            glossaries[stem] = read_tsv(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, BadRequest) as error:
            raise ConfigError(f"{path}: {error}") from None
    return glossaries

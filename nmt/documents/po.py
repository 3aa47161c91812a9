"""gettext catalogues (.po, .pot): what has no translation yet is a unit, and what is filled in is marked `fuzzy`.

Comments, references, order, obsolete entries and all that is translated already are written as they were.
"""

from __future__ import annotations

import gettext
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nmt.documents.base import Edit, Languages, Limits, Slot, TextDocument, check_pieces, check_units, splice
from nmt.documents.encoding import Coding, decode, marked
from nmt.documents.plain import Line, lines_of
from nmt.documents.tags import tagged
from nmt.errors import DocumentError

_KEYWORD = re.compile(r"[ \t]*(msgctxt|msgid_plural|msgid|msgstr(?:\[(\d{1,2})\])?)[ \t]*(?=\")")
_STRING = re.compile(r'[ \t]*"((?:[^"\\\r\n]|\\.)*)"[ \t]*')
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{2})|(.))")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_WRITTEN = {character: f"\\{letter}" for letter, character in _ESCAPES.items()} | {'"': '\\"', "\\": "\\\\"}
_CONTROL = re.compile(r"\x1b\[[\d;]{0,40}[A-Za-z]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""What no text has: codes of terminals, control characters."""
_WRITTEN |= {c: f"\\{ord(c):03o}" for c in map(chr, (*range(32), 127)) if c not in _WRITTEN}
_CHARSET = re.compile(rb"charset=([A-Za-z0-9._:-]+)")
_PLURALS = re.compile(r"nplurals\s*=\s*(\d{1,2})\s*;\s*plural\s*=\s*([^;\\\"]{1,400})")
_MAX_FORMS = 6
"""Of a plural: Arabic's, the most there are."""

PLURAL_FORMS = {
    1: ("id ja ko lo ms th vi zh", "nplurals=1; plural=0;"),
    2: ("fr pt-br tr", "nplurals=2; plural=(n > 1);"),
    3: (
        "be hr ru sr uk",
        "nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2);",
    ),
    4: ("cs sk", "nplurals=3; plural=(n==1) ? 0 : (n>=2 && n<=4) ? 1 : 2;"),
    5: ("pl", "nplurals=3; plural=(n==1 ? 0 : n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2);"),
}
"""Languages that count otherwise than one and many, as gettext's manual has them; for headers that do not say."""


@dataclass
class _Entry:
    """A message. Texts are unescaped; spans are those of whole statements, their last line's end left out."""

    start: int
    """Of its first statement, behind its comments."""
    line: int
    flags: Line | None = None
    """Its comment of flags."""
    previous: int | None = None
    """Where a comment with its previous text begins."""
    texts: dict[str, str] = field(default_factory=dict)
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def is_header(self) -> bool:
        return self.texts.get("msgid") == "" and "msgctxt" not in self.texts

    @property
    def is_untranslated(self) -> bool:
        strings = [text for key, text in self.texts.items() if key.startswith("msgstr")]
        return bool(strings) and not any(strings) and bool(self.texts.get("msgid"))


def read_po(data: bytes, languages: Languages, limits: Limits) -> TextDocument:
    """Reads a catalogue or a template. Raises DocumentError for a line that is none of a catalogue's."""
    text, coding = decode(data, None if marked(data) else _charset(data))
    check_pieces(text, limits)
    entries = list(_entries(text))
    header = next((entry for entry in entries if entry.is_header), None)
    plural = _plural_forms(header, languages.target)
    slots: list[Slot] = []
    owners: list[tuple[_Entry, str]] = []
    for entry in entries:
        if entry.is_header or not entry.is_untranslated:
            continue
        for key in ("msgid", "msgid_plural"):
            if key in entry.texts and (slot := _slot(entry, key)):
                slots.append(slot)
                owners.append((entry, key))
                check_units(len(slots), limits)
    return _Catalogue(text, coding, slots, owners, header, plural, languages)


def _charset(data: bytes) -> str | None:
    found = _CHARSET.search(data)
    return None if found is None or found[1] in (b"CHARSET", b"ascii", b"ASCII", b"US-ASCII") else found[1].decode()


def _slot(entry: _Entry, key: str) -> Slot | None:
    found = tagged(entry.texts[key], f"line {entry.line}", _CONTROL)
    if found is None:
        return None
    start, end = entry.spans[key]
    return Slot(found.unit, start, end, lambda translation: _like(entry.texts[key], found.render(translation)))


def _like(text: str, translation: str | None) -> str | None:
    """The translation with line breaks at both ends where the text has them, which `msgfmt` asks for."""
    if not translation or not translation.strip():
        return None
    begin, end = ("\n" if text.startswith("\n") else ""), ("\n" if text.endswith("\n") else "")
    return f"{begin}{translation.strip(chr(10))}{end}"


class _Catalogue(TextDocument):
    """Translations go into `msgstr`, not into the place of the text itself."""

    def __init__(
        self,
        text: str,
        coding: Coding,
        slots: Sequence[Slot],
        owners: Sequence[tuple[_Entry, str]],
        header: _Entry | None,
        plural: str,
        languages: Languages,
    ) -> None:
        super().__init__(text, coding, slots)
        self._owners = owners
        self._header = header
        self._plural = plural
        self._languages = languages
        self._newline = "\r\n" if "\r\n" in text else "\n"

    def write(self, translations: Sequence[str | None]) -> bytes:
        """See `Document`. A catalogue whose encoding cannot hold a translation becomes one in UTF-8."""
        try:
            return super().write(translations)
        except DocumentError:
            written = splice(self._text, self._edits(translations))
        return re.sub(r"charset=[A-Za-z0-9._:-]+", "charset=UTF-8", written, count=1).encode()

    def _edits(self, translations: Sequence[str | None]) -> Iterator[Edit]:
        filled: dict[int, tuple[_Entry, dict[str, str]]] = {}
        for (entry, key), slot, translation in zip(self._owners, self._slots, translations, strict=True):
            written = None if translation is None else slot.render(translation)
            if written is not None:
                filled.setdefault(entry.start, (entry, {}))[1][key] = written
        for entry, texts in filled.values():
            yield from self._fill(entry, texts)
        if filled and self._header is not None:
            yield from self._name_language(self._header)

    def _fill(self, entry: _Entry, texts: dict[str, str]) -> Iterator[Edit]:
        """A message's `msgstr`, if all of it has been translated, and the flag."""
        if "msgid_plural" not in entry.texts:
            strings = {"msgstr": texts["msgid"]}
        elif len(texts) == 2:
            count, one = _forms(self._plural)
            strings = {f"msgstr[{n}]": texts["msgid" if n == one else "msgid_plural"] for n in range(count)}
        else:
            return
        written = self._newline.join(self._statement(key, text) for key, text in strings.items())
        spans = [span for key, span in entry.spans.items() if key.startswith("msgstr")]
        yield Edit(spans[0][0], spans[-1][1], written)
        if entry.flags is None:
            place = entry.start if entry.previous is None else entry.previous
            yield Edit(place, place, f"#, fuzzy{self._newline}")
        elif "fuzzy" not in re.split(r"[\s,#]+", entry.flags.text):
            place = entry.flags.start + entry.flags.text.index(",") + 1
            yield Edit(place, place, " fuzzy,")

    def _statement(self, key: str, text: str) -> str:
        """A string in lines, broken where it has line breaks."""
        lines = re.findall(r"[^\n]*\n|[^\n]+", text) or [""]
        quoted = [f'"{_escaped(line)}"' for line in (["", *lines] if len(lines) > 1 else lines)]
        return f"{key} " + self._newline.join(quoted)

    def _name_language(self, header: _Entry) -> Iterator[Edit]:
        """Fill in what a template leaves open: the language, and how it counts."""
        text = header.texts["msgstr"]
        fields = dict(re.findall(r"^([\w-]+):[ \t]*(.*)$", text, re.MULTILINE))
        new = text
        if not fields.get("Language", "").strip():
            new = _with_field(new, "Language", self._languages.target.replace("-", "_"))
        if not _PLURALS.search(fields.get("Plural-Forms", "")) and any(
            "msgid_plural" in e.texts for e, _ in self._owners
        ):
            new = _with_field(new, "Plural-Forms", self._plural)
        if "charset=CHARSET" in new:
            new = new.replace("charset=CHARSET", "charset=UTF-8")
        if new != text:
            yield Edit(*header.spans["msgstr"], self._statement("msgstr", new))


def _with_field(header: str, name: str, value: str) -> str:
    changed, count = re.subn(
        rf"^{name}:.*$", f"{name}: {value}".replace("\\", r"\\"), header, count=1, flags=re.MULTILINE
    )
    return changed if count else f"{header.rstrip(chr(10))}\n{name}: {value}\n"


def _plural_forms(header: _Entry | None, target: str) -> str:
    found = _PLURALS.search("" if header is None else header.texts.get("msgstr", ""))
    if found and 1 <= int(found[1]) <= _MAX_FORMS:
        return f"{found[0].strip()};"
    code = target.lower().replace("_", "-")
    for languages, forms in PLURAL_FORMS.values():
        if code in languages.split() or code.partition("-")[0] in languages.split():
            return forms
    return "nplurals=2; plural=(n != 1);"


def _forms(plural: str) -> tuple[int, int]:
    """How many forms there are, and which is the one for a single thing; -1 where that has the general one, too."""
    found = _PLURALS.search(plural)
    assert found is not None
    count = int(found[1])
    if count == 1:
        return 1, -1
    try:
        one = gettext.c2py(found[2].strip())(1)
    except (ValueError, ZeroDivisionError, RecursionError):
        one = 0
    return count, one if 0 <= one < count else 0


def _escaped(text: str) -> str:
    return "".join(_WRITTEN.get(character, character) for character in text)


def _unescaped(text: str) -> str:
    def meant(match: re.Match[str]) -> str:
        if match[1] or match[2]:
            return chr(int(match[1], 8) if match[1] else int(match[2], 16))
        return _ESCAPES.get(match[3], match[3])

    return _ESCAPE.sub(meant, text)


def _entries(text: str) -> Iterator[_Entry]:
    """The messages that are in use. Raises DocumentError for a line that is neither comment nor statement."""
    entry: _Entry | None = None
    flags: Line | None = None
    previous: int | None = None
    key = ""
    pieces: dict[str, list[str]] = {}

    def finished(entry: _Entry) -> _Entry:
        entry.texts = {name: _unescaped("".join(parts)) for name, parts in pieces.items()}
        return entry

    for line in lines_of(text):
        body = line.text.strip()
        if not body:
            continue
        if body.startswith("#"):
            if entry is not None:
                yield finished(entry)
                entry, flags, previous, key, pieces = None, None, None, "", {}
            if body.startswith("#~"):
                flags = previous = None
            elif body.startswith("#,"):
                flags = line
            elif body.startswith("#|") and previous is None:
                previous = line.start
            continue
        statement = _KEYWORD.match(line.text)
        if statement:
            if entry is not None and (statement[1] == "msgctxt" or (statement[1] == "msgid" and "msgid" in pieces)):
                yield finished(entry)
                entry, flags, previous, pieces = None, None, None, {}
            if entry is None:
                entry = _Entry(line.start, line.number, flags, previous)
            key = statement[1]
            if key in pieces:
                raise DocumentError(f"a second {key} for one message", place=f"line {line.number}")
            pieces[key] = []
            entry.spans[key] = (line.start, line.start)
        string = _STRING.fullmatch(line.text, statement.end() if statement else 0)
        if string is None or entry is None:
            raise DocumentError(
                "not a gettext catalogue: neither comment, keyword nor string", place=f"line {line.number}"
            )
        pieces[key].append(string[1])
        entry.spans[key] = (entry.spans[key][0], line.start + len(line.text))
    if entry is not None:
        yield finished(entry)

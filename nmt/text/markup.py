"""HTML and XML as what is copied and what is translated. Tolerant: what no parser would take survives as it is.

Nothing is built up and written out anew: a document is cut into its tags and the text between them, and all but the
text is copied byte by byte. Tags inside a sentence are taken out with their places; `nmt.inference.placing` finds where
they belong in the translation. Knows nothing of models.

A parser such as lxml would repair what it reads and write another document; hence this small tokenizer of tags.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from nmt.text.protect import HOLE

Kind = Literal["html", "xml"]

_TAG = re.compile(
    r"<!--(?:.*?-->|.*\Z)"
    r"|<!\[CDATA\[(?:.*?\]\]>|.*\Z)"
    r"|<\?[^<>]*+>"
    r"|<![A-Za-z](?:[^<>\[]|\[[^\]]{0,4000}+\])*+>"
    r"|<(?P<close>/?)(?P<name>[A-Za-z_][\w:.-]*+)(?P<rest>(?:[^<>\"']|\"[^\"]*+\"|'[^']*+')*+)>",
    re.DOTALL,
)
_ENTITY = re.compile(r"&(?:#\d{1,7};?|#[xX][\da-fA-F]{1,6};?|[A-Za-z][A-Za-z0-9]{1,30};?)")
_XML_ENTITIES = {"&lt;": "<", "&gt;": ">", "&amp;": "&", "&quot;": '"', "&apos;": "'"}

_RAW_TEXT = frozenset(["script", "style", "xmp", "iframe", "noembed", "noframes", "plaintext", "textarea"])
"""Elements of HTML in which nothing but their own end is a tag."""
# fmt: off
_VOID = frozenset([
    "area", "base", "br", "col", "command", "embed", "frame", "hr", "img", "input", "keygen", "link", "meta", "param",
    "source", "track", "wbr",
])
# fmt: on
_KEPT = (
    frozenset(["pre", "code", "kbd", "samp", "var", "tt", "svg", "math", "template", "object", "canvas"]) | _RAW_TEXT
)
"""Elements of HTML whose content is no language."""
# fmt: off
_INLINE = frozenset([
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "button", "cite", "code", "data", "del", "dfn", "em", "font",
    "i", "img", "input", "ins", "kbd", "label", "mark", "math", "meter", "output", "picture", "progress", "q", "rb",
    "rp", "rt", "ruby", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "svg", "time", "tt", "u",
    "var", "wbr",
])
# fmt: on
"""Elements of HTML that sentences reach across, as they do across those that HTML does not know."""
_HOLES = frozenset(["x", "ph"])
"""Empty elements that stand for something that will be said: placeholders of XLIFF."""


@dataclass(frozen=True)
class Rules:
    """What a caller says of tags."""

    kind: Kind
    ignore: frozenset[str] = frozenset()
    """Elements whose content stays as it is."""
    split: frozenset[str] = frozenset()
    join: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Mark:
    """A tag or sign that has been taken out of a text, and where it was."""

    at: int
    """It stood before the character of this place."""
    raw: str
    pair: int = -1
    """The same for the start of an element and its end; -1 for what has no counterpart."""
    is_end: bool = False
    translation: str = ""
    """What it is in the other language, where that is not itself."""

    @property
    def out(self) -> str:
        """What stands in the translation."""
        return self.translation or self.raw

    def moved(self, by: int) -> Mark:
        """The same so many characters further."""
        return replace(self, at=self.at + by)


@dataclass(frozen=True)
class Block:
    """Text that sentences may reach across, with the inline tags that stood in it."""

    text: str
    """As a reader sees it: entities are characters, `HOLE` stands for what is copied."""
    marks: tuple[Mark, ...] = ()
    written: Mapping[int, str] = field(default_factory=dict)
    """How characters were written, by place, where that is another way than the character itself."""
    quote: str = ""
    """The quotation mark around it, where it is an attribute's value."""

    def raw(self, start: int, end: int) -> str:
        """A part of the text as it was written, without the tags."""
        if not self.written:
            return self.text[start:end]
        return "".join(self.written.get(i, self.text[i]) for i in range(start, end))

    def escaped(self, text: str) -> str:
        """A new text written as this block writes it."""
        names = {self.text[i]: raw for i, raw in self.written.items() if raw and self.text[i] != HOLE}
        has_bare = {c for c in "&<" if c in text and any(True for _ in self._bare(c))}
        table = {"&": "&amp;", "<": "&lt;", ">": names.get(">", "&gt;" if "<" in names or "&" in names else ">")}
        if self.quote:
            table[self.quote] = "&quot;" if self.quote == '"' else "&#39;"
        table |= {character: raw for character, raw in names.items() if character not in "&<>"}
        if not has_bare:
            return text.translate({ord(character): raw for character, raw in table.items()})
        # written bare as the source has it, where nobody can take it for the start of something
        return "".join(
            c if c in has_bare and not text[i + 1 : i + 2].strip() else table.get(c, c) for i, c in enumerate(text)
        )

    def _bare(self, character: str) -> Iterator[int]:
        return (i for i, c in enumerate(self.text) if c == character and i not in self.written)


@dataclass(frozen=True, slots=True)
class _Token:
    raw: str
    name: str = ""
    """Of a tag; empty for text and for what is neither."""
    form: Literal["text", "start", "end", "empty", "other"] = "text"
    rest: str = ""
    """Attributes."""


def parse(document: str, rules: Rules) -> list[str | Block]:
    """A document as strings to be copied and blocks to be translated, which together are all of it."""
    return _Parser(list(_tokens(document, rules.kind)), rules).parse()


def attributes(document: str, rules: Rules) -> list[str | Block]:
    """Like `parse`, with the attributes that are read by people as blocks, and all else as strings to be copied.

    Together they are the document, but that values without quotation marks get some.
    """
    return _Parser(list(_tokens(document, rules.kind)), rules).attributes()


def tags(document: str) -> Counter[str]:
    """The tags, comments and declarations of a document, with how often each stands in it."""
    return Counter(found[0] for found in _TAG.finditer(document))


def _tokens(document: str, kind: Kind) -> Iterator[_Token]:
    position = 0
    while found := _TAG.search(document, position):
        if found.start() > position:
            yield _Token(document[position : found.start()])
        position = found.end()
        name, raw = found["name"], found[0]
        if name is None:
            yield _Token(raw, form="other")
            continue
        if kind == "html":
            name = name.lower()
        if found["close"]:
            yield _Token(raw, name, "end")
            continue
        is_empty = raw.endswith("/>") if kind == "xml" else name in _VOID or raw.endswith("/>")
        yield _Token(raw, name, "empty" if is_empty else "start", found["rest"])
        if kind == "html" and name in _RAW_TEXT and not is_empty:
            end = re.compile(rf"</{re.escape(name)}\b", re.IGNORECASE).search(document, position)
            stop = end.start() if end else len(document)
            if stop > position:
                yield _Token(document[position:stop], form="other")
            position = stop
    if position < len(document):
        yield _Token(document[position:])


class _Parser:
    """Collects blocks from tokens."""

    def __init__(self, tokens: Sequence[_Token], rules: Rules) -> None:
        self._tokens = tokens
        self._rules = rules
        self._parts: list[str | Block] = []
        self._text: list[str] = []
        self._length = 0
        self._marks: list[Mark] = []
        self._written: dict[int, str] = {}
        self._raw: list[str] = []
        self._numbers = _pairs(tokens)
        self._ends = {start: place for place, start in self._numbers.items() if place != start}
        self._mixed = _mixed(tokens, self._numbers)

    def parse(self) -> list[str | Block]:
        place = 0
        while place < len(self._tokens):
            token = self._tokens[place]
            if token.form == "text":
                self._add_text(token.raw)
            elif token.form in ("start", "empty") and self._is_kept(place):
                stop = self._end_of(place)
                self._add_kept(place, "".join(kept.raw for kept in self._tokens[place:stop]))
                place = stop
                continue
            elif self._splits(place):
                self._flush()
                self._parts.append(token.raw)
            else:
                self._add_mark(place)
            place += 1
        self._flush()
        return self._parts

    def attributes(self) -> list[str | Block]:
        """See the function."""
        place = 0
        while place < len(self._tokens):
            token = self._tokens[place]
            end = place + 1
            if token.form in ("start", "empty"):
                self._add_attributes(token)
                if self._is_kept(place):
                    end = self._end_of(place)
                    self._parts += [kept.raw for kept in self._tokens[place + 1 : end]]
            else:
                self._parts.append(token.raw)
            place = end
        return self._parts

    def _add_attributes(self, token: _Token) -> None:
        """A tag, its attributes that are read as blocks."""
        names = set() if token.name in (_MUTE | self._rules.ignore) or _NO_TRANSLATION.search(token.rest) else READ
        if token.name == "meta" and (kind := _META.search(token.rest)) and kind[1].lower() in DESCRIPTIONS:
            names = names and READ | {"content"}
        position, shift = 0, len(token.raw) - len(token.rest) - 1
        for found in _ATTRIBUTE.finditer(token.rest):
            value = found["value"] or ""
            if found["name"].lower() not in names or not any(character.isalnum() for character in value):
                continue
            quote = value[0] if value[0] in "\"'" else ""
            start, end = (found.start("value") + len(quote), found.end("value") - len(quote))
            self._parts += [token.raw[position : shift + start], "" if quote else '"']
            inner = _Parser((), self._rules)
            inner._add_text(token.rest[start:end])
            self._parts.append(Block("".join(inner._text), (), inner._written, quote or '"'))
            self._parts.append("" if quote else '"')
            position = shift + end
        self._parts.append(token.raw[position:])

    def _add_text(self, raw: str) -> None:
        self._raw.append(raw)
        position = 0
        for found in _ENTITY.finditer(raw) if "&" in raw else ():
            character = _character(found[0], self._rules.kind)
            if len(character) != 1 or character == HOLE:
                continue  # stays as it is written, and is protected as a placeholder
            self._append(raw[position : found.start()])
            self._written[self._length] = found[0]
            self._append(character)
            position = found.end()
        self._append(raw[position:])

    def _append(self, text: str) -> None:
        if HOLE in text:  # a caller's own: written as itself
            self._written |= {self._length + i: HOLE for i, c in enumerate(text) if c == HOLE}
        self._text.append(text)
        self._length += len(text)

    def _add_kept(self, place: int, raw: str) -> None:
        """An element that is copied: inside a sentence it leaves a hole."""
        name = self._tokens[place].name
        if self._splits(place) or (self._rules.kind == "html" and name in _KEPT - _INLINE):
            self._flush()
            self._parts.append(raw)
            return
        self._raw.append(raw)
        self._written[self._length] = raw
        self._text.append(HOLE)
        self._length += 1

    def _add_mark(self, place: int) -> None:
        token = self._tokens[place]
        self._raw.append(token.raw)
        self._marks.append(Mark(self._length, token.raw, self._numbers.get(place, -1), token.form == "end"))

    def _flush(self) -> None:
        if not self._raw:
            return
        text = "".join(self._text)
        if any(character.isalnum() for character in text):
            self._parts.append(Block(text, tuple(self._marks), self._written))
        else:
            self._parts.append("".join(self._raw))
        self._raw, self._text, self._length, self._marks, self._written = [], [], 0, [], {}

    def _is_kept(self, place: int) -> bool:
        token = self._tokens[place]
        if token.name in _HOLES and self._ends.get(place, place) <= place + 1 and place in self._mixed:
            return True
        if token.name in self._rules.ignore:
            return True
        if self._rules.kind == "html" and token.name in _KEPT:
            return True
        return bool(token.rest) and _NO_TRANSLATION.search(token.rest) is not None

    def _end_of(self, place: int) -> int:
        """Behind the end of the element that begins here; behind its start where it has none."""
        return self._ends.get(place, place) + 1

    def _splits(self, place: int) -> bool:
        """Whether a sentence ends at this token at the latest."""
        token = self._tokens[place]
        if token.name in self._rules.join or token.form == "other":
            return False
        if token.name in self._rules.split:
            return True
        if self._rules.kind == "html":
            return token.name not in _INLINE and (token.name in _BLOCKS or token.name in _VOID)
        return place not in self._mixed


# fmt: off
_BLOCKS = frozenset([
    "address", "article", "aside", "audio", "blockquote", "body", "caption", "center", "col", "colgroup", "dd",
    "details", "dialog", "dir", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "frame",
    "frameset", "h1", "h2", "h3", "h4", "h5", "h6", "head", "header", "hgroup", "html", "legend", "li", "main", "map",
    "menu", "nav", "noscript", "ol", "optgroup", "option", "p", "section", "select", "summary", "table", "tbody",
    "td", "tfoot", "th", "thead", "title", "tr", "ul", "video",
])
# fmt: on
_NO_TRANSLATION = re.compile(
    r"(?<![\w-])translate\s*=\s*(?:\"no\"|'no'|no(?![\w-]))"
    r"|(?<![\w-])class\s*=\s*(?:\"[^\"]*\bnotranslate\b|'[^']*\bnotranslate\b|notranslate(?![\w-]))",
    re.IGNORECASE,
)


READ = frozenset(["alt", "title", "placeholder", "aria-label"])
"""Attributes that people read."""
DESCRIPTIONS = frozenset(["description", "og:title", "og:description", "twitter:title", "twitter:description"])
"""Of `meta` elements: those whose `content` is read, too."""
_MUTE = frozenset(["link", "script", "style"])
"""Elements whose attributes nobody reads: the title of a style sheet is its name."""
_ATTRIBUTE = re.compile(r"(?P<name>[^\s\"'>/=]++)(?:\s*+=\s*+(?P<value>\"[^\"]*+\"|'[^']*+'|[^\s\"'>]++))?")
_META = re.compile(r"(?<![\w-])(?:name|property)\s*=\s*[\"']?\s*([\w:]+)", re.IGNORECASE)


def _character(entity: str, kind: Kind) -> str:
    """What an entity stands for; the entity itself where that is nothing or where it may not be written otherwise."""
    if kind == "xml":
        if entity.startswith("&#") and entity.endswith(";"):
            return html.unescape(entity)
        return _XML_ENTITIES.get(entity, entity)
    return html.unescape(entity)


def _pairs(tokens: Sequence[_Token]) -> dict[int, int]:
    """By place of each tag that has a counterpart a number, the same for both; only well nested ones have any."""
    numbers: dict[int, int] = {}
    stack: list[tuple[str, int]] = []
    names: Counter[str] = Counter()
    for place, token in enumerate(tokens):
        if token.form == "start":
            stack.append((token.name, place))
            names[token.name] += 1
        elif token.form == "end" and names[token.name]:
            while True:
                name, start = stack.pop()
                names[name] -= 1
                if name == token.name:
                    break
            numbers[start] = numbers[place] = start
    return numbers


def _mixed(tokens: Sequence[_Token], numbers: Mapping[int, int]) -> frozenset[int]:
    """Places of the tags that stand beside text in their parent: in XML those are inline."""
    children: list[list[int]] = [[]]
    has_text = [False]
    inline: set[int] = set()
    for place, token in enumerate(tokens):
        if token.form == "text":
            has_text[-1] = has_text[-1] or not token.raw.isspace()
        elif token.form == "end" and place in numbers:
            if has_text.pop():
                inline.update(children.pop())
            else:
                children.pop()
            children[-1].append(place)
        else:
            children[-1].append(place)
            if token.form == "start" and place in numbers:
                children.append([])
                has_text.append(False)
    if has_text[0]:
        inline.update(children[0])
    return frozenset(inline)


def is_html(name: str) -> bool:
    """Whether HTML has an element of this name."""
    return name in _INLINE or name in _BLOCKS or name in _VOID or name in _KEPT

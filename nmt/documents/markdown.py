"""Markdown: a unit a paragraph, heading, item or cell. Code, addresses, HTML and front matter are written as they were.

Read line by line and by the letter, not as a tree: what is not translated keeps every byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nmt.documents.base import Languages, Limits, Slot, TextDocument, check_pieces, check_units
from nmt.documents.encoding import decode
from nmt.documents.inline import Inline, Mark, Piece
from nmt.documents.plain import Line, lines_of
from nmt.documents.tags import as_written, pieces_of

_MARKER = re.compile(r"(?:[-*+:]|(?P<number>\d{1,9})[.)])(?=[ \t]|\Z)|\[\^[^\]\s]{1,100}\]:(?=[ \t])")
"""What begins an item, a definition or a footnote."""
_BOX = re.compile(r"\[[ xX]\][ \t]+")
_HEADING = re.compile(r"#{1,6}[ \t]+")
_ALERT = re.compile(r"\[![A-Za-z]{1,40}\][-+]?[ \t]*")
_RULE = re.compile(r"(?:[-*_=][ \t]*+){3,}+\Z")
_NO_TEXT = re.compile(
    r"(?:(?:[-*_=][ \t]*+){3,}+|[-=]++|\[(?!\^)[^\]]+\]:.*|:{3,}+.*|(?:</?[A-Za-z][^<>]*+>[ \t]*+)++|[|:\- \t]*+)\Z"
)
"""Rules, underlines, definitions of links, fences of directives, lines of tags."""
_DELIMITERS = re.compile(r"[ \t>]*+\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t]*+\Z")
_FENCE = re.compile(r"(`{3,}+)[^`]*\Z|(~{3,}+)|(\$\$)[ \t]*\Z")
# fmt: off
_HTML_BLOCK = re.compile(
    r"</?(?:address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details|dialog|dir|div|"
    r"dl|dt|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe|legend|li|link|"
    r"main|menu|menuitem|nav|noframes|ol|optgroup|option|p|param|search|section|summary|table|tbody|td|tfoot|th|"
    r"thead|title|tr|track|ul)(?=[\s/>]|\Z)",
    re.IGNORECASE,
)
# fmt: on
_HTML_KEPT = (
    *(
        (re.compile(rf"<{name}(?=[\s>]|\Z)", re.IGNORECASE), re.compile(rf"</{name}\s*>", re.IGNORECASE))
        for name in ("script", "pre", "style", "textarea", "svg")
    ),
    (re.compile("<!--"), re.compile("-->")),
    (re.compile(r"<\?"), re.compile(r"\?>")),
    (re.compile(r"<!\[CDATA\["), re.compile(r"\]\]>")),
    (re.compile("<![A-Za-z]"), re.compile(">")),
)
"""How blocks of HTML begin that may hold blank lines, and what ends each."""
_OPEN_TAG = re.compile(r"</?[A-Za-z][\w-]*+(?:\s[^<>]*+)?\Z")
_ANY = 1 << 40
"""Of an indent: there is no limit."""
_QUOTATION = 0
"""As a container. Others are numbers: how far the lines of an item are indented."""
_DEEPEST = 50
"""Containers within each other that are told apart."""
_DEFINITION = re.compile(r"^[ \t>]*\[(?!\^)([^\[\]]{1,500})\]:", re.MULTILINE)
_MARK = re.compile(
    r"(?P<code>(?<!`)(?P<ticks>`++).{0,2000}?(?<!`)(?P=ticks)(?!`))"
    r"|(?P<silent><!--.{0,2000}?-->|\[\^[^\]\s]{1,100}\])"
    r"|(?P<escape>\\[!-/:-@\[-`{-~])"
    r"|(?P<image>!\[[^\]]{0,500}\](?:\([^()\s]{0,2000}(?:[ \t]+\"[^\"]{0,500}\")?\)|\[[^\]]{0,200}\])?)"
    r"|(?P<badge>\[!\[[^\[\]]{0,500}\](?:\([^()\s]{0,2000}\)|\[[^\]]{0,200}\])\](?:\([^()\s]{0,2000}\)|\[[^\]]{0,200}\]))"
    r"|(?P<address><(?:[a-z][a-z0-9+.-]{1,31}:|[^\s<>@]{1,200}@)[^\s<>]{0,2000}>|https?://[^\s<>)\]]{1,2000})"
    r"|(?P<open>\[)(?=(?P<label>[^\[\]]{1,1000})\](?P<tail>\(|\[\]|\[|))"
    r"|(?P<close>\](?:\((?:<[^<>]{0,2000}>|(?:[^()\s]|\([^()\s]{0,200}\)){0,2000})"
    r"(?:[ \t]+(?:\"[^\"]{0,500}\"|'[^']{0,500}'))?\)|\[[^\]]{0,200}\]))"
    r"|(?P<bracket>\])"
    r"|(?P<strong>\*{1,3}|~~|(?<!\w)_{1,3}|_{1,3}(?!\w))",
)


class _Span(NamedTuple):
    """A text: from where to where, and the number of its line."""

    start: int
    end: int
    number: int


class _At(NamedTuple):
    """A place in a line, behind the marks of containers and blanks."""

    place: int
    column: int
    base: int
    """The column at which the innermost container begins."""

    @property
    def indent(self) -> int:
        return self.column - self.base


class _Verbatim(NamedTuple):
    """A block that is not translated, begun in a line above."""

    end: re.Pattern[str]
    """What its last line holds."""
    depth: int
    """In so many containers."""
    indent: int
    """Of its last line, at most."""
    ends_at_blank: bool = False


def read_markdown(data: bytes, _: Languages, limits: Limits) -> TextDocument:
    """Reads CommonMark with tables and front matter."""
    text, coding = decode(data)
    check_pieces(text, limits)
    labels = frozenset(_label(found[1]) for found in _DEFINITION.finditer(text))
    slots: list[Slot] = []
    for span in _Blocks(list(lines_of(text))).spans():
        slot = _slot(text, span, labels)
        if slot is not None:
            slots.append(slot)
            check_units(len(slots), limits)
    return TextDocument(text, coding, slots)


class _Blocks:
    """Finds the texts, line by line: a paragraph, a heading, a cell. Containers are what CommonMark says."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        self._containers: list[int] = []
        self._verbatim: _Verbatim | None = None
        self._begun: _Span | None = None
        self._is_open = False
        """Whether the line above is one of a paragraph."""
        self._is_table = False
        self._is_bare_item = False
        """Whether the line above is an item's mark by itself: a blank line ends that item."""

    def spans(self) -> Iterator[_Span]:
        """The texts in order."""
        for place in range(_behind_front_matter(self._lines), len(self._lines)):
            yield from self._line(place)
        yield from self._end()

    def _line(self, place: int) -> Iterator[_Span]:
        line = self._lines[place]
        at, depth = self._inside(line.text)
        if self._verbatim is not None and depth >= self._verbatim.depth:
            if self._ends_verbatim(line.text, at):
                self._verbatim = None
            return
        self._verbatim = None
        if at.place == len(line.text):
            yield from self._end()
            del self._containers[depth - int(self._is_bare_item) :]
            self._is_bare_item = False
            return
        at, entered = self._entered(line.text, at, depth)
        self._is_bare_item = bool(entered and entered[-1] != _QUOTATION and at.place == len(line.text))
        if entered or not (self._is_open and self._is_paragraph(place, at)):
            yield from self._end(keeps_table=not entered and depth == len(self._containers))
            self._containers[depth:] = entered
        yield from self._leaf(place, at)

    def _inside(self, text: str) -> tuple[_At, int]:
        """Behind what says that a line is still in the containers that are open, and how many of them it is in."""
        at = _behind_blanks(text, 0, 0, 0)
        for depth, container in enumerate(self._containers):
            if container == _QUOTATION:
                if at.indent > 3 or not text.startswith(">", at.place):
                    return at, depth
                at = _behind_quote(text, at)
            elif at.indent >= container:
                at = at._replace(base=at.base + container)
            elif at.place < len(text):
                return at, depth
        return at, len(self._containers)

    def _entered(self, text: str, at: _At, depth: int) -> tuple[_At, list[int]]:
        """Behind the marks of containers that begin in a line, and these."""
        entered: list[int] = []
        is_open = self._is_open
        while depth + len(entered) < _DEEPEST and (at.indent <= 3 or is_open):
            if text.startswith(">", at.place):
                at = _behind_quote(text, at)
                entered.append(_QUOTATION)
            elif (marker := _MARKER.match(text, at.place)) and not _RULE.match(text, at.place):
                is_in_text = is_open and depth == len(self._containers)
                if is_in_text and marker["number"] not in (None, "1"):  # a number that happens to begin a line
                    break
                behind = _behind_blanks(text, marker.end(), at.column + len(marker[0]), 0)
                blanks = behind.column - at.column - len(marker[0])
                width = at.indent + len(marker[0]) + (blanks if blanks <= 4 and behind.place < len(text) else 1)
                if marker[0].startswith("["):
                    width = 4
                entered.append(width)
                at = behind._replace(base=behind.column if blanks <= 4 else at.column + len(marker[0]) + 1)
            else:
                break
            is_open = False
        return at, entered

    def _is_paragraph(self, place: int, at: _At) -> bool:
        """Whether a line goes on with the paragraph above, even out of its containers."""
        text = self._lines[place].text
        return not (
            self._verbatim_from(text, at)
            or _NO_TEXT.match(text, at.place)
            or _is_html(text, at.place)
            or _HEADING.match(text, at.place)
            or self._is_row(place, at)
        )

    def _leaf(self, place: int, at: _At) -> Iterator[_Span]:
        """What a line holds behind the marks of its containers."""
        line = self._lines[place]
        text = line.text
        if at.indent > 3 and not self._is_open and not self._is_fence_in_item(text, at):
            return
        verbatim = self._verbatim_from(text, at)
        is_silent = verbatim is not None or _NO_TEXT.match(text, at.place) or _is_html(text, at.place)
        if is_silent:
            self._verbatim = verbatim
            self._is_table = self._is_table and _DELIMITERS.match(text) is not None
        elif self._is_row(place, at):
            self._is_table = True
            yield from _cells(line, at.place)
        else:
            yield from self._text(line, at)

    def _text(self, line: Line, at: _At) -> Iterator[_Span]:
        heading = _HEADING.match(line.text, at.place)
        alert = None if self._is_open else _ALERT.match(line.text, at.place)
        box = None if self._is_open else _BOX.match(line.text, at.place)
        prefix = heading or alert or box
        start = line.start + (prefix.end() if prefix else at.place)
        end = max(start, line.start + len(line.text.rstrip().removesuffix("\\")))
        self._begun = _Span(start, end, line.number) if self._begun is None else self._begun._replace(end=end)
        self._is_open = not (heading or alert)
        if not self._is_open or line.text.endswith(("  ", "\\")):
            yield self._begun
            self._begun = None

    def _end(self, *, keeps_table: bool = False) -> Iterator[_Span]:
        """The paragraph that was begun is whole."""
        if self._begun is not None:
            yield self._begun
        self._begun = None
        self._is_open = False
        self._is_table = self._is_table and keeps_table

    def _is_row(self, place: int, at: _At) -> bool:
        """Whether a line is one of a table: between pipes, below one that is, or above a line of dashes and pipes."""
        text = self._lines[place].text
        body = text[at.place :].rstrip()
        if body.startswith("|") and body.endswith("|") and len(body) > 1:
            return True
        if self._is_table or "|" not in body or place + 1 == len(self._lines):
            return self._is_table and not _HEADING.match(body)
        below = self._lines[place + 1].text
        return "|" in below and _DELIMITERS.match(below) is not None

    def _is_fence_in_item(self, text: str, at: _At) -> bool:
        is_in_item = any(container != _QUOTATION for container in self._containers)
        return is_in_item and _FENCE.match(text, at.place) is not None

    def _verbatim_from(self, text: str, at: _At) -> _Verbatim | None:
        """The block that begins in a line and goes on in the next, and is not translated."""
        depth = len(self._containers)
        fence = _FENCE.match(text, at.place)
        if fence and (at.indent <= 3 or self._is_fence_in_item(text, at)):
            mark = fence[1] or fence[2] or fence[3]
            end = re.compile(rf"\A{re.escape(mark[0])}{{{len(mark)},}}[ \t]*\Z")
            return _Verbatim(end, depth, max(3, at.indent))
        for begin, finish in _HTML_KEPT if text.startswith("<", at.place) else ():
            if begun := begin.match(text, at.place):
                return None if finish.search(text, begun.end()) else _Verbatim(finish, depth, _ANY)
        if _OPEN_TAG.match(text, at.place) and (not self._is_open or _HTML_BLOCK.match(text, at.place)):
            return _Verbatim(re.compile(">"), depth, _ANY, ends_at_blank=True)
        return None

    def _ends_verbatim(self, text: str, at: _At) -> bool:
        assert self._verbatim is not None
        rest = text[at.place :]
        if not rest:
            return self._verbatim.ends_at_blank
        return at.indent <= self._verbatim.indent and self._verbatim.end.search(rest) is not None


def _is_html(text: str, place: int) -> bool:
    """Whether a block of HTML begins there."""
    if not text.startswith("<", place):
        return False
    return _HTML_BLOCK.match(text, place) is not None or any(begin.match(text, place) for begin, _ in _HTML_KEPT)


def _behind_blanks(text: str, place: int, column: int, base: int) -> _At:
    """Behind blanks; a tab reaches to the next column of four."""
    while place < len(text) and text[place] in " \t":
        column += 4 - column % 4 if text[place] == "\t" else 1
        place += 1
    return _At(place, column, base)


def _behind_quote(text: str, at: _At) -> _At:
    """Behind the mark of a quotation, to which one blank belongs."""
    behind = _behind_blanks(text, at.place + 1, at.column + 1, 0)
    return behind._replace(base=at.column + 1 + int(behind.column > at.column + 1))


def _behind_front_matter(lines: Sequence[Line]) -> int:
    if lines and lines[0].text.rstrip() in ("---", "+++"):
        for place, line in enumerate(lines[1:], start=1):
            if line.text.rstrip() == lines[0].text.rstrip():
                return place + 1
    return 0


def _cells(line: Line, place: int) -> Iterator[_Span]:
    for cell in re.compile(r"(?:[^|\\\r\n]|\\.)+").finditer(line.text, place):
        inner = cell[0].strip()
        if inner:
            start = line.start + cell.start() + cell[0].index(inner)
            yield _Span(start, start + len(inner), line.number)


def _label(written: str) -> str:
    """A link's label as it is compared."""
    return " ".join(written.split()).casefold()


def _slot(text: str, span: _Span, labels: frozenset[str]) -> Slot | None:
    written = text[span.start : span.end]
    # a line of a quotation or of an item may have a prefix of its own: the translation is one line
    plain = re.sub(r"[ \t]*(?:\r\n|\r|\n)[ \t]*(?:>[ \t]*)*", " ", written)
    inline = Inline(_pieces(plain, labels))
    if not inline.has_words:
        return None

    def render(translation: str) -> str | None:
        read = inline.read(translation)
        if not read:
            return None
        return re.sub(r"[\r\n]+", " ", as_written([*inline.before, *read, *inline.after]))

    return Slot(inline.unit(f"line {span.number}"), span.start, span.end, render)


def _pieces(text: str, labels: frozenset[str]) -> Iterator[Piece]:
    """`labels`: what links may be called by; where a link's text is its label, the label is written beside it."""
    end = 0
    opened: list[str] = []
    ends: dict[int, str] = {}
    for match in _MARK.finditer(text):
        yield from pieces_of(text[end : match.start()])
        end = match.end()
        strong = match["strong"]
        if match["open"]:
            if match["tail"] in ("", "[]") and _label(match["label"]) in labels:
                ends[match.end("label")] = f"][{match['label']}]"
            elif not match["tail"]:
                yield "["
                continue
            yield Mark("open", "[", "[")
        elif match["close"] or match.start() in ends:
            yield Mark("close", "[", ends.get(match.start(), match[0]))
        elif match["bracket"]:
            yield "]"
        elif match["silent"]:
            yield Mark("empty", "", match[0])
        elif strong:
            yield from _emphasis(strong, opened, is_before_word=bool(text[end : end + 1].strip()))
        else:
            yield Mark("empty", "", match[0], is_said=True)
    yield from pieces_of(text[end:])


def _emphasis(run: str, opened: list[str], *, is_before_word: bool) -> Iterator[Piece]:
    """A run of asterisks or the like: it ends what is open, or begins something where a word follows."""
    if run in opened:
        opened.remove(run)
        yield Mark("close", run, run)
    elif len(run) == 3 and {run[0], run[:2]} <= set(opened):
        for _ in range(2):
            inner = next(mark for mark in reversed(opened) if mark[0] == run[0])
            opened.remove(inner)
            yield Mark("close", inner, inner)
    elif is_before_word:
        opened.append(run)
        yield Mark("open", run, run)
    else:
        yield run

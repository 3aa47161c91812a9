"""A text as what is copied and what is translated: markup, sentences, and what in them must come through.

The parts of a plan, each as it was written, add up to the text. Knows nothing of models but which characters their
vocabulary has.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from nmt.text import protect
from nmt.text.markup import Block, Mark, Rules, attributes, is_html, parse
from nmt.text.protect import BRACKETS, HOLE, Span
from nmt.text.sentences import Segment, fit, fit_clauses, split, without_marker
from nmt.text.terms import Terms, glossary

_HIDDEN = "É"
"""Stands for each character of what is protected while sentences are looked for: one word, and no end of a sentence.

Not an X: "X." is somebody's initial, and "XX." a number in German, behind which no sentence ends.
"""
LOOSE = ("tag", "symbol", "opening", "closing")
"""What is taken out of a text and put back."""
_RUN = re.compile(f"{_HIDDEN}{{4,}}")
_LINE_ENDS = re.compile(r"[\r\n\u2028\u2029]")
_APART = re.compile(r"\s*(?:[:=–—|•>]|-(?=\s))\s+")
"""What parts a placeholder at the beginning from the sentence behind it."""
_APART_END = re.compile(r"(?:[:=–—|•>]|(?<=\s)-)\s*\Z")


@dataclass(frozen=True)
class Wishes:
    """How a caller wants a text to be taken apart."""

    markup: str = ""
    """Empty, `html` or `xml`."""
    splitting: str = "all"
    """`all`, `punctuation` or `none`."""
    ignore_tags: tuple[str, ...] = ()
    split_tags: tuple[str, ...] = ()
    non_split_tags: tuple[str, ...] = ()
    terms: Terms = ()


@dataclass(slots=True)
class Sentence:
    """What is translated at once, without white space at its ends."""

    text: str
    """Without the marks."""
    spans: tuple[Span, ...] = ()
    """What must come through, and terms; in order, none over another. Places are those of `text`."""
    marks: tuple[Mark, ...] = ()
    block: Block | None = None
    """How it was written, where that is another way than `text`."""
    offset: int = 0
    """Place of `text` in the block's text."""
    is_markup: bool = False
    continues: bool = False
    """It is a part of a longer sentence, and not the first."""
    is_open: bool = False
    """It is a part of a longer sentence, and not the last."""

    @property
    def is_plain(self) -> bool:
        """Whether it is nothing but text."""
        return not self.spans and not self.marks

    @property
    def is_tangled(self) -> bool:
        """Whether a tag stands in the middle of something that is to come through."""
        return any(_holds_mark(span, self.marks) for span in self.spans)

    def written(self, start: int, end: int) -> str:
        """A part as it was written, without the marks."""
        if self.block is None:
            return self.text[start:end]
        return self.block.raw(self.offset + start, self.offset + end)

    def escaped(self, text: str) -> str:
        """New text as it is written here."""
        return self.block.escaped(text) if self.is_markup and self.block is not None else text

    @property
    def raw(self) -> str:
        """All of it as it was written, marks included."""
        return "".join(piece if isinstance(piece, str) else piece.raw for piece in self.pieces())

    def pieces(self) -> Iterator[str | Mark]:
        """Text as it was written, and marks, in their order."""
        position = 0
        for mark in self.marks:
            if mark.at > position:
                yield self.written(position, mark.at)
                position = mark.at
            yield mark
        if position < len(self.text):
            yield self.written(position, len(self.text))


Plan = list[str | Sentence]


@dataclass(frozen=True)
class Planner:
    """Takes texts of one language apart."""

    language: str
    target_language: str
    """Quotation marks become this language's."""
    is_known: Callable[[str], bool]
    """Whether the vocabulary has a character."""
    limit: int
    """Most tokens of a sentence."""
    count: Callable[[str], int]
    """Tokens of a text."""
    letters_are_known: bool = True
    """The vocabulary is of words: a letter that it lacks says nothing."""
    clause_limit: int = 0
    """Longer sentences are cut into clauses, where they have some; 0: never."""
    _none: Wishes = field(default_factory=Wishes)

    def plan(self, text: str, wishes: Wishes | None = None) -> Plan:
        """The parts of a text."""
        wishes = wishes or self._none
        if not wishes.markup:
            return self._plan_block(Block(text), wishes)
        return self._plan_parts(parse(text, _rules(wishes)), wishes)

    def plan_attributes(self, text: str, wishes: Wishes) -> Plan:
        """The attributes of a page that are read, and all else of it to be copied."""
        return self._plan_parts(attributes(text, _rules(wishes)), wishes)

    def _plan_parts(self, parts: Sequence[str | Block], wishes: Wishes) -> Plan:
        plan: Plan = []
        for part in parts:
            plan += [part] if isinstance(part, str) else self._plan_block(part, wishes)
        return plan

    def _plan_block(self, block: Block, wishes: Wishes) -> Plan:
        spans = self._protected(block, wishes)
        if any(span.kind in LOOSE for span in spans):
            block, spans = _without_loose(block, spans)
        if not spans and not block.marks and not wishes.markup:
            return _plain(block.text, self._segments(block.text, (), wishes))
        segments = self._segments(block.text, spans, wishes)
        return list(_parts(block, spans, segments, bool(wishes.markup)))

    def _protected(self, block: Block, wishes: Wishes) -> list[Span]:
        text = block.text
        found = [
            *protect.find(text),
            *protect.find_symbols(text, self.is_known),
            *protect.find_pairs(text, self.is_known, self.target_language),
        ]
        if self.language[:2] in protect.AND:
            found[:0] = protect.find_ands(text, self.is_known)  # before symbols, of which it would be one
        if self.letters_are_known:
            found += protect.find_unknown_words(text, self.is_known)
        if HOLE in text:
            found += [
                Span(i, i + 1, "hole", HOLE) for i, c in enumerate(text) if c == HOLE and block.written.get(i) != HOLE
            ]
        if wishes.terms:
            # a term is what the caller says it is, even where it looks like code
            terms = glossary(wishes.terms).find(text)
            found = [span for span in found if not _lies_in(span, terms)] + terms
        if block.marks:  # what looks like a tag or symbol is none where a tag stands in it
            found = [s for s in found if s.kind not in LOOSE or not _holds_mark(s, block.marks)]
        return protect.without_overlap(found) if len(found) > 1 else found

    def _segments(self, text: str, spans: Sequence[Span], wishes: Wishes) -> list[Segment]:
        """Sentences of a text, with protected parts hidden: places, not texts, are what counts of them."""
        shown = _hidden(text, spans)
        if wishes.splitting == "none":
            segments = [without_marker(segment, self.language, begins_item=True) for segment in _whole(shown)]
        else:
            if wishes.markup == "html" or wishes.splitting == "punctuation":
                shown = _LINE_ENDS.sub(" ", shown)
            segments = split(shown, self.language)
        count = self.count if not spans else lambda part: self.count(_RUN.sub("Tom", part))
        if self.clause_limit and wishes.splitting != "none":
            count = cache(count)  # both limits ask about most sentences
            segments = fit_clauses(segments, self.clause_limit, count)
        return fit(segments, self.limit, count)


def _rules(wishes: Wishes) -> Rules:
    return Rules(
        "html" if wishes.markup == "html" else "xml",
        frozenset(wishes.ignore_tags),
        frozenset(wishes.split_tags),
        frozenset(wishes.non_split_tags),
    )


def _holds_mark(span: Span, marks: Sequence[Mark]) -> bool:
    """Whether a mark, of marks in order, stands within a span."""
    behind = bisect_right(marks, span.start, key=lambda mark: mark.at)
    return behind < len(marks) and marks[behind].at < span.end


def _lies_in(span: Span, others: Sequence[Span]) -> bool:
    """Whether one of the others, in order and none over another, is all around a span."""
    behind = bisect_right(others, span.start, key=lambda other: other.start)
    return behind > 0 and span.end <= others[behind - 1].end


def _hidden(text: str, spans: Sequence[Span]) -> str:
    if not spans:
        return text
    parts: list[str] = []
    position = 0
    for span in spans:
        hidden = "\n" if span.kind == "break" else _HIDDEN
        parts += (text[position : span.start], hidden * (span.end - span.start))
        position = span.end
    return "".join([*parts, text[position:]])


def _whole(text: str) -> list[Segment]:
    body = text.strip()
    start = text.find(body) if body else len(text)
    return [Segment(body, text[:start], text[start + len(body) :])] if text else []


def _plain(text: str, segments: Sequence[Segment]) -> Plan:
    plan: Plan = []
    at = 0
    for segment in segments:
        if segment.before:
            plan.append(text[at : at + len(segment.before)])
            at += len(segment.before)
        if segment.text:
            body = text[at : at + len(segment.text)]
            own = Sentence(body, continues=segment.continues, is_open=segment.is_open)
            plan.append(own if segment.translatable else body)
            at += len(body)
        if segment.after:
            plan.append(text[at:])
    return plan


def _without_loose(block: Block, spans: Sequence[Span]) -> tuple[Block, list[Span]]:
    """Tags and symbols in the text become marks beside those that the block has."""
    pairs = _tag_pairs(spans)
    text: list[str] = []
    marks: list[Mark] = []
    held: list[Span] = []
    written: dict[int, str] = {}
    waiting = list(block.marks)
    length = position = 0

    def take(end: int) -> None:
        """Move the text up to `end`, with its marks."""
        nonlocal length, position
        while waiting and waiting[0].at <= end:
            mark = waiting.pop(0)
            marks.append(mark.moved(length - position))
        for i in range(position, end):
            if i in block.written:
                written[length + i - position] = block.written[i]
        text.append(block.text[position:end])
        length += end - position
        position = end

    for number, span in enumerate(spans):
        take(span.start)
        kind = pairs.get(number)
        if kind is None:
            start = length
            take(span.end)
            held.append(Span(start, length, "hole" if span.kind == "tag" else span.kind, span.out))
            continue
        raw = block.raw(span.start, span.end)
        is_itself = span.out == block.text[span.start : span.end]
        marks.append(Mark(length, raw, *kind, "" if is_itself else block.escaped(span.out)))
        position = span.end
        joins = span.kind == "symbol" and _touches(block.text, span)
        if joins:
            text.append(" ")
            written[length] = ""
            length += 1
    take(len(block.text))
    return Block("".join(text), tuple(marks), written, block.quote), held


def _touches(text: str, span: Span) -> bool:
    """Whether letters or digits touch a symbol on both sides."""
    before, after = text[span.start - 1 : span.start], text[span.end : span.end + 1]
    return before.isalnum() and after.isalnum()


_OPENED_BY = {closing: opening for opening, closing in BRACKETS.items()}


class _Open:
    """What has begun and not ended, the innermost last."""

    def __init__(self) -> None:
        self._stack: list[tuple[str, int]] = []
        self._names: Counter[str] = Counter()

    def add(self, name: str, number: int) -> None:
        """Begin something."""
        self._stack.append((name, number))
        self._names[name] += 1

    def close(self, name: str) -> int | None:
        """The number of the last of this name, which ends with all that has begun in it; None where there is none."""
        if not self._names[name]:
            return None
        while True:
            last, number = self._stack.pop()
            self._names[last] -= 1
            if last == name:
                return number


_TAG_NAME = re.compile(r"[<\[]/?([\w:.*-]+)")


def _tag_pairs(spans: Sequence[Span]) -> dict[int, tuple[int, bool]]:
    """By number of each span that becomes a mark: its pair (-1: none), and whether it ends it.

    A tag without counterpart that HTML does not know ("<name>") stands for something: it is held instead.
    """
    first = -2 - len(spans)  # numbers that no pair of the block's own has
    found: dict[int, tuple[int, bool]] = {}
    tags, pairs = _Open(), _Open()
    for number, span in enumerate(spans):
        if span.kind == "symbol":
            found[number] = (-1, False)
        if span.kind == "opening":
            pairs.add(span.out if span.out in BRACKETS else "", number)
            found[number] = (first + number, False)
        if span.kind == "closing":
            start = pairs.close(_OPENED_BY.get(span.out, ""))
            found[number] = (-1, False) if start is None else (first + start, True)
        if span.kind != "tag":
            continue
        match = _TAG_NAME.match(span.out)
        name = match[1].lower() if match else ""
        is_end = span.out[1] == "/"
        if not is_end and not span.out.endswith("/>"):
            tags.add(name, number)
        elif is_end and (start := tags.close(name)) is not None:
            found[start] = (first + start, False)
            found[number] = (first + start, True)
        if number not in found and is_html(name):
            found[number] = (-1, False)
    return {n: (pair if pair >= -1 else _PAIRS_OF_TEXT - pair, end) for n, (pair, end) in found.items()}


_PAIRS_OF_TEXT = 1 << 32
"""Numbers of pairs found in a text begin here: a document has fewer tags."""


class _Bound(NamedTuple):
    """Where a segment lies in a block's text, and whether it is a part of a sentence."""

    start: int
    end: int
    continues: bool
    is_open: bool


def _parts(
    block: Block, spans: Sequence[Span], segments: Sequence[Segment], is_markup: bool
) -> Iterator[str | Sentence]:
    """The sentences of a block and what stands between them."""
    marks = list(block.marks)
    position = 0
    bounds: list[_Bound] = []
    at = 0
    for segment in segments:
        at += len(segment.before)
        bounds.append(_Bound(at, at + len(segment.text), segment.continues, segment.is_open))
        at += len(segment.text) + len(segment.after)
    bounds = [bound for bound in bounds if bound.end > bound.start]
    bounds = _unbroken(bounds, spans)
    span_number = mark_number = 0
    pending: list[Mark] = []
    for index, (start, end, continues, is_open) in enumerate(bounds):
        inside: list[Span] = []
        while span_number < len(spans) and spans[span_number].end <= start:
            span_number += 1
        while span_number < len(spans) and spans[span_number].start < end:
            inside.append(spans[span_number])
            span_number += 1
        following = bounds[index + 1].start if index + 1 < len(bounds) else len(block.text) + 1
        before: list[Mark] = []
        own: list[Mark] = []
        while mark_number < len(marks) and marks[mark_number].at <= end:
            mark = marks[mark_number]
            if mark.at == end and following == end and not mark.is_end:
                break  # it begins the next sentence, which touches this one
            (before if mark.at < start else own).append(mark)
            mark_number += 1
        leading, own, trailing = _edges(own, start, end)
        start, end, inside = _trimmed(block.text, start, end, inside, own)
        yield _raw(block, position, start, pending + before + leading)
        body = Sentence(
            block.text[start:end],
            tuple(span.moved(-start) for span in inside),
            tuple(mark.moved(-start) for mark in own),
            block,
            start,
            is_markup,
            continues,
            is_open,
        )
        if _has_words(body):
            yield body
        else:
            yield body.raw
        pending = trailing
        position = end
    yield _raw(block, position, len(block.text), pending + marks[mark_number:])


def _unbroken(bounds: Sequence[_Bound], spans: Sequence[Span]) -> list[_Bound]:
    """No sentence ends within a span: one that was cut for its length is cut beside it."""
    whole: list[_Bound] = []
    number = 0
    for start, end, continues, is_open in bounds:
        if whole and start < whole[-1].end:
            start = whole[-1].end
        while number < len(spans) and spans[number].end <= end:
            number += 1
        if number < len(spans) and spans[number].start < end:
            end = spans[number].end
        if end > start:
            whole.append(_Bound(start, end, continues, is_open))
    return whole


def _edges(marks: Sequence[Mark], start: int, end: int) -> tuple[list[Mark], list[Mark], list[Mark]]:
    """The marks of a sentence as those before it, in it and behind it."""
    where = {(mark.pair, mark.is_end): mark.at for mark in marks if mark.pair >= 0}

    def is_edge(mark: Mark, at: int) -> bool:
        if mark.at != at:
            return False
        other = where.get((mark.pair, not mark.is_end))
        if mark.pair < 0:
            return True
        if other is None:  # its other half is in another sentence
            return mark.is_end == (at == end)
        return {mark.at, other} == {start, end}

    inner = list(marks)
    leading: list[Mark] = []
    trailing: list[Mark] = []
    while inner and is_edge(inner[0], start):
        leading.append(inner.pop(0))
    while inner and is_edge(inner[-1], end):
        trailing.insert(0, inner.pop())
    # a pair of which one half found another mark in its way stays inside with both
    while leading and not _matches(leading[-1], trailing, where):
        inner.insert(0, leading.pop())
    while trailing and not _matches(trailing[0], leading, where):
        inner.append(trailing.pop(0))
    return leading, inner, trailing


def _matches(mark: Mark, others: Sequence[Mark], where: Mapping[tuple[int, bool], int]) -> bool:
    return (
        mark.pair < 0 or (mark.pair, not mark.is_end) not in where or any(other.pair == mark.pair for other in others)
    )


def _trimmed(text: str, start: int, end: int, spans: list[Span], marks: Sequence[Mark]) -> tuple[int, int, list[Span]]:
    """Without protected parts at the ends that no more than a sign binds to the sentence: "Error: {text}"."""
    if marks:
        return start, end, spans
    while spans and spans[0].start == start and spans[0].kind != "term":
        apart = _APART.match(text, spans[0].end, end)
        if apart is None:
            break
        start = apart.end()
        spans = spans[1:]
    while spans and spans[-1].end == end and spans[-1].kind != "term":
        apart = _APART_END.search(text, start, spans[-1].start)
        if apart is None or (len(spans) > 1 and spans[-2].end > apart.start()):
            break
        end = spans[-1].start if re.fullmatch(r":\s+", apart[0]) else apart.start()  # a colon is part of the sentence
        while end > start and text[end - 1].isspace():
            end -= 1
        spans = spans[:-1]
    return start, end, spans


def _has_words(sentence: Sentence) -> bool:
    """Whether anything but what is protected is left to translate."""
    if any(span.kind == "term" for span in sentence.spans):
        return True
    return any(
        character.isalpha()
        for part in protect.parts(sentence.text, sentence.spans)
        if isinstance(part, str)
        for character in part
    )


def _raw(block: Block, start: int, end: int, marks: Sequence[Mark]) -> str:
    """A part of a block as it was written, with these marks."""
    out: list[str] = []
    position = start
    for mark in marks:
        place = min(max(mark.at, position), end)
        out += (block.raw(position, place), mark.out)
        position = place
    return "".join([*out, block.raw(position, end)])

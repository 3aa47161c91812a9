"""Long text to sentences without losing a character. Knows nothing about models, tokens' ids or HTTP.

Sentence ends are proposed by sentencex (Wikimedia, MIT): rules and abbreviations of some 300 languages compiled in,
about 30 MB/s, nothing read or downloaded at import. That coverage is why we do not carry a rule set of our own. What
it needs from us, all of it measured on version 1.0.32:

- white space that is not a blank makes it panic (U+00A0 behind an initial is enough), with an exception that
  `except Exception` does not see, and lone surrogates raise. It is shown an equally long copy without them;
- an unclosed quotation mark costs quadratic time, so it is shown a bounded window;
- it knows lower-case language codes only, and takes any other for English;
- ends it proposes wrongly ("Der 2. | Weltkrieg", "Node. | Js", "Dipl. | -Ing.", "1. | First item") are refused here,
  and everyday words that it takes for abbreviations ("He saw me. Tom left.") get their end back.

So amended it finds 99.9 % of the ends in Tatoeba's English and German test lines set one behind the other, and all 67
ends it finds inside a line are ends of sentences.
Where the rules must err they err towards too few sentences: half a sentence has no good translation.
"""

from __future__ import annotations

import logging
import math
import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import sentencex  # type: ignore[import-untyped]

from nmt.text import items

logger = logging.getLogger(__name__)

WINDOW = 8192
"""Characters sentencex is shown at once. A sentence longer than this stays whole."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One sentence and what stands around it: `before + text + after` of all segments is the whole input.

    `before` is white space and what marks an item of a list, `after` is empty but for the last segment. A text without
    any letter (figures, punctuation, emoji, nothing at all) is not `translatable`: a model can only spoil it.
    """

    text: str
    before: str = ""
    after: str = ""
    continues: bool = False
    """It is a part of a longer sentence, and not the first."""
    is_open: bool = False
    """It is a part of a longer sentence, and not the last."""

    @property
    def translatable(self) -> bool:
        return any(map(str.isalpha, self.text))


def split(text: str, language: str) -> list[Segment]:
    """Cut a text at every line break and, within a line, after every sentence. `language` is a code such as "de-AT".

    What marks an item of a list ("- ", "1. ", "a) ") is not part of a sentence. Empty text has no segment; white space
    alone is one segment with an empty text.
    """
    segments = _segments(piece for line in re.split(r"([\r\n]+)", text) for piece in _sentences(line, language))
    found: list[Segment] = []
    begins_item = True  # so does every sentence of a line that begins with an item
    for segment in segments:
        begins_line = not found or not _LINE_END.isdisjoint(segment.before)
        found.append(without_marker(segment, language, begins_item=begins_item or begins_line))
        begins_item = found[-1] is not segment
    return found


def without_marker(segment: Segment, language: str, *, begins_item: bool) -> Segment:
    """A segment with what marks it as an item of a list moved to `before`.

    `begins_item`: whether a number may do so, because the segment begins a line; dashes and bullets always do.
    """
    text = segment.text
    found = items.MARKER.match(text)
    if found is None or not any(map(str.isalpha, text[found.end() :])):
        return segment
    if text[0] not in items.DASHES and not begins_item:
        return segment
    if language[:2] == "de" and _GERMAN_MONTH.match(text, found.end()):  # "1. Mai"
        return segment
    return replace(segment, text=text[found.end() :], before=segment.before + found[0])


def split_long(text: str, limit: int, count: Callable[[str], int]) -> list[Segment]:
    """Cut a text into parts of about equal length for which `count(part) <= limit`, as few as greed finds.

    Cuts are made after a semicolon or colon, else after a comma or dash, else at white space, else between two
    characters, inside a grapheme only where one grapheme alone is over the limit. A single code point is never cut,
    whatever it counts.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    return _segments(_parts(text, limit, count))


def fit(segments: Iterable[Segment], limit: int, count: Callable[[str], int]) -> list[Segment]:
    """The segments, those with `count(text) > limit` replaced by their parts (see `split_long`)."""
    return _fitted(segments, lambda text: [text] if count(text) <= limit else _parts(text, limit, count))


def fit_clauses(segments: Iterable[Segment], limit: int, count: Callable[[str], int]) -> list[Segment]:
    """The segments, those with `count(text) > limit` cut into clauses as far as need be.

    Cuts are made after semicolons, colons, commas and dashes alone, near the middle first, and leave no part of less
    than `LEAST_WORDS`; so a part may stay over the limit.
    """
    return _fitted(segments, lambda text: _clauses(text, limit, count))


def _fitted(segments: Iterable[Segment], cut: Callable[[str], Iterable[str]]) -> list[Segment]:
    """The segments with those that `cut` cuts replaced by what it makes of them; its pieces add up to the text."""
    fitting: list[Segment] = []
    for segment in segments:
        pieces = list(cut(segment.text)) if segment.translatable else []
        if len(pieces) < 2:
            fitting.append(segment)
            continue
        parts = [replace(part, continues=True, is_open=True) for part in _segments(pieces)]
        parts[0] = replace(parts[0], before=segment.before, continues=segment.continues)
        parts[-1] = replace(parts[-1], after=segment.after, is_open=segment.is_open)
        fitting += parts
    return fitting


def _segments(pieces: Iterable[str]) -> list[Segment]:
    """Pieces that add up to a text, as segments that do: white space moves from the pieces' ends to `before`."""
    segments: list[Segment] = []
    blank = ""
    for piece in pieces:
        body = piece.lstrip()
        blank += piece[: len(piece) - len(body)]
        if body:
            stripped = body.rstrip()
            segments.append(Segment(stripped, before=blank))
            blank = body[len(stripped) :]
    if blank and segments:
        segments[-1] = replace(segments[-1], after=blank)
    elif blank:
        segments.append(Segment("", before=blank))
    return segments


# Sentences of one line


def _sentences(line: str, language: str) -> Iterator[str]:
    """The sentences of a line with the white space behind them; they add up to the line."""
    language = re.split(r"[-_]", language, maxsplit=1)[0].lower()
    start = 0
    for end in _proposals(line, language):
        if end <= start or not _is_end(line, start, end, language):
            continue
        yield from _unwrap(line[start:end])
        start = end
    yield from _unwrap(line[start:])


def _proposals(line: str, language: str) -> Iterator[int]:
    """Where sentencex would start a new sentence, ascending; 0 and the end of the line may be among them."""
    # Both replacements keep the length, so positions in the copy are positions in the line.
    shown = re.sub(r"[\ud800-\udfff]", "\ufffd", re.sub(r"\s", " ", line))
    start = 0
    while start < len(shown):
        window = shown[start : start + WINDOW]
        starts = [start + found["start_index"] for found in _boundaries(language, window)]
        if language in _EVERYDAY:
            starts = sorted({*starts, *(start + found.end() for found in _EVERYDAY[language].finditer(window))})
        yield from starts
        # The last sentence of a window may go on behind it: the next window starts with it, if that is any progress.
        is_last = start + WINDOW >= len(shown)
        start = starts[-1] if starts and starts[-1] > start and not is_last else start + WINDOW


def _boundaries(language: str, text: str) -> list[dict[str, int]]:
    try:
        found: list[dict[str, int]] = sentencex.get_sentence_boundaries(language, text)
    except BaseException as error:
        # Rust panics derive from BaseException; one in a library must not end a worker.
        if type(error).__name__ != "PanicException":
            raise
        logger.warning("sentencex failed on a text of %d characters, which is left whole: %s", len(text), error)
        return []
    return found


# Abbreviations before a capital letter that sentencex does not know. Left out: those that are also everyday words or
# names ("Do.", "So.", "Art.", "Max.") or that mostly end a sentence ("Jh."); there the full stop is more often the end.
_ABBREVIATIONS: dict[str, re.Pattern[str]] = {
    "de": re.compile(
        r"abb|abs|abt|allg|anm|aufl|bd|bspw|dez|dipl|dipl\.-ing|ehem|einschl|entspr|exkl|gegr|gem|geb|ges|gest|hrsg|inkl"
        r"|inst|kap|kl|lfd|okt|rel|tel|verf|zb|zus|zzgl",
        re.IGNORECASE,
    ),
    "en": re.compile(r"approx|eds|eq|tel|vol", re.IGNORECASE),
    "fr": re.compile(r"dr|j\.-c|m|mlle|mme|st|ste", re.IGNORECASE),
}

# Everyday words that sentencex takes for abbreviations (Maine, Michigan, Magister, ...): with a capital behind them
# they end a sentence. Found by counting the last words of 300,000 sentences; "me." ends 2 % of the English ones.
_EVERYDAY = {
    "en": re.compile(r"\b(?:me|ill|art|no|miss|ID|OK|Ok|ok)\.\s+(?=[\"'“‘(]?[A-Z])"),
    "de": re.compile(r"\b(?:mich|mag|Art|Bart|OK|Ok|ok)\.\s+(?=[\"'„‚»«(]?[A-ZÄÖÜ])"),
}

# A number with a full stop is an ordinal behind one of these, and before a month.
_GERMAN_ORDINAL = re.compile(
    r"\b(?:a[mb]|beim?|im|in|[vz]om|zum|zur|bis|seit|d(?:as|em|en|er|es|ie)|(?:ein|jed|dies|ihr|sein|mein|unser)e[mnrs]?)"
    r"\s+(?:\d{1,3}|[IVX]+)\.$",
    re.IGNORECASE,
)
_GERMAN_MONTH = re.compile(r"(?:Jan|Feb|Mär|Apr|Mai|Jun|Jul|Aug|Sep|Okt|Nov|Dez|Jh|Jahrh)")

_LINE_END = frozenset("\r\n")
_LAST_WORD = re.compile(r"([^\s(\[\"'„“”‚‘»«/]+)\.$")
_CONTEXT = 40
"""Characters on either side of a sentence end that are looked at."""


def _is_end(line: str, start: int, end: int, language: str) -> bool:
    """Whether the sentence that starts at `start` may end where the next would start, at `end`."""
    stop = end
    while stop > start and line[stop - 1].isspace():
        stop -= 1
    left, right = line[max(start, stop - _CONTEXT) : stop], line[end : end + _CONTEXT]
    if not left or not right:
        return False
    if stop == end and left[-1].isascii():
        return False  # no white space behind it: a file name, a web address, "Dipl.-Ing."
    if stop - start <= _CONTEXT and items.ALONE.fullmatch(left.lstrip()):
        return False
    word = _LAST_WORD.search(left)
    if word and language in _ABBREVIATIONS and _ABBREVIATIONS[language].fullmatch(word[1]):
        return False
    return language != "de" or not _is_german_ordinal(left, right)


def _is_german_ordinal(left: str, right: str) -> bool:
    if _GERMAN_ORDINAL.search(left):
        return True
    return _GERMAN_MONTH.match(right) is not None and re.search(r"(?:^|\s)\d{1,2}\.$", left) is not None


_BRACKETED = re.compile(r"\s*[(\[]([^()\[\]]*)[.!?…][)\]]\s+")


def _unwrap(sentence: str) -> Iterator[str]:
    """Cut a whole sentence in brackets from the one behind it, "(It is black.) It eats.": sentencex never does."""
    found = _BRACKETED.match(sentence)
    if found and found[1][:1].isupper() and sentence[found.end() : found.end() + 1].isupper():
        yield sentence[: found.end()]
        yield sentence[found.end() :]
    else:
        yield sentence


# Parts of one long sentence

# What a part may end with, best first. In scripts without blanks nothing need follow the mark.
_CUTS = (
    re.compile(r"[;:][\"'”’“»)\]]*\s+|[；：]"),
    re.compile(r"[,،][\"'”’“»)\]]*\s+|[，、]|\s[-–—]\s+|[–—]"),
    re.compile(r"\s+"),
)
_CLAUSE_ENDS = _CUTS[:2]
_WORD = re.compile(r"\w+")
LEAST_WORDS = 3
"""Of a clause that is translated by itself."""


def _parts(text: str, limit: int, count: Callable[[str], int]) -> Iterator[str]:
    rest = text
    while rest.strip():
        longest = _longest_prefix(rest, limit, count)
        end = longest
        while end < len(rest):
            end = _best_cut(rest, end)
            if end <= 1 or count(rest[:end].strip()) <= limit:
                break
            end -= 1  # a shorter text can have more tokens; rare
        yield rest[:end]
        rest = rest[end:]
    yield rest


def _clauses(text: str, limit: int, count: Callable[[str], int]) -> Iterable[str]:
    if count(text.strip()) <= limit:
        return [text]
    # Looked for once, not again in every part; and cuts near the middle keep parts of parts few: near linear time.
    marks = {found.end(): mark for mark, form in enumerate(_CLAUSE_ENDS) for found in form.finditer(text)}
    ends = sorted(marks)
    words = [found.start() for found in _WORD.finditer(text)]

    def cut(start: int, stop: int) -> Iterator[str]:
        if count(text[start:stop].strip()) > limit and (enough := among(start, stop)):
            end = min(enough, key=lambda end: (abs(2 * end - start - stop), marks[end]))
            yield from cut(start, end)
            yield from cut(end, stop)
        else:
            yield text[start:stop]

    def among(start: int, stop: int) -> list[int]:
        """Ends in a part that have words enough on both sides."""
        own = words[bisect_left(words, start) : bisect_left(words, stop)]
        if len(own) < 2 * LEAST_WORDS:
            return []
        return ends[bisect_right(ends, own[LEAST_WORDS - 1]) : bisect_right(ends, own[-LEAST_WORDS])]

    return cut(0, len(text))


def _longest_prefix(text: str, limit: int, count: Callable[[str], int]) -> int:
    """Characters, at least 1, that can be taken from the front of the text without going over the limit."""

    def fits(length: int) -> bool:
        return count(text[:length].strip()) <= limit

    low, high = 1, limit
    while high < len(text) and fits(high):
        low, high = high, 2 * high
    if high >= len(text):
        if fits(len(text)):
            return len(text)
        high = len(text)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _best_cut(text: str, longest: int) -> int:
    """Where to cut a text of which at most `longest` characters fit: at a good place near an equal share."""
    share = len(text) / math.ceil(len(text) / longest)
    for mark in _CUTS:
        found = mark.finditer(text, int(share / 2), longest + 1)
        ends = [match.end() for match in found if match.end() <= longest]
        if ends:
            return min(ends, key=lambda end: abs(end - share))
    return _grapheme_start(text, longest)


def _grapheme_start(text: str, position: int) -> int:
    """The last position up to `position` that is not inside a grapheme; `position` where there is none behind 0."""
    for start in range(position, 0, -1):
        if start == len(text) or not _continues(text, start):
            return start
    return position


def _continues(text: str, position: int) -> bool:
    """Whether the character at `position` belongs to the one before: marks, joiners, emoji modifiers, half flags."""
    before, here = text[position - 1], text[position]
    if unicodedata.category(here).startswith("M") or "\u200d" in (before, here) or "\U0001f3fb" <= here <= "\U0001f3ff":
        return True
    flags = re.search(r"[\U0001f1e6-\U0001f1ff]*$", text[max(0, position - 64) : position])
    is_half_flag = flags is not None and len(flags[0]) % 2 == 1
    return is_half_flag and "\U0001f1e6" <= here <= "\U0001f1ff"

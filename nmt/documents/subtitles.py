"""SubRip and WebVTT subtitles: a unit a cue, or a speaker in it. Numbers, timings, settings and notes are not touched.

A cue keeps its number of lines: its translation is wrapped anew to so many of about equal width.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from nmt.documents.base import Languages, Limits, Slot, TextDocument, check_pieces, check_units, one_line
from nmt.documents.encoding import decode
from nmt.documents.plain import Line, lines_of
from nmt.documents.tags import tagged
from nmt.errors import DocumentError

_CLOCK = r"-?\s{0,9}\d{1,9}(?:\s{0,9}[:.,]\s{0,9}\d{1,9}){1,3}"
"""Players take it without a fraction, before zero and with blanks in it, too."""
_TIMING = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}")
_NOTE = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")
_SPEAKER = re.compile(r"((?:<[^<>]*>|\{\\[^{}]*\})*\s*[-‐–—]\s*)(?=\S)")
_CODE = re.compile(r"\{\\[^{}]{0,200}\}|\{[a-zA-Z]:[^{}]{0,200}\}|<(?:\d{1,9}:)?\d\d:\d\d\.\d{3}>")
"""Codes of other formats that players understand in SubRip, too: position, colour; in WebVTT when a word is shown."""
_WORD = re.compile(r"(?:<[^<>]*>|\{[^{}]*\}|[^\s<{]|[<{])+")
_MOST_LINES = 12
"""Of a cue that is taken as one text; no screen has room for more."""


def read_srt(data: bytes, _: Languages, limits: Limits) -> TextDocument:
    """Reads SubRip. Raises DocumentError where there is no timing."""
    return _read(data, limits, "SubRip", is_vtt=False)


def read_vtt(data: bytes, _: Languages, limits: Limits) -> TextDocument:
    """Reads WebVTT. Raises DocumentError where the file does not begin as one."""
    return _read(data, limits, "WebVTT", is_vtt=True)


def _read(data: bytes, limits: Limits, name: str, *, is_vtt: bool) -> TextDocument:
    text, coding = decode(data)
    check_pieces(text, limits)
    if is_vtt and not re.match(r"WEBVTT(?:\s|$)", text):
        raise DocumentError("not WebVTT: it does not begin with WEBVTT", place="line 1")
    if not is_vtt and text.strip() and not any(_TIMING.match(line.text) for line in lines_of(text)):
        raise DocumentError(f"not {name}: it has no line such as 00:00:01,000 --> 00:00:02,500")
    slots: list[Slot] = []
    for lines in _speeches(text, is_vtt=is_vtt):
        slot = _slot(text, lines)
        if slot is not None:
            slots.append(slot)
            check_units(len(slots), limits)
    return TextDocument(text, coding, slots)


def _speeches(text: str, *, is_vtt: bool) -> Iterator[list[Line]]:
    """The lines of each cue's text, of each speaker where dashes tell several apart."""
    for cue in _cues(text, is_vtt=is_vtt):
        if len(cue) > _MOST_LINES:
            yield from ([line] for line in cue)
            continue
        speech: list[Line] = []
        for line in cue:
            if speech and _SPEAKER.match(line.text):
                yield speech
                speech = []
            speech.append(line)
        yield speech


def _cues(text: str, *, is_vtt: bool) -> Iterator[list[Line]]:
    """Neighbouring lines of text. What lies before the first timing is none, nor is a number right before a timing."""
    lines = list(lines_of(text))
    cue: list[Line] = []
    has_begun = is_note = False
    for place, line in enumerate(lines):
        is_blank = not line.text.strip()
        follows_blank = place == 0 or not lines[place - 1].text.strip()
        is_timing = _TIMING.match(line.text) is not None
        before_timing = place + 1 < len(lines) and _TIMING.match(lines[place + 1].text) is not None
        is_number = before_timing and (line.text.strip().isdecimal() or (is_vtt and follows_blank))
        if is_vtt and follows_blank and _NOTE.match(line.text):
            is_note = True
        if is_blank or is_timing or is_number or is_note or not has_begun:
            if cue:
                yield cue
            cue = []
            has_begun = has_begun or is_timing
            is_note = is_note and not is_blank
            continue
        cue.append(line)
    if cue:
        yield cue


def _slot(text: str, lines: list[Line]) -> Slot | None:
    first, last = lines[0], lines[-1]
    dash = _SPEAKER.match(first.text)
    start, end = first.start + (dash.end() if dash else 0), last.start + len(last.text.rstrip())
    start += len(text[start:end]) - len(text[start:end].lstrip())
    words = " ".join(text[start:end].split()) if len(lines) > 1 else text[start:end]
    found = tagged(words, f"line {first.number}", _CODE)
    if found is None:
        return None
    wrap = one_line if len(lines) == 1 else partial(_wrap, count=len(lines), end=first.end)

    def render(translation: str) -> str | None:
        whole = found.render(one_line(translation))
        return wrap(whole) if whole and whole.strip() else None

    return Slot(found.unit, start, end, render)


def _wrap(translation: str, count: int, end: str) -> str:
    """In so many lines, as far as there are words for them, the widest of which is as narrow as can be."""
    words = _WORD.findall(translation)
    low, high = max(map(_width, words), default=0), _width(translation)
    while low < high:
        middle = (low + high) // 2
        if len(_filled(words, middle)) <= count:
            high = middle
        else:
            low = middle + 1
    lines = _filled(words, low)
    while len(lines) < min(count, len(words)):
        widest = max(range(len(lines)), key=lambda i: (len(lines[i]) > 1, sum(map(_width, lines[i]))))
        half = (len(lines[widest]) + 1) // 2
        lines[widest : widest + 1] = [lines[widest][:half], lines[widest][half:]]
    return end.join(" ".join(line) for line in lines)


def _filled(words: list[str], width: int) -> list[list[str]]:
    """Lines of words, each as full as the width allows."""
    lines: list[list[str]] = []
    room = 0
    for word in words:
        needed = _width(word) + 1
        if lines and needed <= room:
            lines[-1].append(word)
            room -= needed
        else:
            lines.append([word])
            room = width - needed + 1
    return lines


def _width(text: str) -> int:
    """Characters that are shown."""
    return len(re.sub(r"<[^<>]*>|\{[^{}]*\}", "", text))

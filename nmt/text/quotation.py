"""Quotation marks as languages write them: “so” in English, „so“ in German, « so » in French.

After the delimiters of Unicode CLDR 46, with the no-break spaces that French has inside its marks. Knows nothing of
models.
"""

from __future__ import annotations

from collections.abc import Iterator

_PLAIN = '"'
_TURNED_UP = ("“", "”", "‘", "’")
_LOW = ("„", "“", "‚", "‘")
_LOW_HIGH = ("„", "”", "‚", "’")
_POINTED = ("«", "»", "“", "”")
_RAISED = ("”", "”", "’", "’")

_MARKS = {
    **dict.fromkeys(("af", "en", "id", "lv", "nl", "pt", "tr", "vi", "zh"), _TURNED_UP),
    **dict.fromkeys(("bg", "cs", "de", "is", "lt", "sk", "sl"), _LOW),
    **dict.fromkeys(("hr", "hu", "pl", "ro"), _LOW_HIGH),
    **dict.fromkeys(("ca", "el", "es", "it"), _POINTED),
    **dict.fromkeys(("ru", "uk"), ("«", "»", "„", "“")),
    **dict.fromkeys(("fi", "sv"), _RAISED),
    **dict.fromkeys(("de-ch", "de-li"), ("«", "»", "‹", "›")),
    "fr": ("«\u00a0", "\u00a0»", "“", "”"),
    "ja": ("「", "」", "『", "』"),
}
"""The marks around a quotation, and those around one inside it or, in English, a word."""


def quotation_marks(opening: str, closing: str, language: str) -> tuple[str, str]:
    """What a pair of marks is in a language: plain ones (" and ') are themselves, others the language's own.

    `language`: a code such as "de-AT". Of a language whose marks are not known here, they stay.
    """
    if opening.isascii() and closing.isascii():
        return opening, closing
    marks = _of(language)
    if marks is None:
        return opening, closing
    return marks[2:] if opening.strip() in "‘‚‹›" else marks[:2]


def pair_edits(text: str, language: str) -> Iterator[tuple[int, int, str]]:
    """What is to be written in the place of which characters of `text`: of a pair, one plain, both the language's own.

    „So" and "so“ become „so“. A text in which marks are left over stays: which of them is missing is not known.
    """
    if _PLAIN not in text or (marks := _of(language)) is None:
        return
    first, last = marks[0].strip(), marks[1].strip()
    edits: list[tuple[int, int, str]] = []
    begun = -1
    for at, character in enumerate(text):
        if character not in (_PLAIN, first, last):
            continue
        if begun < 0:
            if character not in (_PLAIN, first):
                return
            begun = at
        elif character not in (_PLAIN, last):
            return
        else:
            if text[begun] == _PLAIN != character:
                edits.append((begun, begun + 1, first if text[begun + 1].isspace() else marks[0]))
            elif text[begun] != _PLAIN == character:
                edits.append((at, at + 1, last if text[at - 1].isspace() else marks[1]))
            begun = -1
    if begun < 0:
        yield from edits


def _of(language: str) -> tuple[str, str, str, str] | None:
    code = language.lower().replace("_", "-")
    return _MARKS.get(code) or _MARKS.get(code.partition("-")[0])
